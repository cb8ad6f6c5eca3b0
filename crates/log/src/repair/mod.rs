//! Repairs a log that is not open: finds damage, salvages what is whole, writes a log without damage.
//!
//! **How data flows.** The files are told apart by what they hold (`finding.rs`), which gives the identity
//! of the store and its newest manifest (`identity.rs`). Every segment proves itself; where several files
//! hold one, the whole one is taken, and what no manifest knows is found again (`sources.rs`). A segment's
//! content is read as far as possible; the rest counts as zeros (`content.rs`). Checksums of frames and
//! records are bound to their offset and position, so the next whole one after any damage is found by
//! trying (`salvage.rs`); a frame of a writer that a later one had superseded is damage. The caller makes a
//! record for every lost position; with all that was salvaged it becomes a new generation of the segment
//! (`generation.rs`). Nothing is changed before all that is to be replaced was put aside whole, and a change
//! can be undone (`transaction.rs`, `record.rs`).

mod content;
mod finding;
mod generation;
mod identity;
mod record;
mod salvage;
mod salvaged;
mod sources;
mod transaction;
mod undo;

use std::sync::Arc;

use leftfold_io::{Disk, Lock};

use crate::create::lock_store;
use crate::error::{OpenError, ReadError};
use crate::format::{FEATURE_GENERATIONS, StoreHeader, StoreIdentity};
use crate::manifest::{FileKind, LiveFile, SegmentState};
use crate::term::Term;
use finding::FoundFiles;
use sources::Source;

pub use generation::{IndexOf, Replacements};
pub(crate) use record::pending;
pub use record::{Outcome, QUARANTINE};
pub use salvaged::{Salvaged, SalvagedFrame};
pub use transaction::Transaction;
pub use undo::{Undone, finish_interrupted, forget, is_interrupted, undo};

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
    sequence: u64,
    term: Term,
    sources: Vec<Source>,
    others: Vec<LiveFile>,
    faults: Vec<String>,
    _lock: Box<dyn Lock>,
}

impl Repair {
    /// Locks the log and finds what it consists of.
    pub fn open(disk: Arc<dyn Disk>) -> Result<Self, OpenError> {
        if FoundFiles::look(&*disk)?.is_empty() {
            return Err(OpenError::Missing(disk.describe()));
        }
        let lock = lock_store(&*disk)?;
        Self::locked(disk, lock)
    }

    fn locked(disk: Arc<dyn Disk>, lock: Box<dyn Lock>) -> Result<Self, OpenError> {
        if pending(&*disk).map_err(|error| OpenError::io(QUARANTINE, error))?.is_some() {
            return Err(OpenError::RepairInterrupted);
        }
        let found = FoundFiles::look(&*disk)?;
        let mut store = identity::identify(&found)?;
        let sources = sources::choose(&*disk, &store, &found.segments)?;
        note_faults(&mut store, &sources);
        store.faults.extend(superfluous(&found, &sources));
        let others = store.named.into_iter().filter(|file| file.kind != FileKind::SEGMENT);
        Ok(Repair {
            identity: store.identity,
            sequence: store.sequence,
            term: store.term,
            faults: store.faults,
            sources,
            others: others.collect(),
            disk,
            _lock: lock,
        })
    }

    /// The header of the store: its identity.
    pub fn header(&self) -> &StoreHeader {
        &self.identity.header
    }

    /// The disk that holds the log.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Sentences on what is wrong with `STORE` and `MANIFEST`; both are made again from the segments.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    /// The segments, in order.
    pub fn segments(&self) -> Vec<LiveFile> {
        self.sources.iter().map(|source| source.live).collect()
    }

    /// The live files that are not segments.
    pub fn other_files(&self) -> &[LiveFile] {
        &self.others
    }

    /// Reads a segment and salvages what is whole. `floor` is the last commit time before it. If the
    /// disk fails, that is an error: what it did not read may be whole.
    pub fn salvage(&self, live: &LiveFile, floor: i64) -> Result<Salvaged, ReadError> {
        let source = self.sources.iter().find(|source| source.live == *live);
        let path = source.and_then(|source| source.path.as_deref());
        let mut salvaged = self.salvage_file(live, path, floor)?;
        for (other, path) in source.iter().flat_map(|source| &source.others) {
            salvaged.fill_from(&self.salvage_file(other, Some(path), floor)?);
        }
        if let Some(path) = path.filter(|path| *path != live.name()) {
            let what = format!("it is {}, under another name", live.name());
            let (file, offset, length) = (path.to_owned(), 0, salvaged.file);
            salvaged.damage.push(DamagedBytes { file, offset, length, what });
        }
        Ok(salvaged)
    }

    fn salvage_file(
        &self,
        live: &LiveFile,
        path: Option<&str>,
        floor: i64,
    ) -> Result<Salvaged, ReadError> {
        let store_id = self.identity.header.store_id;
        let content = content::read(&*self.disk, store_id, live, path)
            .map_err(|error| ReadError::io(&live.name(), error))?;
        Ok(salvage::salvage(store_id, live, content, floor, self.term))
    }
}

/// Notes what the manifest and the store's header don't say of the segments that were found.
fn note_faults(store: &mut identity::FoundStore, sources: &[Source]) {
    if store.faults.is_empty() {
        let is_new = |source: &&Source| !store.named.contains(&source.live);
        if let Some(source) = sources.iter().find(is_new) {
            let name = source.live.name();
            store.faults.push(format!("MANIFEST is made again: it is too old for {name}"));
        }
    }
    let is_rewritten = sources.iter().any(|source| source.live.generation > 0);
    let features = store.identity.header.incompatible_features.get();
    if is_rewritten && features & FEATURE_GENERATIONS == 0 {
        let why = "it is older than the segments that were written again";
        store.faults.push(format!("STORE is made again: {why}"));
    }
}

/// Returns sentences on files with the names of segments that there are not, which stop an opening. What
/// they hold is in other files.
fn superfluous(found: &FoundFiles, sources: &[Source]) -> Vec<String> {
    let is_known = |id| sources.iter().any(|source| source.live.id == id);
    let is_used = |path: &str| sources.iter().any(|source| source.path.as_deref() == Some(path));
    let unknown = found.segments.iter().filter(|file| {
        let is_new = file.name_numbers().is_none_or(|(id, _)| !is_known(id));
        is_new && file.is_in_the_way() && !is_used(&file.path)
    });
    unknown
        .map(|file| format!("{} is put aside: another file holds its segment", file.path))
        .collect()
}

/// Whether a segment is the one that is written to.
fn is_open(live: &LiveFile) -> bool {
    live.segment_state() == Some(SegmentState::Open)
}
