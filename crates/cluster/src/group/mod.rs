//! The nodes of the cluster agree through Kafka's group coordinator who should own which partition.
//!
//! Safety never depends on this agreement: it only decides which node tries to claim ([`crate::ledger`]).

pub mod assign;
mod error;
mod profile;
mod routes;

pub use error::MetadataError;
pub use profile::Profile;
pub use routes::{Node, RouteTable};
