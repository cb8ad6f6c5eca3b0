//! Metrics of the SQL views, as they were when they were last looked at.

use std::fmt;

use leftfold_views::{ViewPhase, ViewStatus};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::EncodeMetric;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::store::gauges;
use crate::views::Statuses;

/// The phases with their names.
const PHASES: [(ViewPhase, &str); 5] = [
    (ViewPhase::Building, "building"),
    (ViewPhase::Following, "following"),
    (ViewPhase::Standby, "standby"),
    (ViewPhase::Paused, "paused"),
    (ViewPhase::Failed, "failed"),
];

/// Collects the metrics of the views.
pub(super) struct ViewsCollector(Statuses);

impl fmt::Debug for ViewsCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ViewsCollector")
    }
}

impl ViewsCollector {
    pub(super) fn new(statuses: Statuses) -> Self {
        ViewsCollector(statuses)
    }
}

impl Collector for ViewsCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let statuses = self.0.lock().clone();
        let count = |phase| statuses.iter().filter(|view| view.phase == phase).count() as u64;
        let phases = PHASES.map(|(phase, name)| (name, count(phase)));
        gauges(&mut encoder, "views", "SQL views, by what they are doing", "phase", &phases)?;
        let help = "Events of a view that are parked, or wait behind parked ones";
        let mut family =
            encoder.encode_descriptor("view_events_waiting", help, None, MetricType::Gauge)?;
        statuses.iter().try_for_each(|view| {
            let labels = [("view", view.name.as_str())];
            ConstGauge::new(view.waiting).encode(family.encode_family(&labels)?)
        })?;
        let help = "The age of the oldest event that is not in the tables of a view, in seconds";
        let mut family =
            encoder.encode_descriptor("view_lag_seconds", help, None, MetricType::Gauge)?;
        let lags = statuses.iter().filter_map(lag);
        lags.into_iter().try_for_each(|(view, seconds)| {
            ConstGauge::new(seconds).encode(family.encode_family(&[("view", view)])?)
        })
    }
}

fn lag(view: &ViewStatus) -> Option<(&str, f64)> {
    Some((view.name.as_str(), view.lag_micros? as f64 / 1e6))
}
