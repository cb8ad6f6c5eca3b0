use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::Denied;

/// Characters of a token that are shown after it was made.
const SHOWN: usize = 4;
/// What tokens begin with, so that tools that look for leaked secrets know them.
const PREFIX: &str = "leftfold_";

/// A text that nobody is to see: a password or a token. It has no `Display`, and its `Debug` tells
/// nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Secret(text)
    }
}

impl Secret {
    /// A new one of 256 random bits.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(crate) fn random(prefix: &str) -> Result<Self, Denied> {
        let bytes = random_bytes::<32>()?;
        Ok(Secret(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// A new token.
    pub(crate) fn token() -> Result<Self, Denied> {
        Self::random(PREFIX)
    }

    /// The text, for the one place that shows or checks it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of a token. It has 256 random bits, so nobody finds it by trying: a fast hash
    /// is enough.
    pub(crate) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// By what a person tells tokens apart.
    pub(crate) fn last(&self) -> String {
        let from = self.0.len().saturating_sub(SHOWN);
        self.0.get(from..).unwrap_or_default().to_owned()
    }
}

/// Random bytes of the system.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], Denied> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Denied::Busy("the system has no random numbers"))?;
    Ok(bytes)
}
