//! Time: the clock, and waiting until a moment.
//!
//! Nothing in this crate needs a runtime: reactors, views and runners are futures that their user
//! spawns or polls. Only to wait for a moment do they need help, from a [`Time`]. [`SystemTime`]
//! works everywhere, [`TokioTime`] (feature `tokio`) uses the timer of the tokio runtime, and
//! [`FakeTime`] stands still until a test moves it.

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

/// A wait that is ready when its moment has come.
pub type Waiting = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A clock, and waiting until a moment.
pub trait Time: Send + Sync + 'static {
    /// Returns the current time. It may step backwards, as wall clocks do.
    fn now(&self) -> Timestamp;

    /// Waits until a moment; ready at once if it has passed.
    fn until(&self, at: Timestamp) -> Waiting;

    /// Waits for a duration.
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

/// Adds a duration to a moment, saturating.
pub fn later(from: Timestamp, time: Duration) -> Timestamp {
    from + time
}

/// Returns the duration until a moment, or zero if it has passed.
pub(crate) fn time_until(now: Timestamp, at: Timestamp) -> Duration {
    at - now
}
