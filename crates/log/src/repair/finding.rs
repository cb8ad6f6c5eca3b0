//! Finds the files of a store by what they hold, whatever their names are.

use leftfold_io::{Disk, OpenMode, read_whole};

use super::transaction::store_files;
use crate::create::{STORE, unusable};
use crate::error::OpenError;
use crate::format::{
    ManifestHeader, OTHER_MANIFEST_VERSION, SegmentHeader, StoreHeader, StoreIdentity,
};
use crate::manifest::{FileKind, LiveFile, MANIFEST, MANIFEST_LIMIT, check, term_of};
use crate::term::Term;

const MISSING: &str = "it is missing";

/// Replacements of `STORE` and `MANIFEST` that were written, but cut off before they were put in place.
pub(super) const UNPLACED: [&str; 2] = ["STORE.new", "MANIFEST.new"];

/// Enough of a file to tell what it is.
const HEAD: usize = StoreHeader::SIZE;

/// What the files of a directory hold.
#[derive(Default)]
pub(super) struct FoundFiles {
    pub(super) identities: Vec<(String, StoreIdentity)>,
    /// Why `STORE` or `MANIFEST` can't be used as they are.
    pub(super) faults: Vec<(&'static str, String)>,
    pub(super) manifests: Vec<FoundManifest>,
    pub(super) segments: Vec<FoundSegment>,
}

/// A whole manifest.
pub(super) struct FoundManifest {
    pub(super) name: String,
    pub(super) header: ManifestHeader,
    pub(super) files: Vec<LiveFile>,
    pub(super) term: Term,
}

/// A file that is a segment, or has the name of one.
pub(super) struct FoundSegment {
    pub(super) path: String,
    pub(super) length: u64,
    /// Its header, if that is whole.
    pub(super) header: Option<SegmentHeader>,
    /// Whether it begins as another kind of file.
    pub(super) is_other: bool,
}

impl FoundFiles {
    /// Looks at the beginning of every file of the store.
    pub(super) fn look(disk: &dyn Disk) -> Result<Self, OpenError> {
        let mut found = FoundFiles::default();
        let mut names = store_files(disk).map_err(|error| OpenError::io("log", error))?;
        for name in [STORE, MANIFEST] {
            if !names.iter().any(|present| present == name) {
                found.faults.push((name, MISSING.to_owned()));
            }
        }
        let left = disk.list("").map_err(|error| OpenError::io("", error))?;
        names.extend(left.into_iter().filter(|name| UNPLACED.contains(&&**name)));
        for name in names {
            found.look_at(disk, name)?;
        }
        Ok(found)
    }

    /// Whether nothing of a store is there.
    pub(super) fn is_empty(&self) -> bool {
        let has_data =
            |file: &FoundSegment| file.header.is_some() || file.length > SegmentHeader::SIZE;
        self.identities.is_empty()
            && self.manifests.is_empty()
            && self.faults.iter().all(|(_, why)| why == MISSING)
            && !self.segments.iter().any(has_data)
    }

    fn look_at(&mut self, disk: &dyn Disk, name: String) -> Result<(), OpenError> {
        let failed = |error| OpenError::io(&name, error);
        let file = disk.open(&name, OpenMode::Read).map_err(failed)?;
        let length = file.len().map_err(failed)?;
        let mut head = [0; HEAD];
        let n = file.read_at(&mut head, 0).map_err(failed)?;
        let head = &head[..n];
        let magic = head.get(..8).unwrap_or_default();
        let is_other = [&b"LEFTFOLD"[..], b"LFMANIFS", b"LFINDEX\0"].contains(&magic);
        let header = SegmentHeader::read(head).ok();
        if header.is_some() || name.starts_with("log/") {
            let path = name.clone();
            self.segments.push(FoundSegment { path, length, header, is_other });
        }
        match magic {
            b"LEFTFOLD" if length <= StoreIdentity::MAX_BYTES => {
                let bytes = read_whole(disk, &name, StoreIdentity::MAX_BYTES).map_err(failed)?;
                self.identity(name, &bytes)
            }
            b"LFMANIFS" if length <= MANIFEST_LIMIT => {
                let bytes = read_whole(disk, &name, MANIFEST_LIMIT).map_err(failed)?;
                self.manifest(name, &bytes)
            }
            _ => {
                self.unexpected(&name);
                Ok(())
            }
        }
    }

    /// Notes that `STORE` or `MANIFEST` hold something else.
    fn unexpected(&mut self, name: &str) {
        for (expected, magic) in [(STORE, "LEFTFOLD"), (MANIFEST, "LFMANIFS")] {
            if name == expected {
                self.faults.push((expected, format!("it does not begin with {magic}")));
            }
        }
    }

    fn identity(&mut self, name: String, bytes: &[u8]) -> Result<(), OpenError> {
        if name == MANIFEST {
            self.unexpected(&name);
        }
        match StoreIdentity::parse(bytes) {
            Ok(identity) => self.identities.push((name, identity)),
            Err(_) if name != STORE => {}
            Err(why) => {
                // What a newer release wrote is not repaired by this one.
                if StoreHeader::is_whole(bytes) {
                    let header = StoreHeader::parse(bytes).map_err(|why| unusable(STORE, why))?;
                    self.identities.push((name, StoreIdentity::new(header)));
                }
                self.faults.push((STORE, why));
            }
        }
        Ok(())
    }

    fn manifest(&mut self, name: String, bytes: &[u8]) -> Result<(), OpenError> {
        if name == STORE {
            self.unexpected(&name);
        }
        let parsed = ManifestHeader::read(bytes).and_then(|(header, entries)| {
            let files: Vec<_> = entries.iter().map(LiveFile::read).collect();
            check(&files).map(|()| (header, files, term_of(&entries)))
        });
        match parsed {
            Ok((header, files, term)) => {
                self.manifests.push(FoundManifest { name, header, files, term });
            }
            Err(why) if why == OTHER_MANIFEST_VERSION => return Err(unusable(MANIFEST, why)),
            Err(why) if name == MANIFEST => self.faults.push((MANIFEST, why.to_owned())),
            Err(_) => {}
        }
        Ok(())
    }
}

impl FoundSegment {
    /// Whether opening a store refuses the file if it is no segment of the store.
    pub(super) fn is_in_the_way(&self) -> bool {
        self.path.starts_with("log/") && self.length > SegmentHeader::SIZE
    }

    /// The number and the generation in its name, if it has the name of a segment.
    pub(super) fn name_numbers(&self) -> Option<(u64, u32)> {
        let mut parts = self.path.strip_prefix("log/")?.split('.');
        let (id, generation) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        (self.path == segment(id, generation).name()).then_some((id, generation))
    }
}

/// A segment of which only the name is known.
pub(super) fn segment(id: u64, generation: u32) -> LiveFile {
    let kind = FileKind::SEGMENT;
    LiveFile { kind, state: 0, id, generation, first: 0, last: 0, length: 0, detail: 0 }
}
