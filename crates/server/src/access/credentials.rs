use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::denied::Denial;
use super::secret::Secret;

/// The credentials of a request.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A user's name and password.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A service's token.
    Bearer(Secret),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credentials::Basic { user, .. } => write!(f, "Basic({user:?})"),
            Credentials::Bearer(_) => f.write_str("Bearer"),
        }
    }
}

impl Credentials {
    /// Parses the value of an `authorization` header.
    ///
    /// # Errors
    /// It is neither basic nor a bearer's.
    pub fn from_header(value: &[u8]) -> Result<Self, Denial> {
        let wrong = || {
            let message = "the authorization header can't be read: send Basic or Bearer";
            Denial::Unauthenticated(message.to_owned())
        };
        let text = std::str::from_utf8(value).map_err(|_| wrong())?;
        let (scheme, rest) = text.split_once(' ').ok_or_else(wrong)?;
        if scheme.eq_ignore_ascii_case("bearer") {
            return Ok(Credentials::Bearer(rest.trim().to_owned().into()));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(wrong());
        }
        let bytes = STANDARD.decode(rest.trim()).map_err(|_| wrong())?;
        let pair = String::from_utf8(bytes).map_err(|_| wrong())?;
        let (user, password) = pair.split_once(':').ok_or_else(wrong)?;
        Ok(Credentials::Basic { user: user.to_owned(), password: password.to_owned().into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_basic_and_bearer_and_tells_no_secret() {
        let basic = Credentials::from_header(b"Basic YW5uOnM6M2NyZXQ=").unwrap();
        let password = Secret::from("s:3cret".to_owned());
        assert_eq!(basic, Credentials::Basic { user: "ann".into(), password: password.clone() });
        let bearer = Credentials::from_header(b"bearer abc").unwrap();
        assert_eq!(bearer, Credentials::Bearer("abc".to_owned().into()));
        assert!(!format!("{basic:?} {bearer:?} {password:?}").contains("3cret"));
        for wrong in ["Basic", "Basic !", "Basic YW5u", "Digest x", ""] {
            assert!(Credentials::from_header(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
