//! Time, as what runs here knows it: what o'clock it is, and waiting until then.
//!
//! Nothing in this crate needs a runtime: what runs is a future that its user spawns or polls. The one
//! thing that a future can't do by itself is to wait for a moment; it asks a [`Time`] for that.
//! [`SystemTime`] works everywhere, [`TokioTime`] (feature `tokio`) uses the timer that a program on
//! tokio has anyway, and [`FakeTime`] stands still until a test moves it.

mod fake;
mod system;
#[cfg(feature = "tokio")]
mod tokio;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

pub use fake::FakeTime;
use leftfold_api::Timestamp;
pub use system::SystemTime;

#[cfg(feature = "tokio")]
pub use self::tokio::TokioTime;

/// A wait; ready when its moment has come.
pub type Waiting = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tells the time and waits for it.
pub trait Time: Send + Sync + 'static {
    /// The time now. It may step backwards, as clocks on walls do.
    fn now(&self) -> Timestamp;

    /// Ready at this moment, or soon after; at once if it has passed.
    fn until(&self, at: Timestamp) -> Waiting;

    /// Ready after so much time.
    fn after(&self, time: Duration) -> Waiting {
        self.until(later(self.now(), time))
    }
}

impl<T: Time + ?Sized> Time for std::sync::Arc<T> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn until(&self, at: Timestamp) -> Waiting {
        (**self).until(at)
    }
}

/// So much later; the end of time at most.
pub fn later(from: Timestamp, time: Duration) -> Timestamp {
    let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    Timestamp(from.micros().saturating_add(micros))
}

/// How long it is until then; nothing if it has passed.
fn time_until(now: Timestamp, at: Timestamp) -> Duration {
    Duration::from_micros(u64::try_from(at.micros().saturating_sub(now.micros())).unwrap_or(0))
}
