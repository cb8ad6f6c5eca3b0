//! Encryption and authentication of connections.

mod sasl;
mod scram;
mod tls;

pub use sasl::{Sasl, SaslMechanism};
pub use scram::{
    ScramClient, ScramCredentials, ScramError, ScramHash, ScramProof, ScramRequest, ScramServer,
};
pub use tls::Tls;

/// The protection of a client's connections. The default is none.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// Encrypts the connections.
    pub tls: Option<Tls>,
    /// Authenticates the client by a name and a password.
    pub sasl: Option<Sasl>,
}
