use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::JavaError;
use crate::java::Java;

/// The jars that a `pom.xml` names, in the user's cache under a name that changes whenever the file does.
#[derive(Debug, Clone)]
pub struct Jars {
    /// What they belong to: a directory of the cache.
    pub family: &'static str,
    /// The version of the server: the begin of the name.
    pub version: String,
    /// The text of `pom.xml`.
    pub pom: String,
}

impl Jars {
    /// Checks that the jars are in the cache, or else that Maven can fetch them.
    ///
    /// # Errors
    /// They are missing, and Maven too.
    pub fn check(&self) -> Result<(), JavaError> {
        if self.cache().join(self.name()).is_dir() {
            return Ok(());
        }
        let maven = Command::new("mvn").arg("--version").stdin(Stdio::null()).output();
        maven.map(drop).map_err(|_| JavaError::Maven)
    }

    /// Returns the directory with the jars; fetches them if they are missing.
    ///
    /// # Errors
    /// They can't be fetched.
    pub fn directory(&self, java: &Java) -> Result<PathBuf, JavaError> {
        let cache = self.cache();
        fs::create_dir_all(&cache).map_err(JavaError::at(&cache))?;
        let name = self.name();
        let jars = cache.join(&name);
        if jars.is_dir() {
            return Ok(jars);
        }
        // Several test programs may start at once; one of them fetches.
        let lock = cache.join(format!("{name}.lock"));
        let lock = File::create(&lock).and_then(|file| file.lock().map(|()| file));
        let _lock = lock.map_err(JavaError::io("locking the cache of jars"))?;
        if !jars.is_dir() {
            self.fetch(java, &cache, &name)?;
        }
        Ok(jars)
    }

    /// Returns the cache directory: below `XDG_CACHE_HOME`, or `.cache` in the user's home.
    fn cache(&self) -> PathBuf {
        let named = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty());
        let home = || std::env::home_dir().unwrap_or_else(std::env::temp_dir).join(".cache");
        named.map_or_else(home, PathBuf::from).join("leftfold").join(self.family)
    }

    /// Returns the name of this version's directory in the cache.
    fn name(&self) -> String {
        format!("{}-{:08x}", self.version, crc32c::crc32c(self.pom.as_bytes()))
    }

    /// Fetches the jars into a work directory and moves them into place when they are complete.
    fn fetch(&self, java: &Java, cache: &Path, name: &str) -> Result<(), JavaError> {
        let work = cache.join(format!("{name}.work"));
        if work.exists() {
            fs::remove_dir_all(&work).map_err(JavaError::at(&work))?;
        }
        fs::create_dir_all(&work).map_err(JavaError::at(&work))?;
        let pom_file = work.join("pom.xml");
        fs::write(&pom_file, &self.pom).map_err(JavaError::at(&pom_file))?;
        let log = cache.join(format!("{name}.log"));
        let output = File::create(&log).map_err(JavaError::at(&log))?;
        let errors = output.try_clone().map_err(JavaError::at(&log))?;
        let mut maven = Command::new("mvn");
        maven.args(["--batch-mode", "--no-transfer-progress", "--strict-checksums"]);
        maven.args(["dependency:copy-dependencies", "-DincludeScope=runtime"]);
        maven.arg("-DoutputDirectory=jars").current_dir(&work);
        maven.stdin(Stdio::null()).stdout(output).stderr(errors);
        if let Some(home) = java.home() {
            maven.env("JAVA_HOME", home);
        }
        let status = maven.status().map_err(|_| JavaError::Maven)?;
        if !status.success() {
            let tail = tail(&log, 12);
            return Err(JavaError::Jars { log, tail });
        }
        let to = cache.join(name);
        fs::rename(work.join("jars"), &to).map_err(JavaError::at(&to))?;
        fs::remove_dir_all(&work).map_err(JavaError::at(&work))
    }
}

/// Returns the last lines of a file, or nothing if it cannot be read.
pub fn tail(path: &Path, lines: usize) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
}
