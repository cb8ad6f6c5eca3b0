use std::sync::Arc;

use leftfold_io::File;

use crate::catalog::Catalog;
use crate::error::ReadError;
use crate::manifest::{LiveFile, SegmentState};
use crate::reader::SegmentReader;
use crate::segment::{Body, Segment};

/// A segment as it was at one moment; its file is not removed while this exists.
pub(super) struct PinnedSegment {
    segment: Arc<Segment>,
    /// How the backup's manifest names it.
    pub(super) live: LiveFile,
    /// Where the durable part of its file ends.
    pub(super) length: u64,
}

/// Pins the segments of this moment, each up to where it is durable.
pub(super) fn segments(catalog: &Catalog) -> Vec<PinnedSegment> {
    let segments = catalog.segments();
    let last = segments.len().saturating_sub(1);
    let pin = |(at, segment): (usize, &Arc<Segment>)| {
        let (live, length) = match &segment.body {
            Body::Sealed { last_position, length } => {
                (segment.live(SegmentState::Sealed, *last_position, *length), *length)
            }
            Body::Open(body) if at < last => {
                let end = body.durable_end();
                (segment.live(SegmentState::Closed, segment.last_position(), end), end)
            }
            Body::Open(body) => (segment.live(SegmentState::Open, 0, 0), body.durable_end()),
        };
        PinnedSegment { segment: segment.clone(), live, length }
    };
    segments.iter().enumerate().map(pin).collect()
}

impl PinnedSegment {
    /// Its name in the backup. That of a file that will change has the length that is copied.
    pub(super) fn stored(&self) -> String {
        let name = self.live.name();
        match self.segment.open_body() {
            None => name,
            Some(_) => format!("{}.{}.part", name.trim_end_matches(".seg"), self.length),
        }
    }

    pub(super) fn file(&self, reader: &SegmentReader) -> Result<Arc<dyn File>, ReadError> {
        reader.file_of(&self.segment)
    }

    /// Checks every byte that is to be copied; returns the last position.
    pub(super) fn check(&self, reader: &SegmentReader) -> Result<u64, ReadError> {
        let mut frames = match &self.segment.body {
            Body::Open(_) => reader.frames_upto(&self.segment, self.length)?,
            Body::Sealed { .. } => reader.frames_of(&self.segment)?,
        };
        while frames.next()?.is_some() {}
        Ok(frames.next_position() - 1)
    }
}
