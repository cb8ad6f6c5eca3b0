use std::sync::Arc;

use leftfold_api::Engine;
use tokio::sync::{Mutex, Semaphore, watch};

use crate::access::Access;
use crate::config::Config;
use crate::metrics::Metrics;

pub use crate::subscriptions::{Subscribed, Subscriptions};

/// Memory for bodies is given out in so many bytes.
pub(crate) const BODY_UNIT: usize = 16 << 10;

/// What all protocols share.
pub struct State {
    /// The store. What `EventStore` has is asked through that trait; the rest is administration.
    pub store: Arc<dyn Engine>,
    /// Who may do what.
    pub access: Access,
    /// The settings.
    pub config: Config,
    /// The subscriptions of all protocols and connections.
    pub subscriptions: Arc<Subscriptions>,
    /// What was done.
    pub metrics: Metrics,
    /// Memory for bodies, in units.
    pub(crate) bodies: Arc<Semaphore>,
    /// Held by what scavenges or backs up: one at a time.
    pub(crate) administration: Arc<Mutex<()>>,
    closing: watch::Sender<bool>,
}

/// An extension of an answer that goes on and on: it counts as a subscription (and must hold a
/// [`Subscribed`]), not as a request in flight.
#[derive(Debug, Clone, Copy)]
pub struct LongLived;

impl State {
    pub(crate) fn new(config: Config, store: Arc<dyn Engine>, access: Access) -> Self {
        let closing = watch::Sender::new(false);
        let subscriptions = Arc::new(Subscriptions::new(config.subscriptions));
        let metrics = Metrics::new(store.clone(), subscriptions.clone());
        let units = config.bodies_bytes.get() / BODY_UNIT;
        let bodies = Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS)));
        let administration = Arc::default();
        State { store, access, config, subscriptions, metrics, bodies, administration, closing }
    }

    /// Returns when the server is shutting down: what lasts, such as a subscription, ends then.
    pub async fn closed(&self) {
        // No error: the one who tells is held here.
        _ = self.closing.subscribe().wait_for(|closing| *closing).await;
    }

    /// From now on the server is shutting down.
    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Whether the server is shutting down.
    pub fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }
}
