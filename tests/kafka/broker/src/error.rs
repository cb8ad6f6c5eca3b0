use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

/// Why there is no broker.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// No Java, or one that is too old.
    #[error(
        "Kafka's broker needs Java 17 or newer, and {found}; install one (Debian and Ubuntu: \
         apt-get install openjdk-17-jre-headless; macOS: brew install openjdk; or adoptium.net) and \
         put it on the PATH or into JAVA_HOME"
    )]
    Java {
        /// What was found instead.
        found: String,
    },
    /// No Maven, and the jars are not in the cache.
    #[error(
        "the broker's jars are fetched by Maven, and `mvn` is not on the PATH; install it (Debian \
         and Ubuntu: apt-get install maven; macOS: brew install maven; or maven.apache.org)"
    )]
    Maven,
    /// Maven could not fetch the jars.
    #[error("Maven could not fetch the broker's jars; it said (log: {log}):\n{tail}")]
    Jars {
        /// Where Maven's output is.
        log: PathBuf,
        /// Its end.
        tail: String,
    },
    /// A node ended while it was starting.
    #[error("{node} ended while starting (log: {log}); its last lines:\n{tail}")]
    Ended {
        /// Which.
        node: String,
        /// Where its output is.
        log: PathBuf,
        /// Its end.
        tail: String,
    },
    /// A node did not become ready in time.
    #[error("{node} was not ready after {waited:?}: {why} (log: {log})")]
    NotReady {
        /// Which.
        node: String,
        /// How long it was waited for.
        waited: Duration,
        /// What it last answered.
        why: String,
        /// Where its output is.
        log: PathBuf,
    },
    /// There is no such broker.
    #[error("there is no broker {0} in this cluster")]
    NoSuchBroker(i32),
    /// All ports of the range are taken.
    #[error("no free port was found between {from} and {to}")]
    NoPort {
        /// The first port tried.
        from: u16,
        /// The last.
        to: u16,
    },
    /// A cluster runs in this directory already.
    #[error("a cluster runs already ({0}); take it down first")]
    Running(PathBuf),
    /// The system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system said.
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

    /// Whether another program took a port that was free a moment ago: other ports may do.
    pub(crate) fn port_was_taken(&self) -> bool {
        matches!(self, BrokerError::Ended { tail, .. } if tail.contains("Address already in use"))
    }
}
