//! Connectors against the other sides that they are for.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod documents;
mod export;
mod files;
mod http;
mod kafka;
mod killed;
mod lifecycle;
mod mail;
mod outbox;
mod owned;
mod proxy;
mod receiver;
mod redis;
mod search;
mod support;
