use std::io;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use thiserror::Error;

use crate::address::Address;

/// The error of a request.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum KafkaError {
    /// No connection was made, so no request was sent.
    #[error("connecting to {address}: {source}")]
    Connect {
        /// The broker's address.
        address: Address,
        /// The error of the system.
        source: Arc<io::Error>,
    },
    /// The connection ended before the answer came.
    #[error("the connection to {0} ended before the answer came")]
    Closed(Address),
    /// No answer came in time. A later answer is dropped.
    #[error("no answer to {request} within {waited:?}")]
    Timeout {
        /// The kind of request.
        request: &'static str,
        /// The time waited.
        waited: Duration,
    },
    /// The queue of the connection is full, by number or by bytes; nothing was sent.
    #[error("the queue of the connection is full, {0} requests wait; wait for some of them first")]
    Busy(usize),
    /// The broker does not speak the version; nothing was sent.
    #[error("the broker has no {request} of a version between {least} and {greatest}")]
    Version {
        /// The kind of request.
        request: &'static str,
        /// The oldest that would do.
        least: i16,
        /// The newest.
        greatest: i16,
    },
    /// The request cannot be encoded; nothing was sent.
    #[error("{request} cannot be encoded: {why}")]
    Unencodable {
        /// The kind of request.
        request: &'static str,
        /// The reason.
        why: String,
    },
    /// The answer violates the protocol.
    #[error("the answer to {request} cannot be read: {why}")]
    Malformed {
        /// The kind of request.
        request: &'static str,
        /// The violation.
        why: String,
    },
    /// The broker refused the request.
    #[error("{request} was refused: {code}{}{message}", if .message.is_empty() { "" } else { ": " })]
    Refused {
        /// The kind of request.
        request: &'static str,
        /// Kafka's code.
        code: ResponseError,
        /// The broker's message.
        message: String,
    },
    /// The text is not the address of a broker.
    #[error("expected the address of a broker as host:port, found {0:?}")]
    InvalidAddress(String),
    /// A certificate or a key cannot be used.
    #[error("TLS: {0}")]
    Tls(String),
    /// The text names no mechanism of authentication that the client has.
    #[error("expected SASL mechanism PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512, found {0:?}")]
    UnknownMechanism(String),
    /// There is no leader or coordinator at the moment.
    #[error("no broker is responsible for {0} at the moment; retry later")]
    NoBroker(String),
    /// The request was not executed, because of an earlier request or of the error of an earlier attempt.
    #[error("the request was not executed: {0}")]
    NotExecuted(Box<KafkaError>),
    /// An earlier attempt may have executed the request; the last attempt failed with this error.
    #[error("the request may have been executed; the last attempt failed: {0}")]
    Unsettled(Box<KafkaError>),
    /// The client was dropped before the answer came.
    #[error("the client was dropped before the answer came")]
    Dropped,
}

impl KafkaError {
    /// Returns the error for an answer that violates the protocol.
    pub fn malformed(request: &'static str, why: impl ToString) -> Self {
        KafkaError::Malformed { request, why: why.to_string() }
    }

    /// Returns an answer's code as a result.
    ///
    /// # Errors
    /// The code is not that of success.
    pub fn check(
        request: &'static str,
        code: i16,
        message: Option<&str>,
    ) -> Result<(), KafkaError> {
        let message = message.unwrap_or_default().to_owned();
        match ResponseError::try_from_code(code) {
            None => Ok(()),
            Some(code) => Err(KafkaError::Refused { request, code, message }),
        }
    }

    /// Returns Kafka's code if the broker refused the request.
    pub fn code(&self) -> Option<ResponseError> {
        match self {
            KafkaError::Refused { code, .. } => Some(*code),
            KafkaError::NotExecuted(cause) | KafkaError::Unsettled(cause) => cause.code(),
            _ => None,
        }
    }

    /// Returns whether the broker may have executed the request, or may still execute it.
    pub fn is_outcome_unknown(&self) -> bool {
        match self {
            KafkaError::Closed(_)
            | KafkaError::Timeout { .. }
            | KafkaError::Malformed { .. }
            | KafkaError::Unsettled(_)
            | KafkaError::Dropped => true,
            KafkaError::Refused { code, .. } => matches!(
                code,
                ResponseError::RequestTimedOut
                    | ResponseError::NotEnoughReplicasAfterAppend
                    | ResponseError::NetworkException
                    | ResponseError::UnknownServerError
                    | ResponseError::NotLeaderOrFollower
                    | ResponseError::KafkaStorageError
                    | ResponseError::Unknown(_)
            ),
            _ => false,
        }
    }

    /// Returns whether the same request may succeed later, at this broker or at another.
    pub fn is_retriable(&self) -> bool {
        match self {
            KafkaError::Connect { .. }
            | KafkaError::Closed(_)
            | KafkaError::Timeout { .. }
            | KafkaError::Busy(_)
            | KafkaError::NoBroker(_) => true,
            KafkaError::Refused { code, .. } => code.is_retriable(),
            _ => false,
        }
    }

    /// Returns whether the broker refused the request because a newer producer took over.
    pub fn is_fenced(&self) -> bool {
        matches!(
            self.code(),
            Some(
                ResponseError::InvalidProducerEpoch
                    | ResponseError::ProducerFenced
                    | ResponseError::InvalidProducerIdMapping
            )
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: ResponseError) -> KafkaError {
        KafkaError::Refused { request: "ProduceRequest", code, message: String::new() }
    }

    #[test]
    fn a_refusal_after_an_attempt_without_an_answer_leaves_the_outcome_open() {
        let fenced = refused(ResponseError::InvalidProducerEpoch);
        assert!(fenced.is_fenced() && !fenced.is_outcome_unknown() && !fenced.is_retriable());
        let unsettled = KafkaError::Unsettled(Box::new(fenced));
        assert!(unsettled.is_fenced() && unsettled.is_outcome_unknown());
        assert!(!unsettled.is_retriable());
        let unsent = KafkaError::NotExecuted(Box::new(unsettled));
        assert!(unsent.is_fenced() && !unsent.is_outcome_unknown());
    }

    #[test]
    fn a_leader_that_moved_is_worth_a_retry_and_leaves_the_outcome_open() {
        let moved = refused(ResponseError::NotLeaderOrFollower);
        assert!(moved.is_retriable() && moved.is_outcome_unknown());
        assert!(!refused(ResponseError::MessageTooLarge).is_retriable());
    }
}
