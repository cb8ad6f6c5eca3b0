use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;

use super::tail::Tail;
use crate::error::WriteError;
use crate::frames::{FrameView, Frames};
use crate::head::Head;

/// Decides when a batch of frames is durable.
///
/// The writer calls all methods on its own thread, or on that of a caller that writes itself. Batches
/// are numbered from 1 on and confirmed in the order of their numbers. After the first error the
/// writer submits nothing more: it fails all batches in flight and all later drafts.
///
/// A commit that answers over a network returns [`Progress::Pending`], notes the answer on any
/// thread, and wakes the writer; the writer then calls [`Commit::poll`].
pub trait Commit: Send + 'static {
    /// Returns how many batches may be in flight: submitted, and neither acknowledged nor confirmed.
    /// At least 1.
    fn max_in_flight(&self) -> usize;

    /// Whether batches are durable by a sync of the tail. If not, they are confirmed elsewhere: the writer
    /// never syncs the tail, and marks on the disk say up to where the log is confirmed.
    fn syncs(&self) -> bool {
        true
    }

    /// Returns how many positions a frame without records takes.
    fn positions_of_empty(&self) -> u64 {
        0
    }

    /// Hands over the waker of the writer, before the first batch. It may be woken from any thread,
    /// whenever [`Commit::poll`] has something new to report.
    fn start(&mut self, waker: Waker) {
        drop(waker);
    }

    /// Submits a batch. Its frames are written to the tail already, but not synced.
    fn submit(&mut self, batch: &Batch<'_>, tail: &mut Tail) -> Result<Progress, WriteError>;

    /// Reports what has happened since the last call. Must not wait for a network.
    fn poll(&mut self, tail: &mut Tail) -> Result<Progress, WriteError> {
        _ = tail;
        Ok(Progress::Pending)
    }

    /// Makes durable what was acknowledged early. Called when the writer has nothing to do, before a
    /// new segment is opened, and at shutdown.
    fn flush(&mut self, tail: &mut Tail) -> Result<Progress, WriteError> {
        self.poll(tail)
    }

    /// Returns how long an idle writer may wait before it calls [`Commit::flush`]; `None` if nothing
    /// was acknowledged early.
    fn flush_within(&self) -> Option<Duration> {
        None
    }
}

impl<C: Commit + ?Sized> Commit for Box<C> {
    fn max_in_flight(&self) -> usize {
        (**self).max_in_flight()
    }

    fn syncs(&self) -> bool {
        (**self).syncs()
    }

    fn positions_of_empty(&self) -> u64 {
        (**self).positions_of_empty()
    }

    fn start(&mut self, waker: Waker) {
        (**self).start(waker);
    }

    fn submit(&mut self, batch: &Batch<'_>, tail: &mut Tail) -> Result<Progress, WriteError> {
        (**self).submit(batch, tail)
    }

    fn poll(&mut self, tail: &mut Tail) -> Result<Progress, WriteError> {
        (**self).poll(tail)
    }

    fn flush(&mut self, tail: &mut Tail) -> Result<Progress, WriteError> {
        (**self).flush(tail)
    }

    fn flush_within(&self) -> Option<Duration> {
        (**self).flush_within()
    }
}

/// Frames that become durable together.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// Its number: 1 for the first since the log was opened, then one more for each.
    pub number: u64,
    /// The position of its first record, or where that would be.
    pub first: u64,
    /// The head of the log once this batch is durable.
    pub head: Head,
    /// The bytes of its frames.
    pub frames: &'a [u8],
    /// Where they begin in the file of their segment.
    pub(crate) base: u64,
    /// The salt of the segment's checksums.
    pub(crate) salt: u32,
    pub(crate) positions_of_empty: u64,
}

impl Batch<'_> {
    /// Reads its frames, in order, and checks them. Ends at the first that is not whole.
    pub fn read_frames(&self) -> impl Iterator<Item = Result<FrameView, &'static str>> + use<> {
        let bytes = Bytes::copy_from_slice(self.frames);
        let end = self.base + bytes.len() as u64;
        let mut frames = Frames::unread(self.base, self.salt, 0, i64::MIN);
        frames.go_on_with(bytes);
        let mut is_whole = true;
        std::iter::from_fn(move || {
            let frame = (is_whole && frames.offset() < end).then(|| frames.next())?;
            is_whole = frame.is_ok();
            Some(frame)
        })
    }

    /// Returns how many positions a frame without records takes.
    pub fn positions_of_empty(&self) -> u64 {
        self.positions_of_empty
    }

    /// Returns what confirms this batch at the positions that the writer predicted.
    pub fn confirmation(&self) -> Confirmation {
        Confirmation { batch: self.number, position: self.head.position }
    }
}

/// Names the last batch that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmation {
    /// The number of the batch. All batches before it are durable too.
    pub batch: u64,
    /// The last position of the log up to this batch. If it is not the predicted one, another writer
    /// has written, and ownership is lost.
    pub position: u64,
}

/// How far a commit has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing new: the batches in flight are on their way.
    Pending,
    /// All batches so far may be acknowledged, though they are not durable. Readers do not see them.
    Acknowledged,
    /// All batches up to this one are durable.
    Confirmed(Confirmation),
}
