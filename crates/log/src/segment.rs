use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use leftfold_io::{Disk, File};
use parking_lot::RwLock;

use crate::blocks::Blocks;
use crate::error::Damage;
use crate::format::crc_of;
use crate::manifest::{FileKind, LiveFile, SegmentState};

/// A segment: a file of the log, open, closed or sealed.
///
/// Its file is readable as long as a reader holds the segment: a generation that was replaced is
/// removed from the disk when it is dropped.
pub(crate) struct Segment {
    pub(crate) id: u64,
    pub(crate) generation: u32,
    pub(crate) first_position: u64,
    /// The start value of the checksums of its frames and records.
    pub(crate) salt: u32,
    pub(crate) body: Body,
    /// How it was rewritten; see [`LiveFile::detail`].
    pub(crate) detail: u32,
    retired: OnceLock<Arc<dyn Disk>>,
}

pub(crate) enum Body {
    /// Not sealed: its blocks are in memory.
    Open(OpenBody),
    /// Sealed: its blocks are in its footer.
    Sealed { last_position: u64, length: u64 },
}

pub(crate) struct OpenBody {
    pub(crate) file: Arc<dyn File>,
    pub(crate) blocks: RwLock<Blocks>,
    /// Where the durable frames end: readers see the file up to here.
    pub(crate) durable_end: AtomicU64,
}

impl Segment {
    pub(crate) fn open(
        store_id: [u8; 16],
        [id, first_position, durable_end]: [u64; 3],
        file: Arc<dyn File>,
        blocks: Blocks,
    ) -> Self {
        let durable_end = AtomicU64::new(durable_end);
        let body = Body::Open(OpenBody { file, blocks: RwLock::new(blocks), durable_end });
        let salt = salt_of(store_id, id);
        Segment {
            id,
            generation: 0,
            first_position,
            salt,
            body,
            detail: 0,
            retired: OnceLock::new(),
        }
    }

    pub(crate) fn sealed(store_id: [u8; 16], file: &LiveFile) -> Self {
        Segment {
            id: file.id,
            generation: file.generation,
            first_position: file.first,
            salt: salt_of(store_id, file.id),
            body: Body::Sealed { last_position: file.last, length: file.length },
            detail: file.detail,
            retired: OnceLock::new(),
        }
    }

    pub(crate) fn live(&self, state: SegmentState, last: u64, length: u64) -> LiveFile {
        LiveFile {
            kind: FileKind::SEGMENT,
            state: state.code(),
            id: self.id,
            generation: self.generation,
            first: self.first_position,
            last,
            length,
            detail: self.detail,
        }
    }

    /// Lets its file be removed when the last reader drops it: another generation has replaced it.
    pub(crate) fn retire(&self, disk: Arc<dyn Disk>) {
        _ = self.retired.set(disk);
    }

    /// The length of its file in bytes, without what is preallocated.
    pub(crate) fn length(&self) -> u64 {
        match &self.body {
            Body::Open(body) => body.durable_end(),
            Body::Sealed { length, .. } => *length,
        }
    }

    pub(crate) fn name(&self) -> String {
        self.live(SegmentState::Open, 0, 0).name()
    }

    pub(crate) fn open_body(&self) -> Option<&OpenBody> {
        match &self.body {
            Body::Open(body) => Some(body),
            Body::Sealed { .. } => None,
        }
    }

    /// Its last position; one less than its first if it has no record. Of an open segment, also if
    /// it is not durable yet.
    pub(crate) fn last_position(&self) -> u64 {
        match &self.body {
            Body::Sealed { last_position, .. } => *last_position,
            Body::Open(body) => body.blocks.read().last_position.max(self.first_position - 1),
        }
    }

    pub(crate) fn damage(&self, offset: u64, position: u64, what: &str) -> Damage {
        Damage { file: self.name(), offset, position, what: what.to_owned() }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if let Some(disk) = self.retired.get() {
            // If that fails, the file is removed at the next opening.
            _ = disk.remove(&self.name());
        }
    }
}

impl OpenBody {
    pub(crate) fn durable_end(&self) -> u64 {
        self.durable_end.load(Ordering::Acquire)
    }
}

/// Returns the start value of a segment's checksums. It depends on the store and the number, so that
/// bytes of another segment, or of a payload, are never valid in this one.
pub(crate) fn salt_of(store_id: [u8; 16], segment: u64) -> u32 {
    crc_of(0, &[&store_id, &segment.to_le_bytes()])
}
