use std::io;
use std::path::PathBuf;
use std::time::Duration;

use leftfold_java::JavaError;
use thiserror::Error;

/// Why there is no OpenSearch.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// No Java, no jars, or a process that can't be started.
    #[error(transparent)]
    Java(#[from] JavaError),
    /// The node's own class does not compile.
    #[error("SearchNode.java does not compile: {reason}")]
    Compile {
        /// What the compiler says.
        reason: String,
    },
    /// The node ended while it was starting.
    #[error("OpenSearch ended while starting (log: {log}); its last lines:\n{tail}")]
    Ended {
        /// The file with its output.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// The node did not answer in time.
    #[error("OpenSearch did not answer after {waited:?} (log: {log})")]
    NotReady {
        /// The time waited.
        waited: Duration,
        /// The file with its output.
        log: PathBuf,
    },
    /// A file or a port.
    #[error(transparent)]
    Io(#[from] io::Error),
}
