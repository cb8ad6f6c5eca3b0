//! Backups: a directory with a store as it was at one moment, made while the store is in use.
//!
//! **How data flows.** A snapshot pins the segments of one moment: sealed ones, and the durable part
//! of the others. Sealed segments and other files never change, so they have their own names in the
//! backup and are copied once. The part of an unsealed segment, `STORE` and `MANIFEST` get a new name
//! in each backup. `BACKUP` lists all files, and is replaced atomically once all of them are synced: so
//! the directory holds the last whole backup, whenever the power fails. Then unlisted files are
//! removed.
//!
//! A backup can also be sent as a stream (`stream.rs`) and become a store of the same incarnation elsewhere
//! (`receive.rs`): so a node of a cluster gets a copy from another one.
//!
//! Open this first: `take.rs` (one run), then `restore.rs`.

mod copy;
mod error;
mod receive;
mod restore;
mod snapshot;
mod stream;
mod take;
mod target;
mod verify;

pub use error::BackupError;
pub use receive::{BackupReceiver, ReceiveError, ReceivedBackup};
pub use restore::{RestoreSummary, restore};
pub use stream::Sink;
pub use take::{BackupSummary, Guide, Step};
pub use verify::{BackupCheck, verify};

/// The list of the files of the last whole backup.
const BACKUP: &str = "BACKUP";

/// A longer list is not of this program: it holds a million files.
const LIST_LIMIT: u64 = 128 << 20;

/// The directories of a backup; those of a store.
const DIRECTORIES: [&str; 2] = ["log", "index"];
