//! How the connections to brokers are protected.

use std::path::PathBuf;
use std::time::Duration;

use leftfold_kafka::{Client, KafkaError, Sasl, SaslMechanism, Security, Tls};
use serde::Deserialize;

use crate::connectors::{ConnectorError, SecretRef, Secrets};

/// How long a broker may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most bytes of a file with certificates.
const MOST_BYTES: u64 = 4 << 20;

/// The table `security` of a definition.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecuritySettings {
    #[serde(default)]
    tls: bool,
    /// A file with the authorities of the brokers, in PEM, instead of those that the system trusts.
    authorities: Option<PathBuf>,
    mechanism: Option<String>,
    user: Option<String>,
    password: Option<SecretRef>,
}

impl SecuritySettings {
    pub(crate) fn check(&self) -> Result<(), String> {
        let mechanism = self.mechanism()?;
        if self.user.is_some() != self.password.is_some() {
            return Err("security: user and password belong together".to_owned());
        }
        if self.mechanism.is_some() && self.user.is_none() {
            return Err("security: a mechanism needs a user and a password".to_owned());
        }
        if self.authorities.is_some() && !self.tls {
            return Err("security: authorities are of tls; set tls = true".to_owned());
        }
        if self.user.is_some() && mechanism == SaslMechanism::Plain && !self.tls {
            let why =
                "security: PLAIN sends the password as it is; set tls = true, or use SCRAM-SHA-512";
            return Err(why.to_owned());
        }
        Ok(())
    }

    fn mechanism(&self) -> Result<SaslMechanism, String> {
        match &self.mechanism {
            None => Ok(SaslMechanism::ScramSha512),
            Some(name) => {
                name.parse().map_err(|error: KafkaError| format!("security.mechanism: {error}"))
            }
        }
    }

    fn read(&self, secrets: &Secrets) -> Result<Security, ConnectorError> {
        let tls = match (self.tls, &self.authorities) {
            (false, _) => None,
            (true, None) => Some(Tls::trusting_system().map_err(ConnectorError::unusable)?),
            (true, Some(path)) => {
                let shown = path.display();
                let failed = |error: std::io::Error| {
                    ConnectorError::Secret(format!("security.authorities {shown}: {error}"))
                };
                if std::fs::metadata(path).map_err(failed)?.len() > MOST_BYTES {
                    let why =
                        format!("security.authorities {shown} has more than {MOST_BYTES} bytes");
                    return Err(ConnectorError::unusable(why));
                }
                let pem = std::fs::read(path).map_err(failed)?;
                Some(Tls::trusting(&pem).map_err(ConnectorError::unusable)?)
            }
        };
        let sasl = match (&self.user, &self.password) {
            (Some(user), Some(password)) => {
                let mechanism = self.mechanism().map_err(ConnectorError::Definition)?;
                Some(Sasl::new(mechanism, user, secrets.read(password)?.expose()))
            }
            _ => None,
        };
        Ok(Security { tls, sasl })
    }
}

/// Checks a list of brokers.
pub(crate) fn check_bootstrap(bootstrap: &str) -> Result<(), String> {
    Client::new(bootstrap, PATIENCE).map(drop).map_err(|error| format!("bootstrap: {error}"))
}

/// Makes a client, which connects on demand.
pub(crate) fn connect(
    bootstrap: &str,
    security: &SecuritySettings,
    secrets: &Secrets,
) -> Result<Client, ConnectorError> {
    let client = Client::new(bootstrap, PATIENCE)
        .map_err(|error| ConnectorError::Definition(format!("bootstrap: {error}")))?;
    Ok(client.secured(security.read(secrets)?))
}
