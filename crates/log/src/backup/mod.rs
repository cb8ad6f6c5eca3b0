//! Backups: a directory that holds a store as it was at one moment, made while the store is in use.
//!
//! **How data flows.** A snapshot pins the segments of one moment; what no segment's file holds yet
//! for ever is the durable part of those that are not sealed. Sealed segments and other files never
//! change, so they lie in the backup under their own names and are copied once; the part of an
//! unsealed segment, `STORE` and `MANIFEST` lie there under names of their own. `BACKUP` lists
//! all of it, and is replaced atomically when all of it is synced: so the directory holds the last
//! whole backup, wherever the power goes. Then what it does not list is removed.
//!
//! Open this first: `take.rs` (one run), then `restore.rs`.

mod copy;
mod error;
mod restore;
mod snapshot;
mod take;
mod target;
mod verify;

pub use error::BackupError;
pub use restore::{Restored, restore};
pub use take::{Guide, Step, Taken};
pub use verify::{Checked, verify};

/// The list of the files of the last whole backup.
const BACKUP: &str = "BACKUP";

/// A longer list is not one of ours: a million files.
const LIST_LIMIT: u64 = 128 << 20;

/// The directories of a backup, as of a store.
const DIRECTORIES: [&str; 2] = ["log", "index"];
