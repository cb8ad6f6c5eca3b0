//! What to do after each error of the coordinator.

use std::time::Duration;

use leftfold_kafka::{KafkaError, ResponseError};

/// What helps against an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The coordinator begins a generation: join again with the same id.
    Rejoin,
    /// The coordinator does not know the member: join again without an id.
    JoinAsNew,
    /// Another process has joined under this name since.
    Replaced,
    /// Wait, and send the request again: the session may still be good.
    Retry,
    /// The group or its settings refuse the node: wait, and join again. An operator has to help.
    Refused,
}

impl Remedy {
    pub(super) fn of(error: &KafkaError) -> Self {
        match error.code() {
            Some(
                ResponseError::RebalanceInProgress
                | ResponseError::IllegalGeneration
                | ResponseError::MemberIdRequired,
            ) => Remedy::Rejoin,
            Some(ResponseError::UnknownMemberId) => Remedy::JoinAsNew,
            Some(ResponseError::FencedInstanceId) => Remedy::Replaced,
            Some(
                ResponseError::GroupAuthorizationFailed
                | ResponseError::InvalidGroupId
                | ResponseError::InvalidSessionTimeout
                | ResponseError::InconsistentGroupProtocol
                | ResponseError::GroupMaxSizeReached
                | ResponseError::UnsupportedVersion,
            ) => Remedy::Refused,
            // No answer, no coordinator, a coordinator that loads the group, or an error of the broker.
            _ => Remedy::Retry,
        }
    }

    /// Returns whether the error is a part of the protocol, and no problem.
    pub(super) fn is_routine(self) -> bool {
        matches!(self, Remedy::Rejoin | Remedy::JoinAsNew)
    }
}

/// The wait before the second attempt; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// The longest wait between attempts. It delays a node's return after Kafka was away.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Returns the wait after so many failures in a row. What is routine is tried again at once, the first time.
pub(super) fn wait_after(failures: u32, remedy: Remedy) -> Duration {
    if failures <= 1 && remedy.is_routine() {
        return Duration::ZERO;
    }
    let factor = 2_u32.saturating_pow(failures.saturating_sub(1).min(10));
    FIRST_WAIT.saturating_mul(factor).min(LONGEST_WAIT)
}
