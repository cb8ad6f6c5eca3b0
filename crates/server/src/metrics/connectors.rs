//! Metrics of the connectors, as they were when they were last looked at.

use std::fmt;

use leftfold_connect::connectors::{ConnectorPhase, ConnectorStatus, Gauges};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::EncodeMetric;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::store::gauges;
use crate::connectors::Statuses;

/// The phases with their names.
const PHASES: [(ConnectorPhase, &str); 5] = [
    (ConnectorPhase::Running, "running"),
    (ConnectorPhase::Retrying, "retrying"),
    (ConnectorPhase::Failed, "failed"),
    (ConnectorPhase::Paused, "paused"),
    (ConnectorPhase::Elsewhere, "elsewhere"),
];

/// Reads a number; `None` if it is unknown.
type Show = fn(&Gauges) -> Option<f64>;

/// The gauges of each connector that runs: name, help, and what they show.
const GAUGES: [(&str, &str, Show); 4] = [
    (
        "connector_events",
        "Events that a connector has delivered or appended since its run began",
        |found| Some(found.events as f64),
    ),
    ("connector_skipped", "Events that a connector has left out since its run began", |found| {
        Some(found.skipped as f64)
    }),
    (
        "connector_held",
        "Streams, rows or files of a connector that are parked, tried again or held back",
        |found| Some(found.held as f64),
    ),
    (
        "connector_lag_seconds",
        "The age of the oldest event, row or file that a connector has not brought, in seconds",
        |found| found.lag_micros.map(|micros| micros as f64 / 1e6),
    ),
];

/// Collects the metrics of the connectors.
pub(super) struct ConnectorsCollector(Statuses);

impl fmt::Debug for ConnectorsCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectorsCollector")
    }
}

impl ConnectorsCollector {
    pub(super) fn new(statuses: Statuses) -> Self {
        ConnectorsCollector(statuses)
    }
}

impl Collector for ConnectorsCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let statuses = self.0.lock().clone();
        let is = |phase| move |one: &&ConnectorStatus| one.phase == phase;
        let phases =
            PHASES.map(|(phase, name)| (name, statuses.iter().filter(is(phase)).count() as u64));
        gauges(&mut encoder, "connectors", "Connectors, by what they are doing", "phase", &phases)?;
        for (name, help, show) in GAUGES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for one in &statuses {
                let Some(found) = one.gauges.as_ref().and_then(show) else { continue };
                let labels = [("connector", one.name.as_str())];
                ConstGauge::new(found).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
