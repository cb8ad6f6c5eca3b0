use super::shape::{IdShape, TAG_BITS};
use crate::file::bits::{BitWriter, bytes_of};
use crate::file::directory::Directory;
use crate::file::layout::FileHead;
use crate::key::Fingerprint;

/// The ids of a file under construction, in order.
///
/// The rests are written as they come. In memory are the directory and the tags: 1.6 bytes per id.
pub(in crate::file) struct IdWriter {
    shape: IdShape,
    directory: Directory,
    tags: BitWriter,
    rests: BitWriter,
    count: u64,
}

impl IdWriter {
    /// Begins exactly `ids` ids.
    pub(in crate::file) fn new(head: &FileHead, ids: u64) -> Self {
        IdWriter {
            shape: IdShape::for_ids(head, ids),
            directory: Directory::for_at_most(ids),
            tags: BitWriter::with_capacity(bytes_of(ids, TAG_BITS)),
            rests: BitWriter::default(),
            count: 0,
        }
    }

    /// Adds an id. Fingerprints must not decrease.
    pub(in crate::file) fn add(&mut self, id: Fingerprint, offset: u32) {
        let parts = self.shape.split(id);
        self.directory.add(id.high());
        self.tags.push(parts.tag, TAG_BITS);
        self.rests.push(self.shape.rest(parts.end, offset), self.shape.rest_bits());
        self.count += 1;
    }

    pub(in crate::file) fn count(&self) -> u64 {
        self.count
    }

    /// Returns the bytes of the rests that the caller has to write.
    pub(in crate::file) fn rests(&self) -> &[u8] {
        self.rests.bytes()
    }

    /// Drops the bytes of the rests after the caller wrote them.
    pub(in crate::file) fn clear_written(&mut self) {
        self.rests.clear_written();
    }

    /// Completes the last byte of the rests.
    pub(in crate::file) fn finish_rests(&mut self) {
        self.rests.finish();
    }

    /// Returns the bytes of all rests.
    pub(in crate::file) fn rests_length(&self) -> u64 {
        bytes_of(self.count, self.shape.rest_bits())
    }

    /// Returns the bytes of the directory and of the tags.
    pub(in crate::file) fn finish(self) -> (Vec<u8>, Vec<u8>) {
        (self.directory.finish(), self.tags.into_bytes())
    }
}
