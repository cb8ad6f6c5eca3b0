use leftfold_api::{EventStore, ReadError, Subscribe, Subscription};

/// Where the events of views come from: a store, or something before it that subscribes for several of them.
pub trait Source: Send + Sync {
    /// A running subscription.
    type Subscription: Subscription + 'static;

    /// Subscribes to a query, with the promises of [`EventStore::subscribe`].
    fn follow(
        &self,
        subscribe: Subscribe,
    ) -> impl Future<Output = Result<Self::Subscription, ReadError>> + Send;
}

impl<S: EventStore> Source for S {
    type Subscription = S::Subscription;

    fn follow(
        &self,
        subscribe: Subscribe,
    ) -> impl Future<Output = Result<Self::Subscription, ReadError>> + Send {
        EventStore::subscribe(self, subscribe)
    }
}
