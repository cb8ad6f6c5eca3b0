//! Connectors: they bring events out of a store, and into it, while it runs.
//!
//! A definition is a fact in the store: a subscription to the definitions feeds the state of each connector, and one whose
//! state changes is stopped and begins again with what it is to be. An outgoing connector delivers the events of a query
//! to its target, in the order of each stream, and keeps its place in the store, or in the target where both can be
//! committed together. An incoming one appends what its source has, with ids that derive from the source, so that what is
//! read twice is stored once.

mod batch;
mod definition;
mod directory;
mod error;
mod export;
mod facts;
mod files;
mod follow;
mod host;
mod http;
mod kafka;
mod kind;
mod mail;
mod outbox;
mod outlet;
mod redis;
mod requests;
mod retry;
mod search;
mod secret;
mod socket;
mod status;
mod template;
mod tls;

pub use definition::{ConnectorDefinition, Delivery, OnError};
pub use error::ConnectorError;
pub use facts::ConnectorStart;
pub(crate) use files::Stamp;
pub use host::{Connectors, MAX_CONNECTORS};
pub use kind::{Check, Finding};
pub use leftfold_fold::react::{HeldEvent, Ownership, Why};
pub use outbox::{outbox_publication_sql, outbox_sql};
pub use secret::{SecretRef, Secrets};
pub use status::{ConnectorPhase, ConnectorStatus, Gauges};
