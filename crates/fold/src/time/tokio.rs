use leftfold_api::Timestamp;

use super::{SystemTime, Time, Waiting, time_until};

/// The machine's time, waited for by tokio. A wait must be polled in a tokio runtime.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioTime;

impl Time for TokioTime {
    fn now(&self) -> Timestamp {
        SystemTime.now()
    }

    fn until(&self, at: Timestamp) -> Waiting {
        Box::pin(async move {
            // The clock may have been set meanwhile: look again.
            while SystemTime.now() < at {
                ::tokio::time::sleep(time_until(SystemTime.now(), at)).await;
            }
        })
    }
}
