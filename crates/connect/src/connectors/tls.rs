//! TLS of connections that connectors make: the certificate of the other side is always verified.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::ConnectorError;

/// The most bytes of a file with authorities.
const MOST_BYTES: u64 = 4 << 20;

/// Returns how to connect with TLS. Trusted are the authorities of a file with PEM, or those of the system.
pub(crate) fn client_config(
    authorities: Option<&Path>,
) -> Result<Arc<ClientConfig>, ConnectorError> {
    let mut roots = RootCertStore::empty();
    match authorities {
        Some(path) => {
            let unusable =
                |why: String| ConnectorError::unusable(format!("ca: {}: {why}", path.display()));
            let pem = read_authorities(path)?;
            let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
            let found = found
                .map_err(|error| unusable(format!("expected certificates in PEM: {error}")))?;
            for certificate in found {
                roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        let message = "no authority is trusted: name a file with that of the server as ca";
        return Err(ConnectorError::unusable(message));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(ConnectorError::unusable)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Reads a file with authorities in PEM.
pub(crate) fn read_authorities(path: &Path) -> Result<Vec<u8>, ConnectorError> {
    let unusable = |why: String| ConnectorError::unusable(format!("ca: {}: {why}", path.display()));
    let length = std::fs::metadata(path).map_err(|error| unusable(error.to_string()))?.len();
    if length > MOST_BYTES {
        return Err(unusable(format!("has {length} bytes, expected at most {MOST_BYTES}")));
    }
    std::fs::read(path).map_err(|error| unusable(error.to_string()))
}
