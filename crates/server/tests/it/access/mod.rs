//! A server with users, asked over HTTP and over gRPC.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod accounts;
pub(crate) mod audit;
mod checkpoints;
mod live;
mod passwords;
mod redefined;
pub(crate) mod support;
mod table;
mod topics;
