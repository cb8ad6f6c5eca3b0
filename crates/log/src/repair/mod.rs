//! Repairs a log that is not open: finds damage, salvages what is whole, writes a log without damage.
//!
//! **How data flows.** A segment's content is read as far as possible; the rest counts as zeros
//! (`content.rs`). Checksums of frames and records are bound to their offset and position, so the
//! next whole one after any damage is found by trying (`salvage.rs`). The caller makes a record for
//! every lost position; with all that was salvaged it becomes a new generation of the segment, and
//! one replacement of the manifest puts all of them in (`generation.rs`). Damaged bytes are copied
//! aside before.

mod content;
mod generation;
mod salvage;

use std::io;
use std::sync::Arc;

use leftfold_io::{Disk, Lock};

use crate::create::{lock_store, read_identity, store_exists, unusable};
use crate::error::{OpenError, ReadError};
use crate::format::{StoreHeader, StoreIdentity};
use crate::manifest::{FileKind, LiveFile, MANIFEST, Manifest};

pub use generation::{IndexOf, Replacements};
pub use salvage::{Salvaged, SalvagedFrame};

/// A directory for damaged bytes.
pub const QUARANTINE: &str = "quarantine";

/// Bytes of a file that are not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedBytes {
    /// The file.
    pub file: String,
    /// Where they begin in it.
    pub offset: u64,
    /// Their number, including bytes that can't be told from damaged ones.
    pub length: u64,
    /// What was found.
    pub what: String,
}

/// A log that is not open, locked for repair.
pub struct Repair {
    disk: Arc<dyn Disk>,
    identity: StoreIdentity,
    manifest: Manifest,
    _lock: Box<dyn Lock>,
}

impl Repair {
    /// Locks the log and reads what it consists of.
    pub fn open(disk: Arc<dyn Disk>) -> Result<Self, OpenError> {
        if !store_exists(&*disk)? {
            return Err(OpenError::Missing(disk.describe()));
        }
        let lock = lock_store(&*disk)?;
        let identity = read_identity(&*disk)?;
        let manifest = Manifest::read(disk.clone(), identity.header.store_id);
        let manifest = manifest.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => unusable(MANIFEST, "it is missing"),
            _ => OpenError::io(MANIFEST, error),
        })?;
        let manifest = manifest.map_err(|why| unusable(MANIFEST, why))?;
        Ok(Repair { disk, identity, manifest, _lock: lock })
    }

    /// The header of the store: its identity.
    pub fn header(&self) -> &StoreHeader {
        &self.identity.header
    }

    /// The disk that holds the log.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// The segments, in order.
    pub fn segments(&self) -> Vec<LiveFile> {
        self.files(|kind| kind == FileKind::SEGMENT)
    }

    /// The live files that are not segments.
    pub fn other_files(&self) -> Vec<LiveFile> {
        self.files(|kind| kind != FileKind::SEGMENT)
    }

    fn files(&self, wanted: impl Fn(FileKind) -> bool) -> Vec<LiveFile> {
        self.manifest.files().into_iter().filter(|file| wanted(file.kind)).collect()
    }

    /// Reads a segment and salvages what is whole. `floor` is the last commit time before it. If the
    /// disk fails, that is an error: what it did not read may be whole.
    pub fn salvage(&self, live: &LiveFile, floor: i64) -> Result<Salvaged, ReadError> {
        let content = content::read(&*self.disk, self.identity.header.store_id, live)
            .map_err(|error| ReadError::io(&live.name(), error))?;
        Ok(salvage::salvage(self.identity.header.store_id, live, content, floor))
    }
}
