//! A real OpenSearch without containers: jars from Maven Central, one Java process on 127.0.0.1.
//!
//! [`Server::start`] fetches the jars that `pom.xml` pins (once, into the user's cache) and starts a node on free ports.
//! The node can be killed (`SIGKILL`), paused (`SIGSTOP`), resumed and restarted with its ports and data. It ends with
//! the process that started it, however that ends.

mod error;
mod probe;
mod server;

use leftfold_java::{Jars, Java};

pub use error::ServerError;
pub use server::Server;

const POM: &str = include_str!("../pom.xml");

/// Returns the version of OpenSearch, which `pom.xml` pins.
pub fn version() -> &'static str {
    let rest = POM.split_once("<opensearch.version>").map_or("", |(_, rest)| rest);
    rest.split_once('<').map_or("?", |(version, _)| version)
}

fn jars() -> Jars {
    Jars { family: "opensearch", version: version().to_owned(), pom: POM.to_owned() }
}

/// Checks that the machine has what a node needs: a JDK, and Maven unless the jars are in the cache. Fetches nothing.
///
/// # Errors
/// What is missing.
pub fn check() -> Result<(), ServerError> {
    Java::find()?.compiler()?;
    Ok(jars().check()?)
}

/// Finds Java, and fetches the jars if they are not in the cache.
///
/// # Errors
/// There is no Java, or the jars can't be fetched.
pub fn prepare() -> Result<(), ServerError> {
    jars().directory(&Java::find()?)?;
    Ok(())
}
