use std::ops::RangeInclusive;
use std::time::Duration;

/// The bounds of what members can make a server keep.
#[derive(Debug, Clone)]
pub struct GroupLimits {
    /// Groups that have members, or members about to join.
    pub groups: usize,
    /// Members of one group.
    pub members: usize,
    /// The session timeouts that a member may ask for.
    pub session_timeout: RangeInclusive<Duration>,
    /// The time that the first rebalance of an empty group waits for more members; zero waits for none. Each
    /// member that arrives extends it, at most to the rebalance timeout.
    pub initial_delay: Duration,
    /// Bytes of the protocols, the assignments and the names of the members of one group.
    pub metadata_bytes: usize,
}

impl Default for GroupLimits {
    /// Returns Kafka's session timeouts and initial delay, with numbers that keep a server small.
    fn default() -> Self {
        GroupLimits {
            groups: 10_000,
            members: 1_000,
            session_timeout: Duration::from_secs(6)..=Duration::from_secs(30 * 60),
            initial_delay: Duration::from_secs(3),
            metadata_bytes: 8 << 20,
        }
    }
}
