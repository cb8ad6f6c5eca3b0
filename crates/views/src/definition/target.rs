//! Where the tables of a view are.

use std::fmt;
use std::path::PathBuf;

use super::lexer::Dialect;

/// The longest name of a view in PostgreSQL, whose names have at most 63 bytes: a number stands behind it.
const MAX_SCHEMA: usize = 40;

/// The database that has the tables of a view.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Target {
    /// A SQLite file in the folder of the views.
    #[default]
    Sqlite,
    /// A PostgreSQL, by a reference to its URL.
    Postgres(UrlSource),
}

/// Where the process that runs a view finds the URL of its database. The URL itself is never stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UrlSource {
    /// An environment variable.
    Env(String),
    /// A file.
    File(PathBuf),
}

impl fmt::Display for UrlSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UrlSource::Env(name) => write!(f, "env:{name}"),
            UrlSource::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl Target {
    /// Reads the value of `@target`; the error is a sentence.
    pub(super) fn parse(value: &str) -> Result<Self, String> {
        let wrong = || {
            "@target is postgres env:NAME or postgres file:PATH, which name the variable or the file with the URL"
                .to_owned()
        };
        let (kind, source) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
        if kind == "sqlite" && source.is_empty() {
            return Ok(Target::Sqlite);
        }
        if kind != "postgres" {
            return Err(wrong());
        }
        if !cfg!(feature = "postgres") {
            return Err(
                "this build has no PostgreSQL; build it with the feature postgres".to_owned()
            );
        }
        match source.trim().split_once(':') {
            Some(("env", name)) if is_variable(name) => {
                Ok(Target::Postgres(UrlSource::Env(name.to_owned())))
            }
            Some(("file", path)) if !path.is_empty() => {
                Ok(Target::Postgres(UrlSource::File(path.into())))
            }
            _ => Err(wrong()),
        }
    }

    /// Returns the dialect of the view's SQL.
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Target::Sqlite => Dialect::Sqlite,
            Target::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Checks that a view may have a name here; the error is a sentence.
    pub(super) fn check_name(&self, name: &str) -> Result<(), String> {
        if *self == Target::Sqlite {
            return Ok(());
        }
        if name.len() > MAX_SCHEMA {
            return Err(format!(
                "the name of a view in PostgreSQL has at most {MAX_SCHEMA} bytes, not {}",
                name.len()
            ));
        }
        match name.starts_with("pg_") || matches!(name, "public" | "information_schema") {
            true => Err(format!(
                "'{name}' can't be the name of a view: PostgreSQL has a schema of this name for itself"
            )),
            false => Ok(()),
        }
    }
}

/// Whether a text is the name of an environment variable, and no URL by mistake.
fn is_variable(name: &str) -> bool {
    let fits = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
    !name.is_empty() && name.len() <= 256 && name.bytes().all(fits)
}
