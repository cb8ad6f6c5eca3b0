//! Secrets by reference: what is stored and shown is where a secret is, never the secret.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

use super::ConnectorError;

/// The most bytes of a secret.
const MOST_BYTES: u64 = 64 << 10;

/// Where a secret is: `env:NAME` or `file:PATH`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum SecretRef {
    /// In this variable of the environment.
    Env(String),
    /// In this file, without the line's end.
    File(PathBuf),
}

/// A secret. Its debug output does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

/// Where the secrets of this process are.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// Instead of the variables of the process.
    variables: Option<BTreeMap<String, String>>,
}

impl Secrets {
    /// Returns secrets of these variables instead of those of the process: for tests.
    pub fn of(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Secrets { variables: Some(variables.into_iter().collect()) }
    }

    /// Reads a secret.
    pub(crate) fn read(&self, reference: &SecretRef) -> Result<Secret, ConnectorError> {
        let missing = |why: &str| ConnectorError::Secret(format!("the secret {reference} {why}"));
        match reference {
            SecretRef::Env(name) => {
                let found = match &self.variables {
                    Some(variables) => variables.get(name).cloned(),
                    None => std::env::var(name).ok(),
                };
                found.map(Secret).ok_or_else(|| missing("is not set, or is not text"))
            }
            SecretRef::File(path) => {
                let failed = |error: std::io::Error| missing(&format!("can't be read: {error}"));
                if std::fs::metadata(path).map_err(failed)?.len() > MOST_BYTES {
                    return Err(missing(&format!("has more than {MOST_BYTES} bytes")));
                }
                let text = std::fs::read_to_string(path).map_err(failed)?;
                Ok(Secret(text.trim_end_matches(['\r', '\n']).to_owned()))
            }
        }
    }
}

impl Secret {
    /// Returns the secret itself: for the request that needs it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretRef::Env(name) => write!(f, "env:{name}"),
            SecretRef::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl FromStr for SecretRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(SecretRef::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(SecretRef::File(path.into())),
            // The text may be the secret itself, so it is not shown.
            _ => Err("expected env:NAME or file:PATH, not the secret itself".to_owned()),
        }
    }
}

impl TryFrom<String> for SecretRef {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_where_it_is_and_never_shown() {
        let secrets = Secrets::of([("TOKEN".to_owned(), "hidden".to_owned())]);
        let secret = secrets.read(&"env:TOKEN".parse().unwrap()).unwrap();
        assert_eq!(secret.expose(), "hidden");
        assert_eq!(format!("{secret:?}"), "<secret>");
        let missing = secrets.read(&"env:OTHER".parse().unwrap()).unwrap_err();
        assert_eq!(missing.to_string(), "the secret env:OTHER is not set, or is not text");

        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "in a file\n").unwrap();
        let reference: SecretRef = format!("file:{}", file.path().display()).parse().unwrap();
        assert_eq!(secrets.read(&reference).unwrap().expose(), "in a file");
        let long = "x".repeat(MOST_BYTES as usize + 1);
        std::fs::write(file.path(), long).unwrap();
        assert!(secrets.read(&reference).unwrap_err().to_string().contains("more than"));
    }

    #[test]
    fn a_secret_in_place_of_a_reference_is_refused_and_not_repeated() {
        for text in ["s3cret", "env:", "file:", "vault:s3cret"] {
            let refused = text.parse::<SecretRef>().unwrap_err();
            assert!(!refused.contains("s3cret"), "{refused}");
        }
    }
}
