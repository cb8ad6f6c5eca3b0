use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use thiserror::Error;

/// Why a request has no good answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WireError {
    /// No connection was made, so nothing was asked.
    #[error("connecting to {address}: {source}")]
    Connect {
        /// To whom.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The connection ended before the answer came.
    #[error("the connection to {0} ended before the answer came")]
    Closed(SocketAddr),
    /// No answer in time. It may still come, to nobody.
    #[error("no answer to {request} within {waited:?}")]
    Timeout {
        /// The kind of request.
        request: &'static str,
        /// How long it was waited for.
        waited: Duration,
    },
    /// Too many requests wait for an answer on this connection; nothing was sent.
    #[error("{0} requests wait for an answer on this connection; wait for some of them first")]
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
    /// The request can't be laid out; nothing was sent.
    #[error("{request} can't be encoded: {why}")]
    Unencodable {
        /// The kind of request.
        request: &'static str,
        /// Why.
        why: String,
    },
    /// The answer is not what the protocol allows.
    #[error("the answer to {request} can't be read: {why}")]
    Malformed {
        /// The kind of request.
        request: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The broker said no.
    #[error("{request} was refused: {code}{}{message}", if .message.is_empty() { "" } else { ": " })]
    Refused {
        /// The kind of request.
        request: &'static str,
        /// Kafka's code.
        code: ResponseError,
        /// What the broker adds to it.
        message: String,
    },
    /// Whoever should answer is not known yet: there is no leader, or no coordinator.
    #[error("nobody answers for {0} at the moment")]
    Nobody(String),
}

impl WireError {
    pub(crate) fn malformed(request: &'static str, why: impl ToString) -> Self {
        WireError::Malformed { request, why: why.to_string() }
    }

    /// An answer's code, as a result.
    pub(crate) fn check(
        request: &'static str,
        code: i16,
        message: Option<&str>,
    ) -> Result<(), WireError> {
        let message = message.unwrap_or_default().to_owned();
        match ResponseError::try_from_code(code) {
            None => Ok(()),
            Some(code) => Err(WireError::Refused { request, code, message }),
        }
    }

    /// Kafka's code, if the broker gave one.
    pub fn code(&self) -> Option<ResponseError> {
        match self {
            WireError::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the request may have been carried out, now or later.
    pub fn outcome_unknown(&self) -> bool {
        match self {
            WireError::Closed(_) | WireError::Timeout { .. } | WireError::Malformed { .. } => true,
            WireError::Refused { code, .. } => matches!(
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

    /// Whether a newer producer has taken over, as far as a broker can tell.
    pub fn fenced(&self) -> bool {
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
