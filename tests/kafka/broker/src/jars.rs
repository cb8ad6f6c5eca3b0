//! The broker's jars.
//!
//! `LEFTFOLD_KAFKA_VERSION` names another version of Kafka than the one that `pom.xml` pins.

use std::path::PathBuf;
use std::sync::LazyLock;

use leftfold_java::{Jars, Java};

use crate::error::BrokerError;

const POM: &str = include_str!("../pom.xml");
const VARIABLE: &str = "LEFTFOLD_KAFKA_VERSION";

/// Returns the version of Kafka that brokers run: that of `LEFTFOLD_KAFKA_VERSION`, or else the one that `pom.xml` pins.
pub fn kafka_version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let named = std::env::var(VARIABLE).ok().filter(|version| !version.is_empty());
        named.unwrap_or_else(|| pinned().to_owned())
    });
    &VERSION
}

/// Returns the version that `pom.xml` pins.
fn pinned() -> &'static str {
    let rest = POM.split_once("<kafka.version>").map_or("", |(_, rest)| rest);
    rest.split_once('<').map_or("?", |(version, _)| version)
}

/// Checks that the text is a version, such as `4.3.1`, and nothing that would change the rest of `pom.xml`.
fn check_version(text: &str) -> Result<(), BrokerError> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    let begins = text.starts_with(|first: char| first.is_ascii_digit());
    match begins && text.bytes().all(is_allowed) {
        true => Ok(()),
        false => Err(BrokerError::Version(text.to_owned())),
    }
}

/// Returns `pom.xml` with a version of Kafka.
fn pom(version: &str) -> String {
    POM.replacen(&format!(">{}<", pinned()), &format!(">{version}<"), 1)
}

fn jars() -> Result<Jars, BrokerError> {
    let version = kafka_version();
    check_version(version)?;
    Ok(Jars { family: "kafka", version: version.to_owned(), pom: pom(version) })
}

/// Checks that the jars are in the cache, or else that Maven can fetch them.
pub(crate) fn check() -> Result<(), BrokerError> {
    Ok(jars()?.check()?)
}

/// Returns the directory with the jars; fetches them if they are missing.
pub(crate) fn directory(java: &Java) -> Result<PathBuf, BrokerError> {
    Ok(jars()?.directory(java)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_kafka_is_all_that_changes_in_the_pom() {
        assert_eq!(pom(pinned()), POM);
        let other = pom("3.9.2");
        assert!(other.contains("<kafka.version>3.9.2</kafka.version>"));
        assert_eq!(other.replace("3.9.2", pinned()), POM);
    }

    #[test]
    fn only_a_version_is_taken_as_one() {
        for (text, expected) in
            [("4.4.0", true), ("4.4.0-rc1", true), ("", false), ("latest", false), ("4<x", false)]
        {
            assert_eq!(check_version(text).is_ok(), expected, "{text}");
        }
    }
}
