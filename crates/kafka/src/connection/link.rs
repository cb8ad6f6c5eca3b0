//! The stream to a broker, its two tasks, and the requests in flight.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::frame::read_answer;
use crate::address::Address;
use crate::error::KafkaError;

/// The most requests in flight.
const MOST_IN_FLIGHT: usize = 1_024;
/// The most bytes of requests that are not written yet. One request may be larger than this.
const MOST_QUEUED_BYTES: usize = 160 << 20;
/// The most time in which the peer must take at least one byte of a request.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

const READ_BUFFER: usize = 64 << 10;

/// A stream to a broker. Dropping it stops its reader at once, and its writer after the queued requests.
#[derive(Debug)]
pub(super) struct Link {
    address: Address,
    flight: Flight,
    queued: Arc<AtomicUsize>,
    reader: AbortHandle,
    writer: AbortHandle,
}

/// The requests in flight; `None` once the stream is closed.
#[derive(Debug, Clone)]
struct Flight(Arc<Mutex<Option<Open>>>);

#[derive(Debug)]
struct Open {
    frames: mpsc::Sender<Bytes>,
    correlation: i32,
    /// In the order of sending, which is the order of the answers.
    pending: VecDeque<(i32, oneshot::Sender<Bytes>)>,
}

impl Link {
    /// Starts the tasks of a stream.
    pub(super) fn start(
        address: Address,
        incoming: impl AsyncRead + Unpin + Send + 'static,
        outgoing: impl AsyncWrite + Unpin + Send + 'static,
    ) -> Self {
        let (frames, queue) = mpsc::channel(MOST_IN_FLIGHT);
        let open = Open { frames, correlation: 0, pending: VecDeque::new() };
        let flight = Flight(Arc::new(Mutex::new(Some(open))));
        let queued = Arc::new(AtomicUsize::new(0));
        let write = write_requests(outgoing, queue, queued.clone(), flight.clone());
        let writer = tokio::spawn(write).abort_handle();
        let read = read_answers(incoming, flight.clone(), writer.clone());
        let reader = tokio::spawn(read).abort_handle();
        Link { address, flight, queued, reader, writer }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Queues the frame that `encode` makes for a correlation id. Frames are written in the order of the calls.
    pub(super) fn send(
        &self,
        encode: impl FnOnce(i32) -> Result<Bytes, KafkaError>,
    ) -> Result<oneshot::Receiver<Bytes>, KafkaError> {
        let mut flight = self.flight.0.lock();
        let open = flight.as_mut().ok_or_else(|| KafkaError::Closed(self.address.clone()))?;
        if open.pending.len() >= MOST_IN_FLIGHT {
            return Err(KafkaError::Busy(open.pending.len()));
        }
        let correlation = open.correlation.wrapping_add(1);
        let frame = encode(correlation)?;
        let (size, queued) = (frame.len(), self.queued.load(Ordering::Relaxed));
        if queued > 0 && queued.saturating_add(size) > MOST_QUEUED_BYTES {
            return Err(KafkaError::Busy(open.pending.len()));
        }
        self.queued.fetch_add(size, Ordering::Relaxed);
        if open.frames.try_send(frame).is_err() {
            self.queued.fetch_sub(size, Ordering::Relaxed);
            return Err(KafkaError::Busy(open.pending.len()));
        }
        let (sender, receiver) = oneshot::channel();
        open.correlation = correlation;
        open.pending.push_back((correlation, sender));
        Ok(receiver)
    }

    pub(super) fn is_open(&self) -> bool {
        self.flight.0.lock().is_some()
    }

    /// Closes the stream at once; queued requests are dropped, and all callers that wait get an error.
    pub(super) fn close(&self) {
        self.flight.close();
        self.reader.abort();
        self.writer.abort();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.flight.close();
        self.reader.abort();
    }
}

impl Flight {
    fn close(&self) {
        drop(self.0.lock().take());
    }

    /// Delivers an answer; returns whether a request with this id was in flight.
    fn deliver(&self, id: i32, answer: Bytes) -> bool {
        let mut flight = self.0.lock();
        let Some(open) = flight.as_mut() else { return false };
        let Some(at) = open.pending.iter().position(|(sent, _)| *sent == id) else { return false };
        if let Some((_, sender)) = open.pending.remove(at) {
            // A failure means that the caller stopped waiting.
            _ = sender.send(answer);
        }
        // Brokers answer in order, so no answer will come to earlier requests. Their callers may wait still.
        if at == 0 {
            return true;
        }
        let mut earlier = at;
        open.pending.retain(|(_, sender)| {
            let is_earlier = earlier > 0;
            earlier = earlier.saturating_sub(1);
            !is_earlier || !sender.is_closed()
        });
        true
    }
}

async fn read_answers(stream: impl AsyncRead + Unpin, flight: Flight, writer: AbortHandle) {
    let mut stream = BufReader::with_capacity(READ_BUFFER, stream);
    while let Some((id, answer)) = read_answer(&mut stream).await
        && flight.deliver(id, answer)
    {}
    flight.close();
    writer.abort();
}

async fn write_requests(
    mut stream: impl AsyncWrite + Unpin,
    mut queue: mpsc::Receiver<Bytes>,
    queued: Arc<AtomicUsize>,
    flight: Flight,
) {
    while let Some(frame) = queue.recv().await {
        let size = frame.len();
        // If a part of a request was written, the stream is unusable.
        if write(&mut stream, frame).await.is_err() {
            break;
        }
        queued.fetch_sub(size, Ordering::Relaxed);
    }
    flight.close();
    _ = timeout(WRITE_PATIENCE, stream.shutdown()).await;
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), mut frame: Bytes) -> io::Result<()> {
    while frame.has_remaining() {
        if timeout(WRITE_PATIENCE, stream.write_buf(&mut frame)).await?? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    timeout(WRITE_PATIENCE, stream.flush()).await?
}

#[cfg(test)]
mod tests;
