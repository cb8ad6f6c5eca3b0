use std::io;
use std::sync::Arc;

use leftfold_io::{Disk, read_whole, write_atomically};
use parking_lot::Mutex;

use crate::format::{ManifestEntry, ManifestHeader};
use crate::options::Packing;

pub(crate) const MANIFEST: &str = "MANIFEST";

/// A manifest longer than this is not one of ours: a million files.
const MANIFEST_LIMIT: u64 = 64 << 20;

/// What a live file is: 1 is a segment, the others belong to who uses the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileKind(pub u16);

impl FileKind {
    /// A segment of the log.
    pub const SEGMENT: FileKind = FileKind(1);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SegmentState {
    Open,
    Closed,
    Sealed,
}

/// A file that belongs to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveFile {
    /// What it is.
    pub kind: FileKind,
    /// For a segment, its state.
    pub state: u16,
    /// Its number among its kind.
    pub id: u64,
    /// Which rewriting of it this is.
    pub generation: u32,
    /// The first position that it covers.
    pub first: u64,
    /// The last position that it covers.
    pub last: u64,
    /// Its length in bytes (of a closed segment: where its frames end).
    pub length: u64,
    /// Of a segment: how it was written again, see [`Packing`] and [`SCAVENGED`]. Of other files:
    /// what those above make of it.
    pub detail: u32,
}

/// In a segment's [`LiveFile::detail`]: payloads were removed from it.
pub const SCAVENGED: u32 = 1 << 8;
/// In a segment's [`LiveFile::detail`]: it was damaged, what could be read was kept, and its index is
/// the one that was made before: it knows more.
pub const REPAIRED: u32 = 1 << 9;

impl LiveFile {
    /// Where the file is: in `log` or `index`, by number and generation.
    pub fn name(&self) -> String {
        let (dir, suffix) = match self.kind.0 {
            1 => ("log", "seg".to_owned()),
            2 => ("index", "idx".to_owned()),
            n => ("index", format!("k{n}")),
        };
        format!("{dir}/{:016}.{}.{suffix}", self.id, self.generation)
    }

    pub(crate) fn with_packing(&self, packing: Packing) -> u32 {
        self.detail & !Packing::BITS | packing as u32
    }

    pub(crate) fn segment_state(&self) -> Option<SegmentState> {
        [SegmentState::Open, SegmentState::Closed, SegmentState::Sealed]
            .into_iter()
            .find(|state| self.kind == FileKind::SEGMENT && *state as u16 + 1 == self.state)
    }

    fn entry(&self) -> ManifestEntry {
        let numbers = [self.id, self.first, self.last, self.length];
        ManifestEntry::new(self.kind.0, self.state, [self.generation, self.detail], numbers)
    }

    pub(crate) fn read(entry: &ManifestEntry) -> Self {
        LiveFile {
            kind: FileKind(entry.kind.get()),
            state: entry.state.get(),
            id: entry.id.get(),
            generation: entry.generation.get(),
            first: entry.first.get(),
            last: entry.last.get(),
            length: entry.length.get(),
            detail: entry.detail.get(),
        }
    }
}

impl SegmentState {
    pub(crate) fn code(self) -> u16 {
        self as u16 + 1
    }
}

/// The list of live files, replaced atomically. A file that it does not name is litter.
pub(crate) struct Manifest {
    disk: Arc<dyn Disk>,
    store_id: [u8; 16],
    current: Mutex<(u64, Vec<LiveFile>)>,
}

impl Manifest {
    pub(crate) fn empty(disk: Arc<dyn Disk>, store_id: [u8; 16]) -> Self {
        Manifest { disk, store_id, current: Mutex::new((0, Vec::new())) }
    }

    /// Reads the manifest; the inner error is a sentence on what is wrong with it.
    pub(crate) fn read(
        disk: Arc<dyn Disk>,
        store_id: [u8; 16],
    ) -> io::Result<Result<Self, &'static str>> {
        let bytes = read_whole(&*disk, MANIFEST, MANIFEST_LIMIT)?;
        Ok(ManifestHeader::parse(&bytes, store_id).map(|(sequence, entries)| {
            let files = entries.iter().map(LiveFile::read).collect();
            Manifest { disk, store_id, current: Mutex::new((sequence, files)) }
        }))
    }

    pub(crate) fn files(&self) -> Vec<LiveFile> {
        self.current.lock().1.clone()
    }

    /// Counts the replacements.
    pub(crate) fn sequence(&self) -> u64 {
        self.current.lock().0
    }

    /// Puts a file in the place of the one of its kind and number.
    pub(crate) fn replace(&self, live: LiveFile) -> io::Result<()> {
        self.update(|files| {
            files.retain(|file| (file.kind, file.id) != (live.kind, live.id));
            files.push(live);
        })
    }

    /// Replaces the list. On failure the old one stands, on disk and here.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Vec<LiveFile>)) -> io::Result<()> {
        let mut current = self.current.lock();
        let (sequence, mut files) = (current.0 + 1, current.1.clone());
        change(&mut files);
        let bytes = encode(self.store_id, sequence, &mut files);
        write_atomically(&*self.disk, "", MANIFEST, &bytes)?;
        *current = (sequence, files);
        Ok(())
    }
}

/// Sorts the files and lays out the manifest that names them.
pub(crate) fn encode(store_id: [u8; 16], sequence: u64, files: &mut [LiveFile]) -> Vec<u8> {
    files.sort_by_key(|file| (file.kind.0, file.id, file.generation));
    let entries: Vec<_> = files.iter().map(LiveFile::entry).collect();
    ManifestHeader::encode(store_id, sequence, &entries)
}
