use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// What a connection is doing.
pub(super) struct Activity {
    inner: Mutex<(usize, Instant)>,
    /// A second, and how many requests began in it.
    rate: Mutex<(Instant, usize)>,
}

impl Activity {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Activity { inner: Mutex::new((0, now)), rate: Mutex::new((now, 0)) }
    }

    /// Since when nothing has been in flight; none if something is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let (in_flight, since) = *self.inner.lock();
        (in_flight == 0).then_some(since)
    }

    /// Whether a request more is within so many a second; 0 is any number.
    pub(super) fn may_begin(&self, most: usize) -> bool {
        if most == 0 {
            return true;
        }
        let mut rate = self.rate.lock();
        if rate.0.elapsed() >= SECOND {
            *rate = (Instant::now(), 0);
        }
        rate.1 += 1;
        rate.1 <= most
    }

    /// A request more, unless there are so many already.
    pub(super) fn begin(self: &Arc<Self>, most: usize, gauge: &Gauge) -> Option<InFlight> {
        let mut inner = self.inner.lock();
        if inner.0 >= most {
            return None;
        }
        inner.0 += 1;
        gauge.inc();
        Some(InFlight { activity: self.clone(), gauge: gauge.clone() })
    }
}

/// A request in flight: until its answer is sent, or nobody waits for it any more.
pub(super) struct InFlight {
    activity: Arc<Activity>,
    gauge: Gauge,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.gauge.dec();
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
