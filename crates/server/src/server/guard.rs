use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

/// What a connection is doing.
pub(super) struct Activity {
    inner: Mutex<(usize, Instant)>,
}

impl Activity {
    pub(super) fn new() -> Self {
        Activity { inner: Mutex::new((0, Instant::now())) }
    }

    /// Since when nothing has been in flight; none if something is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let (in_flight, since) = *self.inner.lock();
        (in_flight == 0).then_some(since)
    }

    /// A request more, unless there are so many already.
    pub(super) fn begin(self: &Arc<Self>, most: usize) -> Option<InFlight> {
        let mut inner = self.inner.lock();
        if inner.0 >= most {
            return None;
        }
        inner.0 += 1;
        Some(InFlight { activity: self.clone() })
    }
}

/// A request in flight: until its answer is sent, or nobody waits for it any more.
pub(super) struct InFlight {
    activity: Arc<Activity>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut inner = self.activity.inner.lock();
        *inner = (inner.0 - 1, Instant::now());
    }
}

/// An answer's body, and what is held until it is sent.
pub(super) struct Guarded {
    pub(super) body: Body,
    pub(super) _in_flight: Option<InFlight>,
    pub(super) _permit: Option<OwnedSemaphorePermit>,
}

impl http_body::Body for Guarded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
