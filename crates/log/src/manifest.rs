use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::format::{LAST_POSITION, ManifestEntry, ManifestHeader, ManifestOwner, StoreHeader};
use crate::options::Compression;
use crate::ownership::Ownership;
use crate::term::Term;

pub(crate) const MANIFEST: &str = "MANIFEST";

/// A longer manifest is not of this program: it holds a million files.
pub(crate) const MANIFEST_LIMIT: u64 = 64 << 20;

/// The kind of a live file: 1 is a segment, the others belong to the user of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileKind(pub u16);

impl FileKind {
    /// A segment of the log.
    pub const SEGMENT: FileKind = FileKind(1);
}

/// No file comes near 4 TiB; so the lengths of a million can be added up.
const LONGEST_FILE: u64 = 1 << 42;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SegmentState {
    Open,
    Closed,
    Sealed,
}

/// A file that belongs to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveFile {
    /// Its kind.
    pub kind: FileKind,
    /// For a segment, its state.
    pub state: u16,
    /// Its number among its kind.
    pub id: u64,
    /// Its generation: how often it was rewritten.
    pub generation: u32,
    /// The first position that it covers.
    pub first: u64,
    /// The last position that it covers.
    pub last: u64,
    /// Its length in bytes (of a closed segment: where its frames end).
    pub length: u64,
    /// Of a segment: how it was rewritten, see [`Compression`] and [`SCAVENGED`]. Of other files: free for
    /// the user of the log.
    pub detail: u32,
}

/// In a segment's [`LiveFile::detail`]: payloads were removed from it.
pub const SCAVENGED: u32 = 1 << 8;
/// In a segment's [`LiveFile::detail`]: it was damaged and repaired, and its index is the one from
/// before, which knows more.
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

    pub(crate) fn with_compression(&self, compression: Compression) -> u32 {
        self.detail & !Compression::BITS | compression as u32
    }

    pub(crate) fn segment_state(&self) -> Option<SegmentState> {
        [SegmentState::Open, SegmentState::Closed, SegmentState::Sealed]
            .into_iter()
            .find(|state| self.kind == FileKind::SEGMENT && *state as u16 + 1 == self.state)
    }

    pub(crate) fn is_open_segment(&self) -> bool {
        self.segment_state() == Some(SegmentState::Open)
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

/// Checks that segments follow each other, and that the last of them, and no other, is open. A
/// manifest with the right checksum may still be wrong: a release with an error may have written it.
pub(crate) fn check(files: &[LiveFile]) -> Result<(), &'static str> {
    let segments: Vec<_> = files.iter().filter(|file| file.kind == FileKind::SEGMENT).collect();
    let (mut id, mut next) = (0, 1);
    for segment in &segments {
        if segment.id <= id || segment.first < next || segment.first > LAST_POSITION {
            return Err("its segments do not follow each other");
        }
        (id, next) = (segment.id, segment.first);
        if segment.segment_state() == Some(SegmentState::Sealed) {
            if segment.last < segment.first - 1 || segment.last > LAST_POSITION {
                return Err("its segments do not follow each other");
            }
            next = segment.last + 1;
        } else if segment.generation != 0 {
            return Err("it names a segment as written again that was not sealed");
        }
    }
    let open = segments.iter().position(|segment| segment.is_open_segment());
    if segments.is_empty() || open != segments.len().checked_sub(1) {
        return Err("its last segment, and no other, should be open");
    }
    let sane = |file: &LiveFile| {
        file.first <= LAST_POSITION && file.last <= LAST_POSITION && file.length <= LONGEST_FILE
    };
    if !files.iter().all(sane) {
        return Err("it names positions or lengths that make no sense");
    }
    Ok(())
}

/// The list of live files, replaced atomically. A file that it does not name is leftovers.
pub(crate) struct Manifest {
    owner: ManifestOwner,
    ownership: Arc<Ownership>,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    /// Counts the replacements.
    sequence: u64,
    files: Vec<LiveFile>,
    /// The term of the open segment.
    term: Term,
}

impl Manifest {
    pub(crate) fn empty(ownership: Arc<Ownership>, header: &StoreHeader) -> Self {
        Manifest { owner: header.into(), ownership, current: Mutex::default() }
    }

