use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::JavaError;

const OLDEST: u32 = 17;

/// The Java that runs servers: that of `JAVA_HOME`, or else the one on the `PATH`.
#[derive(Debug, Clone)]
pub struct Java {
    home: Option<PathBuf>,
}

impl Java {
    /// Finds it.
    ///
    /// # Errors
    /// There is none, or it is too old.
    pub fn find() -> Result<Self, JavaError> {
        let home = std::env::var_os("JAVA_HOME").map(PathBuf::from).filter(|home| home.is_dir());
        let java = Java { home };
        let output = Command::new(java.program()).arg("-version").stdin(Stdio::null()).output();
        let output = output.map_err(|_| JavaError::Java { found: "there is none".to_owned() })?;
        let text = String::from_utf8_lossy(&output.stderr);
        let line = text.lines().find(|line| line.contains("version")).unwrap_or_default();
        match major(line) {
            Some(version) if version >= OLDEST => Ok(java),
            _ => Err(JavaError::Java { found: format!("what was found is `{line}`") }),
        }
    }

    /// Returns its directory, if `JAVA_HOME` names it.
    pub fn home(&self) -> Option<&Path> {
        self.home.as_deref()
    }

    /// Returns the program `java`.
    pub fn program(&self) -> PathBuf {
        self.tool("java")
    }

    /// Returns the program `javac`, which a JDK has and a JRE has not.
    ///
    /// # Errors
    /// It is missing.
    pub fn compiler(&self) -> Result<PathBuf, JavaError> {
        let compiler = self.tool("javac");
        let output = Command::new(&compiler).arg("-version").stdin(Stdio::null()).output();
        output.map(|_| compiler).map_err(|_| JavaError::Compiler)
    }

    fn tool(&self, name: &str) -> PathBuf {
        self.home.as_ref().map_or_else(|| name.into(), |home| home.join("bin").join(name))
    }
}

/// Parses the major version: `openjdk version "17.0.15"` is 17, `java version "1.8.0_202"` is 1.
fn major(line: &str) -> Option<u32> {
    let quoted = line.split('"').nth(1)?;
    let digits: String = quoted.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn reads_the_version_of_old_and_new_javas() {
        assert_eq!(major(r#"openjdk version "17.0.15" 2025-04-15"#), Some(17));
        assert_eq!(major(r#"openjdk version "25" 2025-09-16"#), Some(25));
        assert_eq!(major(r#"openjdk version "26-ea" 2026-03-17"#), Some(26));
        assert_eq!(major(r#"java version "1.8.0_202""#), Some(1));
        assert_eq!(major("The operation couldn't be completed."), None);
    }
}
