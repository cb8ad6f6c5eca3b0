use std::sync::Arc;

use leftfold_api::Engine;
use tokio::sync::Semaphore;

use crate::access::Access;
use crate::administration::Administration;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::net::Shutdown;

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
    pub(crate) administration: Administration,
    pub(crate) shutdown: Shutdown,
}

/// An extension of an answer that goes on and on: it counts as a subscription (and must hold a
/// [`Subscribed`]), not as a request in flight.
#[derive(Debug, Clone, Copy)]
pub struct LongLived;

impl State {
    pub(crate) fn new(config: Config, store: Arc<dyn Engine>, access: Access) -> Self {
        let shutdown = Shutdown::new();
        let subscriptions = Arc::new(Subscriptions::new(config.subscriptions));
        let metrics = Metrics::new(store.clone(), subscriptions.clone());
        let units = config.bodies_bytes.get() / BODY_UNIT;
        let bodies = Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS)));
        let administration = Administration::new();
        State { store, access, config, subscriptions, metrics, bodies, administration, shutdown }
    }

    /// Returns when the server is shutting down: what lasts, such as a subscription, ends then.
    pub async fn closed(&self) {
        self.shutdown.begun().await;
    }

    /// From now on the server is shutting down.
    pub(crate) fn close(&self) {
        self.shutdown.begin();
    }

    /// Whether the server is shutting down.
    pub fn is_closing(&self) -> bool {
        self.shutdown.has_begun()
    }
}
