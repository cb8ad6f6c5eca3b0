use leftfold_api::{AppendError, Coded, Invalid, ReadError};
use leftfold_fold::react::ReactorError;
use leftfold_fold::view::ViewError;
use thiserror::Error;

/// Why a connector can't be changed, or does not run.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum ConnectorError {
    /// The definition is wrong.
    #[error("{0}")]
    Definition(String),
    /// There is no such connector, or there is one already.
    #[error("{message}")]
    Name {
        /// A stable code.
        code: &'static str,
        /// What is wrong.
        message: String,
    },
    /// A secret is not where the definition says.
    #[error("{0}")]
    Secret(String),
    /// The other side can't be reached, or refuses: a later attempt may go well.
    #[error("{0}")]
    Unavailable(String),
    /// The other side is not as it must be, and does not get better by itself.
    #[error("{0}")]
    Unusable(String),
    /// Another run of the connector has taken its place in the target.
    #[error("{0}")]
    Overtaken(String),
    /// An event could not be delivered, and the connector stops at such.
    #[error("{stream}@{version}: {reason}; mend it, then resume the connector")]
    Event {
        /// The stream of the event.
        stream: String,
        /// Its version.
        version: u64,
        /// Why it could not be delivered.
        reason: String,
    },
    /// The query or a name is invalid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The store can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store can't be written.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The progress can't be kept.
    #[error(transparent)]
    Reactor(#[from] ReactorError),
    /// The progress in the target can't be kept.
    #[error(transparent)]
    Sink(#[from] ViewError),
}

impl ConnectorError {
    /// Makes the error of a target that can't be reached now.
    pub(crate) fn unavailable(what: impl std::fmt::Display) -> Self {
        ConnectorError::Unavailable(what.to_string())
    }

    /// Whether another run of the connector has stopped this one.
    pub(super) fn is_overtaken(&self) -> bool {
        matches!(
            self,
            ConnectorError::Overtaken(_) | ConnectorError::Reactor(ReactorError::Overtaken { .. })
        )
    }

    /// Makes the error of a target that must be changed by its operator.
    pub(crate) fn unusable(what: impl std::fmt::Display) -> Self {
        ConnectorError::Unusable(what.to_string())
    }
}

impl Coded for ConnectorError {
    fn code(&self) -> &'static str {
        match self {
            ConnectorError::Definition(_) => "connector_invalid",
            ConnectorError::Name { code, .. } => code,
            ConnectorError::Secret(_) => "connector_secret_missing",
            ConnectorError::Unavailable(_) => "connector_unavailable",
            ConnectorError::Unusable(_) | ConnectorError::Overtaken(_) => "connector_unusable",
            ConnectorError::Event { .. } => "connector_event_refused",
            ConnectorError::Invalid(error) => error.code,
            ConnectorError::Read(error) => error.code(),
            ConnectorError::Append(error) => error.code(),
            ConnectorError::Reactor(error) => error.code(),
            ConnectorError::Sink(error) => error.code(),
        }
    }

    fn can_retry(&self) -> bool {
        match self {
            ConnectorError::Unavailable(_) => true,
            // The file of a secret may come later, as it does in a container that starts.
            ConnectorError::Secret(_) => true,
            ConnectorError::Read(error) => error.can_retry(),
            // A store whose disk is full goes on by itself once there is space.
            ConnectorError::Append(AppendError::Failure(failure)) => {
                failure.is_temporary() || failure.can_retry()
            }
            ConnectorError::Append(error) => error.can_retry(),
            ConnectorError::Reactor(error) => error.can_retry(),
            ConnectorError::Sink(error) => error.can_retry(),
            _ => false,
        }
    }
}
