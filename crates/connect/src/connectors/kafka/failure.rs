//! What a failure of Kafka means for a connector.

use std::time::Duration;

use leftfold_kafka::{KafkaError, ResponseError};
use tokio::time::{Instant, sleep};

use crate::connectors::ConnectorError;

const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Attempts of a request until a deadline, with growing pauses.
pub(super) struct Attempts {
    deadline: Instant,
    pause: Duration,
}

impl Attempts {
    pub(super) fn within(limit: Duration) -> Self {
        Attempts { deadline: Instant::now() + limit, pause: FIRST_PAUSE }
    }

    /// Waits before another attempt, or returns the error if none is worth it.
    pub(super) async fn after(&mut self, error: KafkaError) -> Result<(), KafkaError> {
        if !is_passing(&error) || Instant::now() + self.pause >= self.deadline {
            return Err(error);
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

/// Whether the same request may go well a little later.
fn is_passing(error: &KafkaError) -> bool {
    error.is_retriable()
        || matches!(
            error.code(),
            Some(ResponseError::ConcurrentTransactions | ResponseError::CoordinatorLoadInProgress)
        )
}

/// Returns the error of a connector. Only what an operator must change ends its attempts.
pub(super) fn describe(what: &str, error: &KafkaError) -> ConnectorError {
    let text = format!("{what}: {error}");
    let is_lasting = match error {
        KafkaError::Version { .. } | KafkaError::Unencodable { .. } => true,
        error => matches!(
            error.code(),
            Some(
                ResponseError::TopicAuthorizationFailed
                    | ResponseError::TransactionalIdAuthorizationFailed
                    | ResponseError::ClusterAuthorizationFailed
                    | ResponseError::SaslAuthenticationFailed
                    | ResponseError::UnsupportedSaslMechanism
                    | ResponseError::UnsupportedVersion
                    | ResponseError::UnsupportedForMessageFormat
                    | ResponseError::InvalidTopicException
                    | ResponseError::InvalidPartitions
                    | ResponseError::InvalidReplicationFactor
                    | ResponseError::InvalidTransactionTimeout
                    | ResponseError::PolicyViolation
                    | ResponseError::MessageTooLarge
                    | ResponseError::RecordListTooLarge
            )
        ),
    };
    match is_lasting {
        true => ConnectorError::unusable(text),
        false => ConnectorError::unavailable(text),
    }
}
