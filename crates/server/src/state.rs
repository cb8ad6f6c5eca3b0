use std::sync::Arc;

use leftfold_store::Embedded;
use tokio::sync::{Semaphore, watch};

use crate::access::Access;
use crate::config::Config;

/// What all protocols share.
pub struct State {
    /// The store. What `EventStore` has is asked through that trait; the rest is administration.
    pub store: Arc<Embedded>,
    /// Who may do what.
    pub access: Access,
    /// The settings.
    pub config: Config,
    /// One permit for each subscription, of all protocols and connections.
    pub subscriptions: Arc<Semaphore>,
    closing: watch::Receiver<bool>,
}

/// An extension of an answer that goes on and on: it counts as a subscription (and must hold one of
/// [`State::subscriptions`]), not as a request in flight.
#[derive(Debug, Clone, Copy)]
pub struct LongLived;

impl State {
    pub(crate) fn new(
        config: Config,
        store: Arc<Embedded>,
        access: Access,
        closing: watch::Receiver<bool>,
    ) -> Self {
        let subscriptions = Arc::new(Semaphore::new(config.subscriptions));
        State { store, access, config, subscriptions, closing }
    }

    /// Returns when the server is shutting down: what lasts, such as a subscription, ends then.
    pub async fn closed(&self) {
        // An error says that the one who would tell is gone.
        _ = self.closing.clone().wait_for(|closing| *closing).await;
    }

    /// Whether the server is shutting down.
    pub fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }
}
