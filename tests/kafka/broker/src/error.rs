use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use leftfold_java::JavaError;
use thiserror::Error;

/// The error of starting or controlling a broker.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// No Java, no jars, or a process that can't be started.
    #[error(transparent)]
    Java(#[from] JavaError),
    /// The named version of Kafka is none.
    #[error(
        "LEFTFOLD_KAFKA_VERSION is {0:?}, expected a version of Apache Kafka such as 4.3.1; \
         remove it to get the version that the tests pin"
    )]
    Version(String),
    /// A node ended while it was starting.
    #[error("{node} ended while starting (log: {log}); its last lines:\n{tail}")]
    Ended {
        /// The node.
        node: String,
        /// The file with its output.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// A node did not become ready in time.
    #[error("{node} was not ready after {waited:?}: {why} (log: {log})")]
    NotReady {
        /// The node.
        node: String,
        /// The time waited.
        waited: Duration,
        /// Its last answer.
        why: String,
        /// The file with its output.
        log: PathBuf,
    },
    /// There is no such broker.
    #[error("there is no broker {0} in this cluster")]
    NoSuchBroker(i32),
    /// No port can be reserved.
    #[error("no port can be reserved: {0}")]
    Port(#[source] io::Error),
    /// A cluster is already running in this directory.
    #[error("a cluster is already running ({0}); take it down first")]
    Running(PathBuf),
    /// An operation of the system failed.
    #[error("{what}: {source}")]
    Io {
        /// The operation.
        what: String,
        /// The error of the system.
        source: io::Error,
    },
}

impl BrokerError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        |source| BrokerError::Io { what, source }
    }

    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        Self::io(path.display().to_string())
    }

    /// Returns whether another program took a reserved port, so that other ports may work.
    pub(crate) fn port_was_taken(&self) -> bool {
        matches!(self, BrokerError::Ended { tail, .. } if tail.contains("Address already in use"))
    }
}
