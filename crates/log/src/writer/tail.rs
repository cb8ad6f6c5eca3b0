use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use leftfold_io::File;

use crate::error::WriteError;
use crate::failure::is_full;
use crate::meters::Meters;
use crate::segment::{OpenBody, Segment};

/// A batch of at least this many bytes is written without preallocation: its sync is bound by
/// bandwidth, and zeros would double what is written.
const BULK: usize = 256 << 10;

/// Zeros are written in pieces of this length. The page cache of Linux keeps a large write in large
/// folios, and each small write and sync in one walks over all of its buffers: after zeros that were
/// written four megabytes at a time a small write with its sync takes 66 us, after pieces of 4 to
/// 256 KiB 47.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// The end of the open segment's file.
pub struct Tail {
    pub(super) segment: Arc<Segment>,
    /// Where the next frame goes.
    pub(super) end: u64,
    /// Up to where the frames are synced.
    pub(super) synced: u64,
    /// The file's length: zeros from `end` on.
    allocated: u64,
    preallocate: u64,
    meters: Arc<Meters>,
}

impl Tail {
    pub(super) fn new(
        segment: Arc<Segment>,
        preallocate: u64,
        meters: Arc<Meters>,
    ) -> io::Result<Self> {
        let body = body_of(&segment)?;
        let (end, allocated) = (body.durable_end(), body.file.len()?);
        Ok(Tail { segment, end, synced: end, allocated, preallocate, meters })
    }

    /// Returns the tail of another segment that is open now.
    pub(super) fn of_next(&self, segment: Arc<Segment>) -> io::Result<Self> {
        Tail::new(segment, self.preallocate, self.meters.clone())
    }

    /// Writes frames at the end. The zeros after them are written along, not merely reserved:
    /// only then does the next sync have no file length or extent to journal.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.try_write(bytes).map_err(|error| WriteError::io("writing to the log", error))
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = &body_of(&self.segment)?.file;
        let end = self.end + bytes.len() as u64;
        if end > self.allocated {
            self.allocated = end;
            if bytes.len() < BULK && self.preallocate > 0 {
                self.allocated = preallocate(&**file, end, self.preallocate)?;
            }
        }
        file.write_at(bytes, self.end)?;
        self.end = end;
        Ok(())
    }

    /// Cuts off the zeros after the frames: no frame follows in this segment, and what comes next needs the
    /// space.
    pub(super) fn trim(&mut self) -> io::Result<()> {
        if self.allocated > self.end {
            body_of(&self.segment)?.file.set_len(self.end)?;
            self.allocated = self.end;
        }
        Ok(())
    }

    /// Waits until the disk holds all that was written. Readers do not see it before the batch is
    /// confirmed.
    pub fn sync(&mut self) -> Result<(), WriteError> {
        // A full disk is no better than any other failure here: what the disk holds is not known.
        self.try_sync().map_err(|error| WriteError::Failed {
            what: "syncing the log".to_owned(),
            source: Arc::new(error),
        })
    }

    fn try_sync(&mut self) -> io::Result<()> {
        let body = body_of(&self.segment)?;
        let started = Instant::now();
        body.file.sync()?;
        let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.meters.sync.add(micros);
        self.synced = self.end;
        Ok(())
    }

    /// Lets readers use the file up to here.
    pub(super) fn publish(&self, end: u64) -> Result<(), WriteError> {
        let body = body_of(&self.segment);
        let body = body.map_err(|error| WriteError::io("writing to the log", error))?;
        body.durable_end.store(end, Ordering::Release);
        Ok(())
    }
}

/// Writes zeros from here on, as far as the disk has space; returns their end.
fn preallocate(file: &dyn File, from: u64, bytes: u64) -> io::Result<u64> {
    let end = from + bytes;
    for at in (from..end).step_by(ZEROS.len()) {
        let piece = ZEROS.len().min((end - at) as usize);
        match file.write_at(&ZEROS[..piece], at) {
            Err(error) if is_full(&error) => return Ok(at),
            written => written?,
        }
    }
    Ok(end)
}

pub(super) fn body_of(segment: &Segment) -> io::Result<&OpenBody> {
    segment.open_body().ok_or_else(|| io::Error::other("the segment is sealed already"))
}
