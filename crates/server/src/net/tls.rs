//! TLS by rustls. The certificate is read again when its files change, and on request.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

/// How often the files are checked for changes.
const CHECK: Duration = Duration::from_secs(1);

/// Why a certificate can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path}: {what}")]
pub struct TlsError {
    /// The file.
    pub path: String,
    /// What is wrong with it.
    pub what: String,
}

impl TlsError {
    /// A stable code.
    pub const CODE: &'static str = "tls_invalid";

    fn new(path: &Path, what: impl fmt::Display) -> Self {
        TlsError { path: path.display().to_string(), what: what.to_string() }
    }
}

/// A certificate in use, which can be replaced while the server runs.
pub(crate) struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("chain", &self.chain).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().clone())
    }
}

impl Certificate {
    pub(crate) fn read(chain: &Path, key: &Path) -> Result<Arc<Self>, TlsError> {
        let current = RwLock::new(certified(chain, key)?);
        Ok(Arc::new(Certificate { chain: chain.to_owned(), key: key.to_owned(), current }))
    }

    /// Reads the files again. If they can't be used, the old certificate stays in use.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        *self.current.write() = certified(&self.chain, &self.key)?;
        Ok(())
    }

    /// Reloads when the files change, for ever.
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut seen = self.changed();
        loop {
            tokio::time::sleep(CHECK).await;
            let now = self.changed();
            if now == seen {
                continue;
            }
            match self.reload() {
                Ok(()) => {
                    tracing::info!(path = %self.chain.display(), "the new certificate is used")
                }
                Err(error) => tracing::error!(%error, "the old certificate stays in use"),
            }
            seen = now;
        }
    }

    fn changed(&self) -> [Option<(SystemTime, u64)>; 2] {
        [&self.chain, &self.key].map(|path| {
            let metadata = path.metadata().ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        })
    }

    /// Returns what speaks TLS with it, for a protocol of these names.
    pub(crate) fn acceptor(self: &Arc<Self>, alpn: Vec<Vec<u8>>) -> Result<TlsAcceptor, TlsError> {
        let versions = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions();
        let versions = versions.map_err(|error| TlsError::new(&self.chain, error))?;
        let mut config = versions.with_no_client_auth().with_cert_resolver(self.clone());
        config.alpn_protocols = alpn;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn certified(chain: &Path, key: &Path) -> Result<Arc<CertifiedKey>, TlsError> {
    let wrong = |error| TlsError::new(chain, error);
    let certificates = CertificateDer::pem_file_iter(chain).map_err(wrong)?;
    let certificates: Vec<_> = certificates.collect::<Result<_, _>>().map_err(wrong)?;
    if certificates.is_empty() {
        return Err(TlsError::new(
            chain,
            "it holds no certificate; a PEM file with the certificate and its chain was expected",
        ));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| TlsError::new(key, error))?;
    let certified = CertifiedKey::from_der(certificates, private, &ring::default_provider());
    certified.map(Arc::new).map_err(|error| TlsError::new(key, error))
}
