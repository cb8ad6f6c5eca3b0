use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::KafkaError;

/// Encryption by TLS. The certificate of a broker must name the host by which the client reaches it.
#[derive(Clone)]
pub struct Tls(TlsConnector);

impl Tls {
    /// Trusts these authorities, certificates in PEM.
    ///
    /// # Errors
    /// The text holds no usable certificate.
    pub fn trusting(authorities: &[u8]) -> Result<Self, KafkaError> {
        Self::with(authorities_of(authorities)?, None)
    }

    /// Trusts the authorities that the system trusts.
    ///
    /// # Errors
    /// The system has none.
    pub fn trusting_system() -> Result<Self, KafkaError> {
        Self::with(system_authorities()?, None)
    }

    /// Presents a certificate and its chain to brokers, with its private key, all in PEM. Without `authorities` it
    /// trusts those of the system.
    ///
    /// # Errors
    /// The texts hold no usable certificate or key.
    pub fn with_identity(
        authorities: Option<&[u8]>,
        chain: &[u8],
        key: &[u8],
    ) -> Result<Self, KafkaError> {
        let roots = match authorities {
            Some(authorities) => authorities_of(authorities)?,
            None => system_authorities()?,
        };
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| unusable("the private key", &error))?;
        Self::with(roots, Some((certificates(chain, "the certificate chain")?, key)))
    }

    fn with(roots: RootCertStore, identity: Option<Identity>) -> Result<Self, KafkaError> {
        let wrong = |error| unusable("the client's certificate", &error);
        let provider = Arc::new(ring::default_provider());
        let versions =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = versions.map_err(wrong)?.with_root_certificates(roots);
        let config = match identity {
            Some((chain, key)) => config.with_client_auth_cert(chain, key).map_err(wrong)?,
            None => config.with_no_client_auth(),
        };
        Ok(Tls(TlsConnector::from(Arc::new(config))))
    }

    /// Shakes hands with the broker of this host.
    pub(crate) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        self.0.connect(name, stream).await
    }
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn unusable(what: &str, error: &dyn fmt::Display) -> KafkaError {
    KafkaError::Tls(format!("{what} cannot be used: {error}"))
}

fn certificates(
    pem: &[u8],
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, KafkaError> {
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|error| unusable(what, &error))?;
    if all.is_empty() {
        return Err(KafkaError::Tls(format!("{what}: expected certificates in PEM, found none")));
    }
    Ok(all)
}

fn authorities_of(pem: &[u8]) -> Result<RootCertStore, KafkaError> {
    const WHAT: &str = "the trusted authorities";
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem, WHAT)? {
        roots.add(certificate).map_err(|error| unusable(WHAT, &error))?;
    }
    Ok(roots)
}

fn system_authorities() -> Result<RootCertStore, KafkaError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let why = "the system trusts no authorities; name a file with the authority of the brokers";
        return Err(KafkaError::Tls(why.to_owned()));
    }
    Ok(roots)
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_without_a_certificate_is_refused() {
        for text in [&b""[..], b"no certificate", b"-----BEGIN CERTIFICATE-----\n!"] {
            assert!(matches!(Tls::trusting(text), Err(KafkaError::Tls(_))));
        }
    }
}
