//! Metrics of the partitions of a node of a cluster, read when they are asked for.

use std::fmt;
use std::sync::Arc;

use leftfold_api::{ClusterPartition, ClusterStatus, Engine};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::store::gauge;

/// What a node can be to a partition.
const ROLES: [&str; 4] = ["opening", "standby", "claiming", "owner"];

/// Collects the metrics of the cluster, if the engine is a node of one.
pub(super) struct ClusterCollector(Arc<dyn Engine>);

impl fmt::Debug for ClusterCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterCollector")
    }
}

impl ClusterCollector {
    pub(super) fn new(engine: Arc<dyn Engine>) -> Self {
        ClusterCollector(engine)
    }
}

impl Collector for ClusterCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(cluster) = self.0.cluster() else { return Ok(()) };
        let status = cluster.status();
        let out = &mut encoder;
        let is_member = u64::from(status.standing == "member");
        gauge(out, "cluster_member", "Whether the node is a member of its cluster", is_member)?;
        let members = status.members.len() as u64;
        gauge(out, "cluster_members", "Nodes of the cluster, as the node last heard", members)?;
        let is_draining = u64::from(status.is_draining);
        gauge(out, "cluster_draining", "Whether the node gives its partitions away", is_draining)?;
        roles(out, &status)?;
        let term = "The term that the node's copy of a partition has come to";
        partitions(out, &status, "partition_term", term, |partition| partition.term)?;
        let applied = "The position up to which the node's copy has applied the log";
        partitions(out, &status, "partition_applied", applied, |partition| partition.applied)?;
        let end = "The last position of a partition's log, as the node last saw it";
        partitions(out, &status, "partition_end", end, |partition| partition.end)?;
        let lag = "Positions by which the node's copy is behind the log";
        partitions(out, &status, "partition_lag", lag, ClusterPartition::lag)?;
        let failing = "Whether something fails for a partition on the node";
        partitions(out, &status, "partition_failing", failing, |partition| {
            u64::from(partition.failure.is_some())
        })
    }
}

/// Encodes each role of each partition: 1 for the one that the node has, 0 for the others.
fn roles(out: &mut DescriptorEncoder<'_>, status: &ClusterStatus) -> fmt::Result {
    let help = "1 for what the node is to a partition, 0 for what it is not";
    let mut family = out.encode_descriptor("partition_role", help, None, MetricType::Gauge)?;
    for partition in &status.partitions {
        let number = partition.number.to_string();
        for role in ROLES {
            let labels = [("partition", number.as_str()), ("role", role)];
            let gauge = ConstGauge::new(i64::from(partition.role == role));
            gauge.encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn partitions(
    out: &mut DescriptorEncoder<'_>,
    status: &ClusterStatus,
    name: &str,
    help: &str,
    value: impl Fn(&ClusterPartition) -> u64,
) -> fmt::Result {
    let mut family = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
    status.partitions.iter().try_for_each(|partition| {
        let number = partition.number.to_string();
        let gauge = ConstGauge::new(i64::try_from(value(partition)).unwrap_or(i64::MAX));
        gauge.encode(family.encode_family(&[("partition", number.as_str())])?)
    })
}
