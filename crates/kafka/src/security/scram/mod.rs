//! SCRAM (RFC 5802, RFC 7677): both sides prove that they know a password, and it is not sent.

mod client;
mod credentials;
mod hash;
mod server;

pub use client::{ScramClient, ScramProof};
pub use credentials::ScramCredentials;
pub use hash::ScramHash;
pub use server::{ScramError, ScramRequest, ScramServer};

/// Random bytes of a nonce.
const NONCE_BYTES: usize = 18;
