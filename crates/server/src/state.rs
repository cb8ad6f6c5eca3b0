use std::sync::Arc;

use leftfold_api::Engine;

use crate::access::Access;
use crate::administration::Administration;
use crate::config::Config;
use crate::connectors::RunningConnectors;
use crate::limits::SharedLimits;
use crate::metrics::Metrics;
use crate::net::Shutdown;
use crate::views::SqlViews;

pub use crate::subscriptions::{SubscriptionProgress, Subscriptions};

/// The state that all protocols share.
pub struct State {
    /// The store.
    pub store: Arc<dyn Engine>,
    /// Authenticates and authorizes callers.
    pub access: Access,
    /// The settings.
    pub config: Config,
    /// The subscriptions of all protocols and connections.
    pub subscriptions: Arc<Subscriptions>,
    /// The metrics.
    pub metrics: Metrics,
    /// What requests share.
    pub(crate) limits: Arc<SharedLimits>,
    /// The SQL views.
    pub(crate) views: SqlViews,
    /// The connectors.
    pub(crate) connectors: RunningConnectors,
    pub(crate) administration: Administration,
    pub(crate) shutdown: Shutdown,
}

/// Marks a long-lived answer, as an extension of it: it counts as a subscription and not as a request
/// in flight. Its body must hold a [`SubscriptionProgress`].
#[derive(Debug, Clone, Copy)]
pub struct LongLived;

impl State {
    pub(crate) fn new(
        config: Config,
        store: Arc<dyn Engine>,
        access: Access,
        views: SqlViews,
        connectors: RunningConnectors,
    ) -> Self {
        let shutdown = Shutdown::new();
        let limits = Arc::new(SharedLimits::new(&config, &*store));
        let subscriptions = Arc::new(Subscriptions::new(limits.subscriptions.clone()));
        let statuses = (views.statuses(), connectors.statuses());
        let metrics = Metrics::new(store.clone(), subscriptions.clone(), statuses.0, statuses.1);
        let administration = Administration::new();
        State {
            store,
            access,
            config,
            subscriptions,
            metrics,
            limits,
            views,
            connectors,
            administration,
            shutdown,
        }
    }

    /// Returns the state for another store of the same server. They share the limits and the shutdown.
    pub(crate) fn for_store(&self, store: Arc<dyn Engine>) -> Self {
        let (views, connectors) = (SqlViews::off(&self.config), RunningConnectors::off());
        let subscriptions = self.subscriptions.clone();
        State {
            metrics: Metrics::new(
                store.clone(),
                subscriptions.clone(),
                views.statuses(),
                connectors.statuses(),
            ),
            access: Access::local(store.clone()),
            store,
            config: self.config.clone(),
            subscriptions,
            limits: self.limits.clone(),
            views,
            connectors,
            administration: Administration::new(),
            shutdown: self.shutdown.clone(),
        }
    }

    /// Waits until the server is shutting down. Long-lived answers, such as subscriptions, end then.
    pub async fn closed(&self) {
        self.shutdown.begun().await;
    }

    /// Begins the shutdown.
    pub(crate) fn close(&self) {
        self.shutdown.begin();
    }

    /// Returns whether the server is shutting down.
    pub fn is_closing(&self) -> bool {
        self.shutdown.has_begun()
    }
}
