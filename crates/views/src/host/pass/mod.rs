//! One pass over the log for many views: those that catch up from nearly the same place share one subscription.
//!
//! A member of a pass takes the events that its own query selects, in the order of the store, with the cursors that it
//! would get alone. When the pass has caught up with the store, each member subscribes for itself: an event that comes
//! in later is in memory anyway, and wakes only those that want it. A member that is too slow does so at once.

mod shared;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Weak};

use leftfold_api::{
    Cursor, Delivery, EventStore, Point, Query, ReadError, Start, Subscribe, Subscription,
};
use leftfold_fold::time::Time;
use leftfold_fold::view::Source;
use parking_lot::Mutex;

use shared::{Member, Pass, PassLimits};

/// The passes over a store.
pub(crate) struct Passes<S> {
    store: Arc<S>,
    time: Arc<dyn Time>,
    limits: PassLimits,
    open: Mutex<Vec<Weak<Pass>>>,
}

impl<S> Passes<S> {
    pub(crate) fn new(store: Arc<S>, time: Arc<dyn Time>) -> Self {
        Self::with_limits(store, time, PassLimits::default())
    }

    fn with_limits(store: Arc<S>, time: Arc<dyn Time>, limits: PassLimits) -> Self {
        Passes { store, time, limits, open: Mutex::default() }
    }

    /// Joins a pass that is near a cursor, or begins one.
    fn join(&self, query: &Query, cursor: &Cursor) -> Member {
        let mut open = self.open.lock();
        open.retain(|pass| pass.upgrade().is_some_and(|pass| !pass.has_ended()));
        let mut passes = open.iter().filter_map(Weak::upgrade);
        if let Some(member) = passes.find_map(|pass| pass.join(query, cursor)) {
            return member;
        }
        let (pass, member) = Pass::begin(query, cursor, self.time.clone(), self.limits);
        open.push(Arc::downgrade(&pass));
        member
    }
}

impl<S: EventStore + 'static> Source for Passes<S> {
    type Subscription = Passenger<S>;

    async fn follow(&self, subscribe: Subscribe) -> Result<Passenger<S>, ReadError> {
        let query = subscribe.query.clone();
        if let Some(cursor) = shareable(&subscribe) {
            let head = self.store.head().await?;
            // Without partitions an event has one place. A cursor that the store does not know is an error of its
            // own, and one at the head has nothing to catch up with.
            if head.position().is_some() && head.covers(&cursor) && !cursor.covers(&head) {
                let at = At::Shared(self.join(&query, &cursor));
                return Ok(Passenger { store: self.store.clone(), query, at });
            }
        }
        let alone = self.store.subscribe(subscribe).await?;
        Ok(Passenger { store: self.store.clone(), query, at: At::Alone(alone) })
    }
}

/// Returns where a subscription begins, if it can be a part of another one.
fn shareable(subscribe: &Subscribe) -> Option<Cursor> {
    let cursor = match &subscribe.from {
        Start::Outermost => Cursor::START,
        Start::Excluding(Point::Cursor(cursor)) => cursor.clone(),
        Start::Excluding(_) | Start::Including(_) => return None,
    };
    // Only the store knows what a named index lists.
    let can_be_matched = !subscribe.with_ordinals && subscribe.query.named_index().is_none();
    can_be_matched.then_some(cursor)
}

/// The subscription of one view: a member of a pass, until that ends or leaves it behind.
pub(crate) struct Passenger<S: EventStore> {
    store: Arc<S>,
    query: Query,
    at: At<S::Subscription>,
}

enum At<B> {
    Shared(Member),
    Alone(B),
}

impl<S: EventStore> Subscription for Passenger<S> {
    async fn next(&mut self) -> Result<Delivery, ReadError> {
        loop {
            let cursor = match &mut self.at {
                At::Alone(subscription) => return subscription.next().await,
                At::Shared(member) => match member.next(&*self.store).await {
                    Some(delivery) => return Ok(delivery),
                    None => member.cursor(),
                },
            };
            let alone = Subscribe::after(self.query.clone(), cursor);
            self.at = At::Alone(self.store.subscribe(alone).await?);
        }
    }

    fn ready(&mut self) -> Option<Delivery> {
        match &mut self.at {
            At::Alone(subscription) => subscription.ready(),
            At::Shared(member) => member.ready(),
        }
    }

    async fn advance(&mut self) -> Result<(), ReadError> {
        match &mut self.at {
            At::Alone(subscription) => subscription.advance().await,
            At::Shared(_) => Ok(()),
        }
    }

    fn cursor(&self) -> Cursor {
        match &self.at {
            At::Alone(subscription) => subscription.cursor(),
            At::Shared(member) => member.cursor(),
        }
    }
}
