use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::segment::{OpenBody, Segment};

/// A batch of at least this many bytes is written without preallocation: its sync is bound by
/// bandwidth, and zeros would double what is written.
const BULK: usize = 256 << 10;

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
    zeros: Vec<u8>,
}

impl Tail {
    pub(super) fn new(segment: Arc<Segment>, preallocate: u64) -> io::Result<Self> {
        let body = body_of(&segment)?;
        let (end, allocated) = (body.synced_end(), body.file.len()?);
        let zeros = Vec::new();
        Ok(Tail { segment, end, synced: end, allocated, preallocate, zeros })
    }

    /// Writes frames at the end. The zeros after them are written along, not merely reserved:
    /// only then does the next sync have no file length or extent to journal.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = &body_of(&self.segment)?.file;
        let end = self.end + bytes.len() as u64;
        if end > self.allocated {
            if bytes.len() < BULK && self.preallocate > 0 {
                self.zeros.resize(self.preallocate as usize, 0);
                file.write_at(&self.zeros, end)?;
                self.allocated = end + self.preallocate;
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
