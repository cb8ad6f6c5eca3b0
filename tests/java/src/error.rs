use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a server of Java can't be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JavaError {
    /// No Java, or one that is too old.
    #[error(
        "Java 17 or newer is needed, but {found}; install it (Debian and Ubuntu: \
         apt-get install openjdk-17-jre-headless; macOS: brew install openjdk; or adoptium.net) and \
         put it on the PATH or into JAVA_HOME"
    )]
    Java {
        /// The Java that was found.
        found: String,
    },
    /// Java, but not its compiler.
    #[error(
        "the compiler of Java, javac, is needed, and there is none; install a JDK (Debian and Ubuntu: \
         apt-get install openjdk-17-jdk-headless)"
    )]
    Compiler,
    /// No Maven, and the jars are not in the cache.
    #[error(
        "the jars of the tests' servers are fetched by Maven, and `mvn` is not on the PATH; install it (Debian \
         and Ubuntu: apt-get install maven; macOS: brew install maven; or maven.apache.org)"
    )]
    Maven,
    /// Maven could not fetch the jars.
    #[error("Maven could not fetch the jars; its last lines (log: {log}):\n{tail}")]
    Jars {
        /// The file with Maven's output.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// A server is already running in this directory.
    #[error("a server is already running in {0}; stop it first")]
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

impl JavaError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        |source| JavaError::Io { what, source }
    }

    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        Self::io(path.display().to_string())
    }
}