    /// Reads the manifest; the inner error is a sentence on what is wrong with it.
    pub(crate) fn read(
        ownership: Arc<Ownership>,
        header: &StoreHeader,
    ) -> io::Result<Result<Self, &'static str>> {
        let bytes = ownership.read_manifest(MANIFEST_LIMIT)?;
        Ok(ManifestHeader::parse(&bytes, header.store_id).and_then(|(sequence, entries)| {
            let files: Vec<_> = entries.iter().map(LiveFile::read).collect();
            check(&files)?;
            let current = Mutex::new(Current { sequence, files, term: term_of(&entries) });
            Ok(Manifest { owner: header.into(), ownership, current })
        }))
    }

    pub(crate) fn files(&self) -> Vec<LiveFile> {
        self.current.lock().files.clone()
    }

    /// Counts the replacements.
    pub(crate) fn sequence(&self) -> u64 {
        self.current.lock().sequence
    }

    /// The term of the open segment.
    pub(crate) fn term(&self) -> Term {
        self.current.lock().term
    }

    /// Begins the term of a writer that has found these frames in the open segment.
    pub(crate) fn begin_term(&self, last: u16, segment: u64, start: u64) -> io::Result<Term> {
        let term = self.term().next(last, segment, start);
        self.replace_current(|current| current.term = term)?;
        Ok(term)
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
        self.replace_current(|current| {
            change(&mut current.files);
            if let Some(open) = current.files.iter().find(|file| file.is_open_segment()) {
                current.term = current.term.in_segment(open.id);
            }
        })
    }

    fn replace_current(&self, change: impl FnOnce(&mut Current)) -> io::Result<()> {
        let mut current = self.current.lock();
        let (sequence, files) = (current.sequence + 1, current.files.clone());
        let mut next = Current { sequence, files, term: current.term };
        change(&mut next);
        let mut entries = entries_of(&mut next.files);
        for entry in entries.iter_mut().filter(|entry| LiveFile::read(entry).is_open_segment()) {
            entry.term = next.term.number.into();
            entry.term_start = next.term.start.into();
        }
        let bytes = ManifestHeader::encode(self.owner, sequence, &entries);
        self.ownership.replace_manifest(&bytes)?;
        *current = next;
        Ok(())
    }
}

/// Returns the term of the open segment.
pub(crate) fn term_of(entries: &[ManifestEntry]) -> Term {
    let open = entries.iter().find(|entry| LiveFile::read(entry).is_open_segment());
    open.map_or_else(Term::default, |entry| Term {
        number: entry.term.get(),
        segment: entry.id.get(),
        start: entry.term_start.get(),
    })
}

fn entries_of(files: &mut [LiveFile]) -> Vec<ManifestEntry> {
    files.sort_by_key(|file| (file.kind.0, file.id, file.generation));
    files.iter().map(LiveFile::entry).collect()
}

/// Sorts the files and lays out the manifest that names them.
pub(crate) fn encode(
    owner: impl Into<ManifestOwner>,
    sequence: u64,
    files: &mut [LiveFile],
) -> Vec<u8> {
    ManifestHeader::encode(owner, sequence, &entries_of(files))
}

#[cfg(test)]
mod tests {
    use leftfold_io::Disk;
    use leftfold_io::fake::FakeDisk;

    use super::*;

    fn segment(id: u64, state: SegmentState, [first, last]: [u64; 2]) -> LiveFile {
        let (kind, state) = (FileKind::SEGMENT, state.code());
        LiveFile { kind, state, id, generation: 0, first, last, length: 0, detail: 0 }
    }

    fn read(files: &[LiveFile]) -> Result<usize, &'static str> {
        let disk: Arc<dyn Disk> = Arc::new(FakeDisk::new());
        let ownership = Arc::new(Ownership::new(disk.clone(), disk.lock("LOCK").unwrap()));
        let header = StoreHeader::new(1, 2, 3, 4);
        let manifest = Manifest::empty(ownership.clone(), &header);
        manifest.update(|all| all.extend_from_slice(files)).unwrap();
        Manifest::read(ownership, &header).unwrap().map(|manifest| manifest.files().len())
    }

    #[test]
    fn a_manifest_whose_segments_do_not_follow_each_other_is_refused() {
        use SegmentState::{Closed, Open, Sealed};
        let sealed = |id, range| segment(id, Sealed, range);
        let open = |id, first| segment(id, Open, [first, 0]);
        let good =
            [sealed(1, [1, 10]), sealed(2, [11, 10]), segment(4, Closed, [15, 0]), open(5, 15)];
        assert_eq!(read(&good), Ok(4));
        for bad in [
            &[open(1, 0)][..],
            &[open(1, u64::MAX)],
            &[sealed(1, [1, u64::MAX]), open(2, 1)],
            &[sealed(1, [1, 10]), open(2, 10)],
            &[sealed(1, [5, 3]), open(2, 10)],
            &[sealed(1, [1, 10]), sealed(1, [11, 12]), open(2, 13)],
            &[sealed(1, [1, 10])],
            &[LiveFile { generation: 1, ..open(1, 1) }],
            &[LiveFile { length: u64::MAX, ..open(1, 1) }],
            &[open(1, 1), LiveFile { kind: FileKind(2), first: u64::MAX, ..open(1, 1) }],
            &[open(1, 1), open(2, 1)],
            &[],
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
