//! What a client still sends of a body when its request has been answered. A connection of HTTP/1.1 can't be used
//! again then, and the answer says so; and bytes that arrive when it is closed would make the client's system throw
//! the answer away, so they are received for a while.

use std::future::Future;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Sleep, sleep};

/// The longest time for which the rest of a body is received.
const TIME: Duration = Duration::from_secs(2);

/// Bytes of the rest of a body that are received.
const BYTES: usize = 64 << 20;

/// The body of a request, which notes when it has been received as a whole.
pub(super) struct WatchedBody {
    body: Incoming,
    is_received: Arc<AtomicBool>,
}

impl WatchedBody {
    /// Returns the body, and whether it has been received as a whole.
    pub(super) fn new(body: Incoming) -> (Self, Arc<AtomicBool>) {
        let is_received = Arc::new(AtomicBool::new(body.is_end_stream()));
        (WatchedBody { body, is_received: is_received.clone() }, is_received)
    }
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.is_received.store(true, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The rest of a body, which nobody needs.
pub(super) struct Rest {
    until: Pin<Box<Sleep>>,
    bytes: usize,
}

impl Rest {
    pub(super) fn begin() -> Self {
        Rest { until: Box::pin(sleep(TIME)), bytes: 0 }
    }

    /// Receives until the client has closed its side, or has sent too much or for too long.
    pub(super) fn poll<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        let mut memory = [MaybeUninit::uninit(); 8 << 10];
        while self.bytes < BYTES {
            let mut buffer = ReadBuf::uninit(&mut memory);
            match Pin::new(&mut *stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.bytes += buffer.filled().len();
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.until.as_mut().poll(context),
            }
        }
        Poll::Ready(())
    }
}
