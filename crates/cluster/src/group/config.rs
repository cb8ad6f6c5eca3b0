//! The settings of a member.

use std::time::Duration;

use thiserror::Error;

use super::MetadataError;
use super::assign::Policy;

/// The most bytes of a node's name: what Kafka allows.
const NAME_LIMIT: usize = 249;

/// The most partitions of a cluster. Their routes fit into the record in which Kafka stores a group.
pub const PARTITION_LIMIT: u32 = 10_000;

/// The settings of a member.
#[derive(Debug, Clone)]
pub struct MemberConfig {
    /// The node's name, which is unique in the cluster (`group.instance.id`).
    pub name: String,
    /// How partitions are assigned, if this node leads.
    pub policy: Policy,
    /// The time between heartbeats. A node learns of a new generation by its next heartbeat.
    pub heartbeat_interval: Duration,
    /// The time without heartbeats after which other nodes take over. By default brokers allow no less than 6 s
    /// (`group.min.session.timeout.ms`).
    pub session_timeout: Duration,
    /// The time that the coordinator waits for members to join again. Absent ones are dropped by their session.
    pub rebalance_timeout: Duration,
    /// The time after which a request is given up that the [`super::Coordinator`] should have given up before, beyond
    /// what the broker waits itself.
    pub request_timeout: Duration,
}

impl MemberConfig {
    /// Returns the default settings of a node.
    pub fn new(name: impl Into<String>, policy: Policy) -> Self {
        MemberConfig {
            name: name.into(),
            policy,
            heartbeat_interval: Duration::from_millis(300),
            session_timeout: Duration::from_secs(6),
            rebalance_timeout: Duration::from_secs(6),
            request_timeout: Duration::from_secs(10),
        }
    }

    /// Checks the settings that a coordinator or other nodes would refuse.
    pub(super) fn check(&self) -> Result<(), MetadataError> {
        check_name(&self.name)?;
        let partitions = self.policy.partitions;
        if !(1..=PARTITION_LIMIT).contains(&partitions) {
            return Err(MetadataError::Partitions { found: partitions, limit: PARTITION_LIMIT });
        }
        Ok(())
    }
}

/// Checks a node's name: Kafka allows these characters only.
pub(super) fn check_name(name: &str) -> Result<(), MetadataError> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if (1..=NAME_LIMIT).contains(&name.len()) && name.bytes().all(is_allowed) {
        return Ok(());
    }
    let shown = name.chars().take(NAME_LIMIT).collect();
    Err(MetadataError::Name { name: shown, limit: NAME_LIMIT })
}

/// The membership has ended.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MembershipError {
    /// Another process uses the node's name.
    #[error(
        "another process has joined the cluster as node {0}, expected this process only; \
         give each node a name of its own, and start this one again"
    )]
    Replaced(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_others_would_refuse_are_refused() {
        let check = |name: &str, partitions| {
            let checked = MemberConfig::new(name, Policy::new(partitions)).check();
            checked.map_err(|error| error.to_string())
        };
        assert_eq!(check("node-1.a_b", 1), Ok(()));
        assert_eq!(check(&"n".repeat(249), 10_000), Ok(()));
        for name in ["", "a b", "ä", "a/b", &"n".repeat(250)] {
            assert!(check(name, 1).unwrap_err().contains("expected 1 to 249 letters"), "{name}");
        }
        for partitions in [0, 10_001] {
            let error = check("a", partitions).unwrap_err();
            assert!(error.contains("partitions, expected 1 to 10000"), "{error}");
        }
    }
}
