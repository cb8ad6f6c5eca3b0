use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::segment::{OpenBody, Segment};

/// A batch of at least this many bytes is written without preallocation: its sync is bound by
/// bandwidth, and zeros would double what is written.
const BULK: usize = 256 << 10;

/// Zeros are written in pieces of so many bytes. The page cache of Linux keeps a large write in
/// large folios, and each small write and sync in one walks over all of its buffers: after zeros
/// that were written four megabytes at a time a small write with its sync takes 66 us, after pieces
/// of 4 to 256 KiB 47.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// The end of the open segment.
pub(super) struct Tail {
    pub(super) segment: Arc<Segment>,
    /// Where the next frame goes.
    pub(super) end: u64,
    /// Up to where the frames are synced.
    pub(super) synced: u64,
    /// The file's length: zeros from `end` on.
    allocated: u64,
    preallocate: u64,
}

impl Tail {
    pub(super) fn new(segment: Arc<Segment>, preallocate: u64) -> io::Result<Self> {
        let body = body_of(&segment)?;
        let (end, allocated) = (body.synced_end(), body.file.len()?);
        Ok(Tail { segment, end, synced: end, allocated, preallocate })
    }

    /// Writes frames at the end. The zeros after them are written along, not merely reserved:
    /// only then does the next sync have no file length or extent to journal.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = &body_of(&self.segment)?.file;
        let end = self.end + bytes.len() as u64;
        if end > self.allocated {
            if bytes.len() < BULK && self.preallocate > 0 {
                self.allocated = end + self.preallocate;
                for at in (end..self.allocated).step_by(ZEROS.len()) {
                    let piece = ZEROS.len().min((self.allocated - at) as usize);
                    file.write_at(&ZEROS[..piece], at)?;
                }
            } else {
                self.allocated = end;
            }
        }
        file.write_at(bytes, self.end)?;
        self.end = end;
        Ok(())
    }

    pub(super) fn sync(&mut self) -> io::Result<()> {
        let body = body_of(&self.segment)?;
        body.file.sync()?;
        self.synced = self.end;
        body.synced_end.store(self.end, Ordering::Release);
        Ok(())
    }
}

pub(super) fn body_of(segment: &Segment) -> io::Result<&OpenBody> {
    segment.open_body().ok_or_else(|| io::Error::other("the segment is sealed already"))
}
