//! A served store, asked over HTTP and gRPC.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, and so do its helpers"
)]

mod access;
mod cluster;
mod compression;
mod conformance;
mod connectors;
mod documents;
mod engine;
mod errors;
mod events;
mod health;
mod inspections;
mod kafka;
mod levels;
mod limits;
mod origins;
mod peers;
mod second_engine;
mod secure;
mod shares;
mod support;
mod threads;
mod views;
mod views_as_of;
mod views_live;
