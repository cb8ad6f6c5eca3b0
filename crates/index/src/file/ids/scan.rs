use std::sync::Arc;

use super::shape::{IdShape, Parts, TAG_BITS};
use crate::error::IndexError;
use crate::file::bits::{MOST_BYTES, number_at, span_of};
use crate::file::directory::{WIDTH, buckets_in};
use crate::file::layout::{FINGERPRINTS, Section};
use crate::file::read_ahead::ReadAhead;
use crate::file::reader::IndexFile;
use crate::file::scan::Entries;
use crate::key::Fingerprint;

/// The ids of a file, in the order of their fingerprints.
pub(in crate::file) enum Ids {
    /// Of an earlier version, with whole keys.
    Singles(Entries),
    Fingerprints(FingerprintScan),
}

impl Ids {
    pub(in crate::file) fn new(file: &Arc<IndexFile>) -> Self {
        match IdShape::of_sections(&file.head(), &file.header.id_directory) {
            Some(shape) if file.version() == FINGERPRINTS => {
                Ids::Fingerprints(FingerprintScan::new(file, shape))
            }
            _ => Ids::Singles(Entries::new(file)),
        }
    }

    /// Returns the next fingerprint and its offset.
    pub(in crate::file) fn next(&mut self) -> Result<Option<(Fingerprint, u32)>, IndexError> {
        match self {
            Ids::Singles(entries) => {
                Ok(entries.single()?.map(|(key, offset)| (Fingerprint::of(&key), offset)))
            }
            Ids::Fingerprints(scan) => scan.next(),
        }
    }
}

/// Reads a file's directory of ids, tags and rests side by side.
pub(in crate::file) struct FingerprintScan {
    file: Arc<IndexFile>,
    shape: IdShape,
    directory: ReadAhead,
    tags: ReadAhead,
    rests: ReadAhead,
    next: u64,
    /// The next bucket, and the end of the current one.
    bucket: u64,
    end: u64,
    last: Option<Fingerprint>,
}

impl FingerprintScan {
    fn new(file: &Arc<IndexFile>, shape: IdShape) -> Self {
        FingerprintScan {
            file: file.clone(),
            shape,
            directory: ReadAhead::default(),
            tags: ReadAhead::default(),
            rests: ReadAhead::default(),
            next: 0,
            bucket: 0,
            end: 0,
            last: None,
        }
    }

    fn next(&mut self) -> Result<Option<(Fingerprint, u32)>, IndexError> {
        let directory = self.file.header.id_directory;
        while self.next == self.end {
            if self.bucket == buckets_in(&directory) {
                return self.at_end(&directory);
            }
            self.bucket += 1;
            let end = self.bound(&directory, self.bucket)?;
            if end < self.end || end > self.file.header.ids.get() {
                let at = directory.at.get() + self.bucket * WIDTH;
                return Err(self.file.damaged(at, "a directory points beyond the keys"));
            }
            self.end = end;
        }
        let (tags, rests) = (self.file.header.id_tags, self.file.header.id_rests);
        let width = self.shape.rest_bits();
        let tag = read_number(&mut self.tags, &self.file, &tags, [self.next, TAG_BITS.into()])?;
        let rest = read_number(&mut self.rests, &self.file, &rests, [self.next, width.into()])?;
        let (end, offset) = self.shape.split_rest(rest);
        let id = self.shape.join(Parts { bucket: self.bucket - 1, tag, end });
        if self.last.is_some_and(|last| last > id) {
            return Err(self.file.damaged(tags.at.get(), "its ids are not in order"));
        }
        self.last = Some(id);
        self.next += 1;
        Ok(Some((id, self.file.checked_wide(offset)?)))
    }

    /// Checks that the buckets hold all ids, and ends.
    fn at_end<T>(&mut self, directory: &Section) -> Result<Option<T>, IndexError> {
        let first = self.bound(directory, 0)?;
        if first == 0 && self.next == self.file.header.ids.get() {
            return Ok(None);
        }
        Err(self.file.damaged(directory.at.get(), "a directory leaves out some keys"))
    }

    fn bound(&mut self, directory: &Section, bucket: u64) -> Result<u64, IndexError> {
        let mut bytes = [0; WIDTH as usize];
        self.directory.read(&self.file, directory.at.get() + bucket * WIDTH, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes).into())
    }
}

fn read_number(
    ahead: &mut ReadAhead,
    file: &IndexFile,
    section: &Section,
    [index, width]: [u64; 2],
) -> Result<u64, IndexError> {
    let width = width as u32;
    let (start, length) = span_of(index, width);
    let mut bytes = [0; MOST_BYTES];
    let span = bytes.get_mut(..length).unwrap_or_default();
    ahead.read(file, section.at.get() + start, span)?;
    Ok(number_at(span, index, width))
}
