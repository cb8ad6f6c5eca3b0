//! Metrics that are read from the store when they are asked for.

use std::fmt;
use std::sync::Arc;

use leftfold_api::{Engine, Histogram};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::state::Subscriptions;

/// Collects the metrics of the store and of the subscriptions.
pub(super) struct StoreCollector {
    store: Arc<dyn Engine>,
    subscriptions: Arc<Subscriptions>,
}

impl fmt::Debug for StoreCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreCollector")
    }
}

impl StoreCollector {
    pub(super) fn new(store: Arc<dyn Engine>, subscriptions: Arc<Subscriptions>) -> Self {
        StoreCollector { store, subscriptions }
    }
}

impl Collector for StoreCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let out = &mut encoder;
        let meters = self.store.meters();
        let batches = "Appends that one write and one fsync served";
        histogram(out, "batch_appends", batches, &meters.batches, 1.0)?;
        histogram(out, "sync_seconds", "Time of an fsync", &meters.syncs, 1e-6)?;
        let caches = [("log", meters.log_cache), ("index", meters.index_cache)];
        let hits = caches.map(|(cache, (hits, _))| (cache, hits));
        let misses = caches.map(|(cache, (_, misses))| (cache, misses));
        counters(out, "cache_hits", "Blocks that were found in memory", "cache", &hits)?;
        counters(out, "cache_misses", "Blocks that were read", "cache", &misses)?;
        gauge(out, "position", "The last durable position", meters.position)?;
        let behind = meters.clock_behind_micros / 1_000_000;
        let what = "Seconds by which the clock is behind the last commit time";
        gauge(out, "clock_behind_seconds", what, behind)?;
        if let Ok(stat) = self.store.administration().stat() {
            gauge(out, "streams", "Streams", stat.streams)?;
            gauge(out, "checkpoints", "Checkpoints", stat.checkpoints)?;
            let what = "Checkpoints that there may be";
            gauge(out, "checkpoints_allowed", what, stat.checkpoints_allowed)?;
            gauge(out, "indexes", "Named indexes", stat.indexes)?;
            let segments = stat.segments - stat.sealed;
            let states = [("sealed", stat.sealed), ("unsealed", segments)];
            gauges(out, "segments", "Segments of the log", "state", &states)?;
            gauge(out, "packed_segments", "Segments that are compressed", stat.compressed)?;
            let bytes = [("log", stat.log_bytes), ("index", stat.index_bytes)];
            gauges(out, "bytes", "Bytes on disk", "part", &bytes)?;
            gauge(out, "index_files", "Index files", stat.index_files)?;
            let failed = u64::from(stat.maintenance_failure.is_some());
            gauge(out, "upkeep_failed", "Whether maintenance has failed", failed)?;
        }
        let lags = self.subscriptions.lags(meters.position);
        gauge(out, "subscriptions", "Subscriptions", self.subscriptions.count() as u64)?;
        let most = lags.iter().map(|(_, lag)| *lag).max().unwrap_or(0);
        let help = "Events that the subscription farthest behind has not been sent";
        gauge(out, "subscription_lag_most", help, most)?;
        let named: Vec<_> =
            lags.iter().filter_map(|(n, lag)| Some((n.as_deref()?, *lag))).collect();
        let help = "Positions between a named subscription and the store's end";
        gauges(out, "subscription_lag", help, "subscription", &named)
    }
}

pub(super) fn gauge(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> fmt::Result {
    let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    gauge.encode(out.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

pub(super) fn gauges(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &'static str,
    values: &[(&str, u64)],
) -> fmt::Result {
    let mut family = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
    values.iter().try_for_each(|(of, value)| {
        let gauge = ConstGauge::new(i64::try_from(*value).unwrap_or(i64::MAX));
        gauge.encode(family.encode_family(&[(label, *of)])?)
    })
}

fn counters(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &'static str,
    values: &[(&str, u64)],
) -> fmt::Result {
    let mut family = out.encode_descriptor(name, help, None, MetricType::Counter)?;
    values.iter().try_for_each(|(of, value)| {
        ConstCounter::new(*value).encode(family.encode_family(&[(label, *of)])?)
    })
}

/// Encodes a meter as a histogram: its powers of two are the buckets, in this unit.
fn histogram(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metered: &Histogram,
    unit: f64,
) -> fmt::Result {
    let last = metered.counts.len().saturating_sub(1);
    let bound =
        |power: usize| if power == last { f64::MAX } else { unit * 2f64.powi(power as i32) };
    let counts = metered.counts.iter().enumerate();
    let buckets: Vec<_> = counts.map(|(power, count)| (bound(power), *count)).collect();
    let count = metered.counts.iter().sum();
    let mut metric = out.encode_descriptor(name, help, None, MetricType::Histogram)?;
    metric.encode_histogram::<NoLabelSet>(metered.sum as f64 * unit, count, &buckets, None)
}
