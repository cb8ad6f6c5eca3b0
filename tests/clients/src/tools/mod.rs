//! Clients that have a command line of their own.

pub(crate) mod java;
pub(crate) mod kcat;
