use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::denied::Denial;

/// Characters of a token that are shown after it was made.
const SHOWN: usize = 4;
/// The prefix of tokens, by which tools that search for leaked secrets find them.
const PREFIX: &str = "leftfold_";

/// A secret text: a password or a token. It has no `Display`, and its `Debug` hides the text.
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
    /// Returns a new secret of 256 random bits.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(crate) fn random(prefix: &str) -> Result<Self, Denial> {
        let bytes = random_bytes::<32>()?;
        Ok(Secret(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// Returns a new token.
    pub(crate) fn token() -> Result<Self, Denial> {
        Self::random(PREFIX)
    }

    /// Returns the text, for the code that shows or checks it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Returns what is stored of a token. It has 256 random bits and can't be guessed, so a fast hash
    /// is enough.
    pub(crate) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// Returns the last characters, by which people recognise a token.
    pub(crate) fn last(&self) -> String {
        let from = self.0.len().saturating_sub(SHOWN);
        self.0.get(from..).unwrap_or_default().to_owned()
    }
}

/// Returns random bytes of the operating system.
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], Denial> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Denial::Busy("the system has no random numbers"))?;
    Ok(bytes)
}
