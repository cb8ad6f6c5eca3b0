//! Who asks, and what that one may do. Every handler of every protocol goes through here.
//!
//! Without users there is one caller, [`Caller::local`], who may do everything: whoever reaches a
//! loopback address is on the machine. The server does not listen on any other address then, unless
//! it was told to.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use leftfold_store::{Append, Query};
use thiserror::Error;

/// What a request says about who sends it.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A user's name and password.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A service's token.
    Bearer(String),
}

/// Whoever sends a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    name: String,
}

/// What is managed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// A stream: its retention, its deletion.
    Stream(&'a str),
    /// The rules of retention.
    Rules,
    /// The named indexes.
    Indexes,
    /// A checkpoint.
    Checkpoint(&'a str),
    /// The store as a whole: its size, scavenging, backups, metrics.
    Store,
}

/// Why a request is not served.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Denied {
    /// It is not known who asks.
    #[error("{0}")]
    Unauthenticated(String),
    /// It is known who asks, and that one may not.
    #[error("{0}")]
    Forbidden(String),
}

/// Decides who asks.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Access {}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credentials::Basic { user, .. } => write!(f, "Basic({user})"),
            Credentials::Bearer(_) => f.write_str("Bearer"),
        }
    }
}

impl Credentials {
    /// Reads the value of an `authorization` header.
    ///
    /// # Errors
    /// It is neither basic nor a bearer's.
    pub fn from_header(value: &[u8]) -> Result<Self, Denied> {
        let wrong = || {
            let message = "the authorization header can't be read: it takes Basic or Bearer";
            Denied::Unauthenticated(message.to_owned())
        };
        let text = std::str::from_utf8(value).map_err(|_| wrong())?;
        let (scheme, rest) = text.split_once(' ').ok_or_else(wrong)?;
        if scheme.eq_ignore_ascii_case("bearer") {
            return Ok(Credentials::Bearer(rest.trim().to_owned()));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(wrong());
        }
        let bytes = STANDARD.decode(rest.trim()).map_err(|_| wrong())?;
        let pair = String::from_utf8(bytes).map_err(|_| wrong())?;
        let (user, password) = pair.split_once(':').ok_or_else(wrong)?;
        Ok(Credentials::Basic { user: user.to_owned(), password: password.to_owned() })
    }
}

impl Denied {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Denied::Unauthenticated(_) => "unauthenticated",
            Denied::Forbidden(_) => "forbidden",
        }
    }
}

impl Access {
    /// For a server without users.
    pub fn local() -> Self {
        Access {}
    }

    /// Whether there are users: whether anybody can be kept out.
    pub fn has_users(&self) -> bool {
        false
    }

    /// Who asks. It may take a while: a password is hashed on purpose slowly.
    ///
    /// # Errors
    /// `unauthenticated`.
    pub async fn authenticate(&self, credentials: Option<&Credentials>) -> Result<Caller, Denied> {
        match credentials {
            None => Ok(Caller::local()),
            Some(_) => Err(Denied::Unauthenticated(
                "this server has no users: send no authorization header".to_owned(),
            )),
        }
    }
}

impl Caller {
    /// Somebody on this machine, where there are no users.
    pub fn local() -> Self {
        Caller { name: "local".to_owned() }
    }

    /// Whom logs name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it may read what a query yields.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn may_read(&self, _query: &Query) -> Result<(), Denied> {
        Ok(())
    }

    /// Whether it may append this.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn may_append(&self, _append: &Append) -> Result<(), Denied> {
        Ok(())
    }

    /// Whether it may manage this.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn may_manage(&self, _scope: Scope<'_>) -> Result<(), Denied> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_basic_and_bearer_and_tells_no_secret() {
        let basic = Credentials::from_header(b"Basic YW5uOnM6M2NyZXQ=").unwrap();
        let expected = Credentials::Basic { user: "ann".into(), password: "s:3cret".into() };
        assert_eq!(basic, expected);
        let bearer = Credentials::from_header(b"bearer abc").unwrap();
        assert_eq!(bearer, Credentials::Bearer("abc".to_owned()));
        assert!(!format!("{basic:?} {bearer:?}").contains("3cret"));
        for wrong in ["Basic", "Basic !", "Basic YW5u", "Digest x", ""] {
            assert!(Credentials::from_header(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
