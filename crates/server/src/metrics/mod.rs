//! Metrics of the server and its store, for Prometheus.

mod cluster;
mod connectors;
mod store;
mod views;

use std::sync::Arc;
use std::time::Instant;

use leftfold_api::Engine;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::connectors::Statuses as ConnectorStatuses;
use crate::state::Subscriptions;
use crate::views::Statuses;

/// The media type of the text.
pub(crate) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: u16,
}

/// The metrics of a server. Every protocol adds to them.
pub struct Metrics {
    registry: Registry,
    append_seconds: Histogram,
    append_failures: Counter,
    appended_events: Counter,
    read_events: Counter,
    requests: Family<Status, Counter>,
    asks: Family<Outcome, Counter>,
    ask_seconds: Histogram,
    /// Requests in flight.
    pub(crate) in_flight: Gauge,
    /// Connections.
    pub(crate) connections: Gauge,
    /// Connections that were closed for want of file descriptors, or because their address has its share.
    pub(crate) refused_connections: Counter,
}

impl Metrics {
    pub(crate) fn new(
        store: Arc<dyn Engine>,
        subscriptions: Arc<Subscriptions>,
        views: Statuses,
        connectors: ConnectorStatuses,
    ) -> Self {
        let mut metrics = Metrics {
            registry: Registry::with_prefix("leftfold"),
            // From a tenth of a millisecond to about 13 seconds.
            append_seconds: Histogram::new(exponential_buckets(0.0001, 2.0, 18)),
            append_failures: Counter::default(),
            appended_events: Counter::default(),
            read_events: Counter::default(),
            requests: Family::default(),
            asks: Family::default(),
            ask_seconds: Histogram::new(exponential_buckets(0.0001, 2.0, 18)),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            refused_connections: Counter::default(),
        };
        metrics.register();
        let nodes = cluster::ClusterCollector::new(store.clone());
        let collector = store::StoreCollector::new(store, subscriptions);
        metrics.registry.register_collector(Box::new(collector));
        metrics.registry.register_collector(Box::new(nodes));
        metrics.registry.register_collector(Box::new(views::ViewsCollector::new(views)));
        let connectors = connectors::ConnectorsCollector::new(connectors);
        metrics.registry.register_collector(Box::new(connectors));
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        let seconds = self.append_seconds.clone();
        registry.register("append_seconds", "Time from an append to its answer", seconds);
        let failures = self.append_failures.clone();
        registry.register("append_failures", "Appends that were refused or failed", failures);
        registry.register("appended_events", "Events appended", self.appended_events.clone());
        registry.register("read_events", "Events read", self.read_events.clone());
        registry.register("requests", "Requests answered, by HTTP status", self.requests.clone());
        let asks = self.asks.clone();
        registry.register("view_asks", "Queries of views, by what became of them", asks);
        let seconds = self.ask_seconds.clone();
        registry.register("view_ask_seconds", "Time of a query of views", seconds);
        registry.register("requests_in_flight", "Requests in flight", self.in_flight.clone());
        registry.register("connections", "Connections", self.connections.clone());
        let refused = self.refused_connections.clone();
        let what = "Connections without a file descriptor, or beyond the share of an address";
        registry.register("refused_connections", what, refused);
    }

    /// Counts an append that was answered.
    pub fn appended(&self, started: Instant, events: usize, is_written: bool) {
        if is_written {
            self.append_seconds.observe(started.elapsed().as_secs_f64());
            self.appended_events.inc_by(events as u64);
        } else {
            self.append_failures.inc();
        }
    }

    /// Counts a query of views, by the code of its error.
    pub(crate) fn asked(&self, started: Instant, error: Option<&'static str>) {
        if error.is_none() {
            self.ask_seconds.observe(started.elapsed().as_secs_f64());
        }
        self.asks.get_or_create(&Outcome { outcome: error.unwrap_or("answered") }).inc();
    }

    /// Counts the events of a page that was read.
    pub fn read(&self, events: usize) {
        self.read_events.inc_by(events as u64);
    }

    pub(crate) fn answered(&self, status: u16) {
        self.requests.get_or_create(&Status { status }).inc();
    }

    /// Returns all metrics in the text form of OpenMetrics. Reads index files.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}
