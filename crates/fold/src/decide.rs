//! Decisions: what a command reads, who decides it, and the answers.
//!
//! A [`Command`](crate::Command) reads the states of streams ([`StreamState`]) and of queries
//! ([`QueryState`]). [`Execute`] decides it on any store, a [`Decider`] with [`Snapshots`], and
//! [`Entities`] with the states of hot streams in memory.

pub use crate::entity::{Entities, EntityReads};
pub use crate::execute::{
    AsOf, COMMAND_TAG, CommandContext, CommandCounts, Decider, Execute, ExecuteError, Executed,
    FoldError, MAX_METADATA, Overtaken, WrittenEvent, event_id,
};
pub use crate::reads::{Decides, QueryState, Reads, Source, StreamState, Unknown};
#[cfg(feature = "redb")]
pub use crate::snapshot::RedbSnapshots;
pub use crate::snapshot::{MemorySnapshots, SnapshotError, Snapshots};
pub use crate::state::{SnapshotInterval, SnapshotPolicy};
