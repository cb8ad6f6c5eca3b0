//! What the clients connect to.

use std::path::PathBuf;

use anyhow::Context;
use leftfold_kafka_broker::{Cluster, Options};

/// A server that speaks Kafka's protocol.
pub trait Broker {
    /// Returns its address.
    fn bootstrap(&self) -> String;

    /// Returns what clients must show, or `None` if they need nothing.
    fn login(&self) -> Option<&Login> {
        None
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

/// A real Apache Kafka that makes topics of eight partitions on first use, as Leftfold does.
#[derive(Debug)]
pub struct Apache(Cluster);

impl Apache {
    /// Starts a broker; fetches it first if it is missing.
    ///
    /// # Errors
    /// Java or Maven are missing, or the broker does not start.
    pub fn start() -> anyhow::Result<Self> {
        let options = Options::default().set("auto.create.topics.enable", "true");
        let options = options.set("num.partitions", "8");
        Ok(Apache(Cluster::start(&options).context("starting Apache Kafka")?))
    }

    /// Kills the broker, as a power cut does, and starts it again on its data and port.
    ///
    /// # Errors
    /// It does not start.
    pub fn crash(&self) -> anyhow::Result<()> {
        let broker = self.0.broker(1)?;
        broker.kill()?;
        Ok(broker.restart()?)
    }
}

impl Broker for Apache {
    fn bootstrap(&self) -> String {
        self.0.bootstrap()
    }
}
