use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::config::Config;

const SECOND: Duration = Duration::from_secs(1);

/// What a connection is doing: requests in flight, a head that is arriving, or nothing.
pub(super) struct Activity {
    inner: Mutex<Inner>,
    /// A second, and how many requests began in it.
    rate: Mutex<(Instant, usize)>,
    /// Whether a request was answered whose body had not been received as a whole.
    has_left_body: AtomicBool,
    /// Notified when a head begins: its deadline is earlier than that of an idle connection.
    pub(super) head_began: Notify,
}

struct Inner {
    in_flight: usize,
    /// Since when no request is in flight.
    idle_since: Instant,
    /// Since when a head is arriving.
    head_since: Option<Instant>,
    /// Whether there has been a request.
    has_begun: bool,
}

impl Activity {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let (in_flight, head_since, has_begun) = (0, None, false);
        let inner = Inner { in_flight, idle_since: now, head_since, has_begun };
        let (inner, rate) = (Mutex::new(inner), Mutex::new((now, 0)));
        let has_left_body = AtomicBool::new(false);
        Activity { inner, rate, has_left_body, head_began: Notify::new() }
    }

    /// Notes that bytes of HTTP/1.1 arrived: while no request is in flight they belong to a head.
    pub(super) fn head_bytes(&self) {
        let mut inner = self.inner.lock();
        if inner.in_flight == 0 && inner.head_since.is_none() {
            inner.head_since = Some(Instant::now());
            self.head_began.notify_one();
        }
    }

    /// Returns whether a request is in flight.
    pub(super) fn is_busy(&self) -> bool {
        self.inner.lock().in_flight > 0
    }

    /// Notes that a request was answered whose body had not been received as a whole.
    pub(super) fn leaves_body(&self) {
        self.has_left_body.store(true, Ordering::Relaxed);
    }

    /// Returns whether a client may still send a body that nobody receives.
    pub(super) fn has_left_body(&self) -> bool {
        self.has_left_body.load(Ordering::Relaxed)
    }

    /// Returns when to close the connection if nothing arrives, or `None` while a request is in
    /// flight.
    pub(super) fn deadline(&self, config: &Config) -> Option<Instant> {
        let inner = self.inner.lock();
        match inner.head_since {
            _ if inner.in_flight > 0 => None,
            Some(since) => Some(since + config.header_time),
            None if !inner.has_begun => Some(inner.idle_since + config.header_time),
            None => Some(inner.idle_since + config.idle_time),
        }
    }

    /// Counts a request and returns whether it is within the limit of a second; 0 is no limit.
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

    /// Counts a request as in flight, or returns `None` if the limit is reached.
    pub(super) fn begin(self: &Arc<Self>, most: usize, gauge: &Gauge) -> Option<RequestInFlight> {
        let mut inner = self.inner.lock();
        if inner.in_flight >= most {
            return None;
        }
        inner.in_flight += 1;
        (inner.head_since, inner.has_begun) = (None, true);
        gauge.inc();
        Some(RequestInFlight { activity: self.clone(), gauge: gauge.clone() })
    }
}

/// A request in flight, until its answer is sent or its client is gone.
pub(super) struct RequestInFlight {
    activity: Arc<Activity>,
    gauge: Gauge,
}

impl Drop for RequestInFlight {
    fn drop(&mut self) {
        self.gauge.dec();
        let mut inner = self.activity.inner.lock();
        inner.in_flight -= 1;
        inner.idle_since = Instant::now();
    }
}
