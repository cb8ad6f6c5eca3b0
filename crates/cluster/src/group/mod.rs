//! The nodes of the cluster agree through Kafka's group coordinator who should own which partition.
//!
//! Safety never depends on this agreement: it only decides which node tries to claim ([`crate::ledger`]).
//!
//! A [`Member`] is a loop that its user spawns. It speaks to a [`Coordinator`], and publishes [`Routes`] to the
//! holders of its [`Membership`].

pub mod assign;
mod config;
mod coordinator;
mod error;
mod member;
mod membership;
mod profile;
mod remedy;
mod routes;
#[cfg(test)]
pub(crate) mod tests;

pub use config::{MemberConfig, MembershipError, PARTITION_LIMIT};
pub use coordinator::{
    Coordinator, JoinAnswer, JoinRequest, Joined, JoinedMember, PROTOCOL, PROTOCOL_TYPE, Session,
    SyncRequest,
};
pub use error::MetadataError;
pub use member::Member;
pub use membership::{Membership, Routes, Standing};
pub use profile::Profile;
pub use routes::{Node, RouteTable};
