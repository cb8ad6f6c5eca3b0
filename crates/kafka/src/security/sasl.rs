use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;

use super::scram::{ScramClient, ScramHash};
use crate::connection::Connection;
use crate::error::KafkaError;

/// The version of the handshake after which authentication goes on in requests of the protocol.
const HANDSHAKE_VERSION: i16 = 1;
const AUTHENTICATE: &str = "SaslAuthenticateRequest";

/// Authentication by a name and a password.
///
/// If the broker limits the session, it closes the connection at its end, and the client opens another.
#[derive(Clone)]
pub struct Sasl {
    mechanism: SaslMechanism,
    name: Arc<str>,
    password: Arc<str>,
}

/// A mechanism of authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaslMechanism {
    /// The password is sent as it is, so the connection should be encrypted.
    Plain,
    /// Both sides prove that they know the password, with SHA-256.
    ScramSha256,
    /// Both sides prove that they know the password, with SHA-512.
    ScramSha512,
}

impl SaslMechanism {
    /// All mechanisms.
    pub const ALL: [SaslMechanism; 3] =
        [SaslMechanism::Plain, SaslMechanism::ScramSha256, SaslMechanism::ScramSha512];

    /// Returns the name of the mechanism in the protocol.
    pub fn name(self) -> &'static str {
        match self {
            SaslMechanism::Plain => "PLAIN",
            SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
            SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
        }
    }

    /// Returns the hash, or `None` if the mechanism is not SCRAM.
    pub fn scram_hash(self) -> Option<ScramHash> {
        match self {
            SaslMechanism::Plain => None,
            SaslMechanism::ScramSha256 => Some(ScramHash::Sha256),
            SaslMechanism::ScramSha512 => Some(ScramHash::Sha512),
        }
    }
}

impl FromStr for SaslMechanism {
    type Err = KafkaError;

    /// Parses the name of the mechanism in the protocol.
    fn from_str(text: &str) -> Result<Self, KafkaError> {
        let found = SaslMechanism::ALL.into_iter().find(|one| one.name() == text);
        found.ok_or_else(|| KafkaError::UnknownMechanism(text.to_owned()))
    }
}

impl Sasl {
    /// Authenticates by this name and password.
    pub fn new(mechanism: SaslMechanism, name: &str, password: &str) -> Self {
        Sasl { mechanism, name: name.into(), password: password.into() }
    }

    /// Authenticates a new connection.
    pub(crate) async fn authenticate(&self, connection: &Connection) -> Result<(), KafkaError> {
        let mechanism = StrBytes::from_static_str(self.mechanism.name());
        let request = SaslHandshakeRequest::default().with_mechanism(mechanism);
        let answer = connection.call_at(HANDSHAKE_VERSION, &request).await?;
        let offered: Vec<&str> = answer.mechanisms.iter().map(|one| &**one).collect();
        let message = format!("the broker offers {}", offered.join(", "));
        KafkaError::check("SaslHandshakeRequest", answer.error_code, Some(&message))?;
        let Some(hash) = self.mechanism.scram_hash() else {
            let token = format!("\0{}\0{}", self.name, self.password);
            return exchange(connection, token).await.map(|_| ());
        };
        let refused = |why| KafkaError::malformed(AUTHENTICATE, why);
        let scram = ScramClient::new(hash, &self.name, &self.password).map_err(refused)?;
        let challenge = exchange(connection, scram.first()).await?;
        let proof = scram.prove(&challenge).map_err(refused)?;
        let last = exchange(connection, proof.message.clone()).await?;
        proof.check(&last).map_err(refused)
    }
}

/// Sends a message of the mechanism and returns the broker's.
async fn exchange(connection: &Connection, message: String) -> Result<Bytes, KafkaError> {
    let request = SaslAuthenticateRequest::default().with_auth_bytes(message.into());
    let answer = connection.call(&request).await?;
    KafkaError::check(AUTHENTICATE, answer.error_code, answer.error_message.as_deref())?;
    Ok(answer.auth_bytes)
}

impl fmt::Debug for Sasl {
    /// Omits the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sasl { mechanism, name, .. } = self;
        f.debug_struct("Sasl").field("mechanism", mechanism).field("name", name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_printed() {
        let sasl = Sasl::new(SaslMechanism::Plain, "alice", "secret");
        assert!(!format!("{sasl:?}").contains("secret"));
    }

    #[test]
    fn mechanisms_have_the_names_of_the_protocol() {
        assert_eq!("SCRAM-SHA-512".parse::<SaslMechanism>().unwrap(), SaslMechanism::ScramSha512);
        assert!("GSSAPI".parse::<SaslMechanism>().is_err());
    }
}
