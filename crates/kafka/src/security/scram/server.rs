use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;
use thiserror::Error;

use super::NONCE_BYTES;
use super::credentials::ScramCredentials;
use super::hash::ScramHash;

/// Bytes of a client's message. A name of 128 bytes, a nonce and a proof take less than 1 KiB.
const MESSAGE_BYTES: usize = 4_096;
/// Bytes of a client's nonce.
const CLIENT_NONCE_BYTES: usize = 512;

/// Why an authentication by SCRAM failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ScramError {
    /// A message does not have the form that SCRAM demands, or is too long.
    #[error("the message does not have the form that SCRAM demands")]
    Malformed,
    /// The client's name is empty, or has an escape other than `=2C` and `=3D`.
    #[error("the name is empty or wrongly escaped")]
    Name,
    /// The client asks to act as another user than it authenticates as.
    #[error("the client asks to act as another user")]
    OtherUser,
    /// The client binds the authentication to its encryption.
    #[error("channel binding is not supported")]
    ChannelBinding,
    /// The header of the client's messages is not the same in both: a third party may have changed it.
    #[error("the headers of the client's messages differ")]
    HeadersDiffer,
    /// The client uses an extension, such as a delegation token.
    #[error("extensions of SCRAM are not supported")]
    Extension,
    /// The client's last message belongs to another exchange.
    #[error("the nonce is not that of this exchange")]
    Nonce,
    /// The client does not know the password.
    #[error("the proof is wrong")]
    Proof,
    /// The system has no random numbers.
    #[error("the system has no random numbers")]
    Random,
}

impl ScramError {
    /// Returns the value of RFC 5802 for this error.
    pub fn code(self) -> &'static str {
        match self {
            ScramError::Malformed => "invalid-encoding",
            ScramError::Name => "invalid-username-encoding",
            ScramError::ChannelBinding => "channel-binding-not-supported",
            ScramError::HeadersDiffer => "channel-bindings-dont-match",
            ScramError::Extension => "extensions-not-supported",
            ScramError::Proof => "invalid-proof",
            ScramError::Random => "no-resources",
            ScramError::OtherUser | ScramError::Nonce => "other-error",
        }
    }

    /// Returns the server's last message, which tells the client that the authentication failed.
    pub fn message(self) -> String {
        format!("e={}", self.code())
    }
}

/// The first message of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScramRequest {
    /// What precedes the part that is signed.
    header: String,
    /// The part that is signed.
    bare: String,
    name: String,
    nonce: String,
}

impl ScramRequest {
    /// Parses the first message of a client.
    ///
    /// # Errors
    /// The message is malformed, or asks for what is not supported.
    pub fn parse(message: &[u8]) -> Result<Self, ScramError> {
        let message = text(message)?;
        let (binding, rest) = message.split_once(',').ok_or(ScramError::Malformed)?;
        let (act_as, bare) = rest.split_once(',').ok_or(ScramError::Malformed)?;
        match binding {
            "n" | "y" => {}
            _ if binding.starts_with("p=") => return Err(ScramError::ChannelBinding),
            _ => return Err(ScramError::Malformed),
        }
        let mut fields = bare.split(',');
        let name = fields.next().unwrap_or_default();
        if name.starts_with("m=") {
            return Err(ScramError::Extension);
        }
        let name = unescape(name.strip_prefix("n=").ok_or(ScramError::Malformed)?)?;
        let nonce = fields.next().and_then(|field| field.strip_prefix("r="));
        let nonce = nonce.filter(|nonce| is_nonce(nonce)).ok_or(ScramError::Malformed)?;
        if fields.next().is_some() {
            return Err(ScramError::Extension);
        }
        if !act_as.is_empty() {
            let act_as = act_as.strip_prefix("a=").ok_or(ScramError::Malformed)?;
            if unescape(act_as)? != name {
                return Err(ScramError::OtherUser);
            }
        }
        let header = message.strip_suffix(bare).unwrap_or_default().to_owned();
        Ok(ScramRequest { header, bare: bare.to_owned(), name, nonce: nonce.to_owned() })
    }

