//! A certificate for development, signed by a CA of its own.

use std::fs::{OpenOptions, create_dir_all};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::{Timestamp, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use thiserror::Error;

/// Years for which a CA is valid.
const CA_YEARS: i32 = 10;
/// Years for which a certificate is valid; some clients refuse a longer time.
const YEARS: i32 = 2;

/// The files that were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeCertificate {
    /// The CA's certificate, which clients must trust.
    pub ca: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// The server's key, which its owner alone may read.
    pub key: PathBuf,
}

/// Why no certificate was made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file exists.
    #[error("{0} exists; choose another directory, or remove it")]
    Exists(PathBuf),
    /// A file can't be written.
    #[error("{path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A name can't be in a certificate.
    #[error("no certificate can be made: {0}")]
    Refused(#[from] rcgen::Error),
}

impl CertificateError {
    /// Returns a stable code.
    pub fn code(&self) -> &'static str {
        match self {
            CertificateError::Exists(_) => "certificate_exists",
            CertificateError::Write { .. } => "disk_failed",
            CertificateError::Refused(_) => "tls_invalid",
        }
    }
}

/// Makes a CA and a certificate for these names (DNS names or addresses), and writes them into a
/// directory: `ca.pem`, `server.pem` and `server-key.pem`. The CA's key is deleted, so that
/// no other certificate can be signed with it.
///
/// # Errors
/// A file exists or can't be written, or a name is invalid.
pub fn make_certificate(dir: &Path, names: &[String]) -> Result<MadeCertificate, CertificateError> {
    let [ca, certificate, key] = ["ca.pem", "server.pem", "server-key.pem"].map(|f| dir.join(f));
    if let Some(there) = [&ca, &certificate, &key].into_iter().find(|path| path.exists()) {
        return Err(CertificateError::Exists(there.clone()));
    }
    let (ca_key, mut authority) = (KeyPair::generate()?, params(&[], CA_YEARS)?);
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.distinguished_name.push(DnType::CommonName, "Leftfold development CA");
    let authority_pem = authority.self_signed(&ca_key)?.pem();
    let issuer = Issuer::new(authority, ca_key);

    let (server_key, mut server) = (KeyPair::generate()?, params(names, YEARS)?);
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    let name = names.first().map_or("localhost", String::as_str);
    server.distinguished_name.push(DnType::CommonName, name);
    let server_pem = server.signed_by(&server_key, &issuer)?.pem();

    let failed = |source| CertificateError::Write { path: dir.to_owned(), source };
    create_dir_all(dir).map_err(failed)?;
    write(&ca, &authority_pem, 0o644)?;
    write(&certificate, &server_pem, 0o644)?;
    write(&key, &server_key.serialize_pem(), 0o600)?;
    Ok(MadeCertificate { ca, certificate, key })
}

fn params(names: &[String], years: i32) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let [year, month, day] = [i32::from(today.year()), today.month().into(), today.day().into()];
    // The 29th of February is in no other year; the 28th is.
    let [month, day] = [month, day.min(28)].map(|part| u8::try_from(part).unwrap_or(1));
    params.not_before = rcgen::date_time_ymd(year, month, day);
    params.not_after = rcgen::date_time_ymd(year + years, month, day);
    Ok(params)
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), CertificateError> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|source| CertificateError::Write { path: path.to_owned(), source })
}
