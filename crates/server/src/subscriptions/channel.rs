//! The bounded channel between what a long answer is made from and its reader.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::state::State;

/// Bytes that a reader takes within `limits.write_time` at least.
const PROGRESS_BYTES: usize = 64 << 10;

/// A part of a long answer.
pub(crate) struct Piece<T> {
    pub(crate) content: T,
    /// What counts for the time that its reader has.
    pub(crate) bytes: usize,
    pub(crate) is_last: bool,
}

impl<T> Piece<T> {
    /// Returns how often it has [`PROGRESS_BYTES`], from 1.
    fn times(&self) -> u32 {
        u32::try_from(self.bytes / PROGRESS_BYTES + 1).unwrap_or(u32::MAX)
    }
}

/// What a long answer is made from.
pub(crate) trait Source: Send + 'static {
    /// The content of a piece.
    type Content: Send + 'static;

    /// Waits for the next piece. After the last one it is not asked.
    fn next(&mut self) -> impl Future<Output = Piece<Self::Content>> + Send;
}

/// Serves a source from a task of its own, which hands each piece over through a channel of one place. A reader
/// that makes no progress within `limits.write_time` loses it: the channel closes, and the source is dropped. A piece
/// of more than [`PROGRESS_BYTES`] may take that time for each part of this size: a slow reader is not a stalled one.
pub(crate) fn into_channel<S: Source>(mut source: S, state: &State) -> mpsc::Receiver<S::Content> {
    let write_time = state.config.write_time;
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        // The channel has room again when the reader is done with the piece before the last one and takes
        // the last one.
        let mut times = [1, 1];
        loop {
            let next = tokio::select! {
                next = source.next() => next,
                () = sender.closed() => return,
            };
            let within: Duration = write_time.saturating_mul(times[0].max(times[1]));
            times = [times[1], next.times()];
            let sent = sender.send_timeout(next.content, within).await;
            if next.is_last || sent.is_err() {
                return;
            }
        }
    });
    receiver
}