    /// Returns the name of the user.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The server's side of one authentication.
pub struct ScramServer {
    hash: ScramHash,
    credentials: ScramCredentials,
    /// The server's first message.
    first: String,
    /// The client's last message without its proof.
    expected: String,
    /// What both sides sign.
    signed: String,
}

impl fmt::Debug for ScramServer {
    /// Omits all but the hash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramServer").field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl ScramServer {
    /// Answers a client's first message, with a random nonce. `credentials` are those of
    /// [`ScramRequest::name`], or [`ScramCredentials::of_unknown_name`].
    ///
    /// # Errors
    /// [`ScramError::Random`].
    pub fn new(
        hash: ScramHash,
        request: &ScramRequest,
        credentials: ScramCredentials,
    ) -> Result<Self, ScramError> {
        let mut random = [0; NONCE_BYTES];
        getrandom::fill(&mut random).map_err(|_| ScramError::Random)?;
        Ok(Self::with_nonce(hash, request, credentials, &STANDARD.encode(random)))
    }

    fn with_nonce(
        hash: ScramHash,
        request: &ScramRequest,
        credentials: ScramCredentials,
        nonce: &str,
    ) -> Self {
        let nonce = format!("{}{nonce}", request.nonce);
        let (salt, iterations) = (STANDARD.encode(&credentials.salt), credentials.iterations);
        let first = format!("r={nonce},s={salt},i={iterations}");
        let expected = format!("c={},r={nonce}", STANDARD.encode(&request.header));
        let signed = format!("{},{first},{expected}", request.bare);
        ScramServer { hash, credentials, first, expected, signed }
    }

    /// Returns the server's first message.
    pub fn first(&self) -> &str {
        &self.first
    }

    /// Verifies the proof in a client's last message, and returns the server's last message, by which the
    /// server proves itself. One exchange takes one proof.
    ///
    /// # Errors
    /// [`ScramError::Proof`] if the client does not know the password; the message is malformed, or is not
    /// of this exchange.
    pub fn verify(self, last: &[u8]) -> Result<String, ScramError> {
        let (given, proof) = text(last)?.rsplit_once(",p=").ok_or(ScramError::Malformed)?;
        if given != self.expected {
            return Err(self.difference(given));
        }
        let mut key = STANDARD.decode(proof).map_err(|_| ScramError::Malformed)?;
        let signature = self.hash.sign(&self.credentials.stored_key, self.signed.as_bytes());
        if key.len() != signature.as_ref().len() {
            return Err(ScramError::Malformed);
        }
        key.iter_mut().zip(signature.as_ref()).for_each(|(key, sign)| *key ^= sign);
        let stored_key = self.hash.digest(&key);
        // In constant time: how much of the key is right is not to be measured.
        if !bool::from(stored_key.as_ref().ct_eq(&self.credentials.stored_key)) {
            return Err(ScramError::Proof);
        }
        let signature = self.hash.sign(&self.credentials.server_key, self.signed.as_bytes());
        Ok(format!("v={}", STANDARD.encode(signature)))
    }

    /// Returns in what a client's last message differs from the expected one.
    fn difference(&self, given: &str) -> ScramError {
        let mut pairs = given.split(',').zip(self.expected.split(','));
        match pairs.find(|(given, expected)| given != expected) {
            Some((given, _)) if given.starts_with("c=") => ScramError::HeadersDiffer,
            Some((given, _)) if given.starts_with("r=") => ScramError::Nonce,
            Some(_) => ScramError::Malformed,
            None if given.len() > self.expected.len() => ScramError::Extension,
            None => ScramError::Malformed,
        }
    }
}

fn text(message: &[u8]) -> Result<&str, ScramError> {
    if message.len() > MESSAGE_BYTES {
        return Err(ScramError::Malformed);
    }
    std::str::from_utf8(message).map_err(|_| ScramError::Malformed)
}

/// Decodes a name, in which `,` is `=2C` and `=` is `=3D`.
fn unescape(escaped: &str) -> Result<String, ScramError> {
    let mut parts = escaped.split('=');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (is, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return Err(ScramError::Name),
        };
        name.push(is);
        name.push_str(rest);
    }
    if name.is_empty() || name.contains('\0') { Err(ScramError::Name) } else { Ok(name) }
}

fn is_nonce(nonce: &str) -> bool {
    // A comma ends the field, so none is left.
    (1..=CLIENT_NONCE_BYTES).contains(&nonce.len()) && nonce.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
