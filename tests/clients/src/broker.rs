//! What the clients connect to.

use std::path::PathBuf;

/// A server that speaks Kafka's protocol.
pub trait Broker {
    /// Returns its address.
    fn bootstrap(&self) -> String;

    /// Returns what clients must show, or `None` if they need nothing.
    fn login(&self) -> Option<&Login> {
        None
    }

    /// Makes a topic of eight partitions, unless the first producer does.
    ///
    /// # Errors
    /// It can't be made.
    fn create_topic(&self, _topic: &str) -> anyhow::Result<()> {
        Ok(())
    }
}

/// The account of a client, and the certificate authority of the server.
#[derive(Debug, Clone)]
pub struct Login {
    /// The user's name.
    pub user: String,
    /// The password.
    pub password: String,
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub mechanism: &'static str,
    /// The certificate authority; without it there is no TLS.
    pub ca: Option<PathBuf>,
}

impl Login {
    /// Returns Kafka's name of the protocol.
    pub(crate) fn protocol(&self) -> &'static str {
        match self.ca {
            Some(_) => "SASL_SSL",
            None => "SASL_PLAINTEXT",
        }
    }
}

/// An address, and what it asks for.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The address.
    pub bootstrap: String,
    /// What clients must show.
    pub login: Option<Login>,
}

impl Broker for Endpoint {
    fn bootstrap(&self) -> String {
        self.bootstrap.clone()
    }

    fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }
}
