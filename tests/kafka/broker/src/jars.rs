//! The broker's jars, in the user's cache under a name that changes whenever `pom.xml` does.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::BrokerError;
use crate::java::Java;

const POM: &str = include_str!("../pom.xml");

/// Returns the version of Kafka that `pom.xml` pins.
pub fn kafka_version() -> &'static str {
    let rest = POM.split_once("<kafka.version>").map_or("", |(_, rest)| rest);
    rest.split_once('<').map_or("?", |(version, _)| version)
}

/// Returns the cache directory: below `XDG_CACHE_HOME`, or `.cache` in the user's home.
fn cache() -> PathBuf {
    let named = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty());
    let home = || std::env::home_dir().unwrap_or_else(std::env::temp_dir).join(".cache");
    named.map_or_else(home, PathBuf::from).join("leftfold/kafka")
}

/// Returns the name of this version's directory in the cache.
fn name() -> String {
    format!("{}-{:08x}", kafka_version(), crc32c::crc32c(POM.as_bytes()))
}

/// Checks that the jars are in the cache, or else that Maven can fetch them.
pub(crate) fn check() -> Result<(), BrokerError> {
    if cache().join(name()).is_dir() {
        return Ok(());
    }
    let maven = Command::new("mvn").arg("--version").stdin(Stdio::null()).output();
    maven.map(drop).map_err(|_| BrokerError::Maven)
}

/// Returns the directory with the jars; fetches them if they are missing.
pub(crate) fn directory(java: &Java) -> Result<PathBuf, BrokerError> {
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
    let pom = work.join("pom.xml");
    fs::write(&pom, POM).map_err(BrokerError::at(&pom))?;
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
