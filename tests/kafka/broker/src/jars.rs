//! The broker's jars, in the user's cache under a name that changes whenever `pom.xml` or the version does.
//!
//! `LEFTFOLD_KAFKA_VERSION` names another version of Kafka than the one that `pom.xml` pins.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use crate::error::BrokerError;
use crate::java::Java;

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

/// Returns the cache directory: below `XDG_CACHE_HOME`, or `.cache` in the user's home.
fn cache() -> PathBuf {
    let named = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty());
    let home = || std::env::home_dir().unwrap_or_else(std::env::temp_dir).join(".cache");
    named.map_or_else(home, PathBuf::from).join("leftfold/kafka")
}

/// Returns the name of this version's directory in the cache.
fn name() -> String {
    let version = kafka_version();
    format!("{version}-{:08x}", crc32c::crc32c(pom(version).as_bytes()))
}

/// Checks that the jars are in the cache, or else that Maven can fetch them.
pub(crate) fn check() -> Result<(), BrokerError> {
    check_version(kafka_version())?;
    if cache().join(name()).is_dir() {
        return Ok(());
    }
    let maven = Command::new("mvn").arg("--version").stdin(Stdio::null()).output();
    maven.map(drop).map_err(|_| BrokerError::Maven)
}

/// Returns the directory with the jars; fetches them if they are missing.
pub(crate) fn directory(java: &Java) -> Result<PathBuf, BrokerError> {
    check_version(kafka_version())?;
    let cache = cache();
    fs::create_dir_all(&cache).map_err(BrokerError::at(&cache))?;
    let name = name();
    let jars = cache.join(&name);
    if jars.is_dir() {
        return Ok(jars);
    }
    // Several test programs may start at once; one of them fetches.
    let lock = cache.join(format!("{name}.lock"));
    let lock = File::create(&lock).and_then(|file| file.lock().map(|()| file));
    let _lock = lock.map_err(BrokerError::io("locking the cache of jars"))?;
    if !jars.is_dir() {
        fetch(java, &cache, &name)?;
    }
    Ok(jars)
}

/// Fetches the jars into a work directory and moves them into place when they are complete.
fn fetch(java: &Java, cache: &Path, name: &str) -> Result<(), BrokerError> {
    let work = cache.join(format!("{name}.work"));
    if work.exists() {
        fs::remove_dir_all(&work).map_err(BrokerError::at(&work))?;
    }
    fs::create_dir_all(&work).map_err(BrokerError::at(&work))?;
    let pom_file = work.join("pom.xml");
    fs::write(&pom_file, pom(kafka_version())).map_err(BrokerError::at(&pom_file))?;
    let log = cache.join(format!("{name}.log"));
    let output = File::create(&log).map_err(BrokerError::at(&log))?;
    let errors = output.try_clone().map_err(BrokerError::at(&log))?;
    let mut maven = Command::new("mvn");
    maven.args(["--batch-mode", "--no-transfer-progress", "--strict-checksums"]);
    maven.args(["dependency:copy-dependencies", "-DincludeScope=runtime"]);
    maven.arg("-DoutputDirectory=jars").current_dir(&work);
    maven.stdin(Stdio::null()).stdout(output).stderr(errors);
    if let Some(home) = java.home() {
        maven.env("JAVA_HOME", home);
    }
    let status = maven.status().map_err(|_| BrokerError::Maven)?;
    if !status.success() {
        let tail = tail(&log, 12);
        return Err(BrokerError::Jars { log, tail });
    }
    let to = cache.join(name);
    fs::rename(work.join("jars"), &to).map_err(BrokerError::at(&to))?;
    fs::remove_dir_all(&work).map_err(BrokerError::at(&work))
}

/// Returns the last lines of a file, or nothing if it cannot be read.
pub(crate) fn tail(path: &Path, lines: usize) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
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
