use leftfold_api::Timestamp;

use super::{SystemTime, Time, Waiting, time_until};

/// The system's clock with tokio's timer. A wait must be polled in a tokio runtime.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioTime;

impl Time for TokioTime {
    fn now(&self) -> Timestamp {
        SystemTime.now()
    }

    fn until(&self, at: Timestamp) -> Waiting {
        Box::pin(async move {
            // The clock may have been set meanwhile, so check again.
            while SystemTime.now() < at {
                ::tokio::time::sleep(time_until(SystemTime.now(), at)).await;
            }
        })
    }
}
