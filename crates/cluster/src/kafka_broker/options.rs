use std::time::Duration;

use leftfold_kafka::{KafkaError, ResponseError};

/// The first pause before a retry; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The times and sizes of a [`KafkaBroker`](super::KafkaBroker).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KafkaBrokerOptions {
    /// The most time from the call of an append to its outcome, over all attempts.
    pub delivery_time: Duration,
    /// The most time that the leader waits for its followers in one attempt.
    pub request_time: Duration,
    /// The most bytes of a fetch. A larger first batch is returned nevertheless.
    pub fetch_bytes: i32,
}

impl Default for KafkaBrokerOptions {
    fn default() -> Self {
        KafkaBrokerOptions {
            delivery_time: Duration::from_secs(30),
            request_time: Duration::from_secs(10),
            fetch_bytes: 8 << 20,
        }
    }
}

/// The pauses between retries.
#[derive(Debug)]
pub(super) struct BackOff(Duration);

impl Default for BackOff {
    fn default() -> Self {
        BackOff(FIRST_PAUSE)
    }
}

impl BackOff {
    /// Returns the next pause, twice as long as the last one.
    pub(super) fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST_PAUSE);
        pause
    }

    pub(super) fn reset(&mut self) {
        *self = BackOff::default();
    }
}

/// Returns the error of appends that a takeover by this same client has ended.
pub(super) fn superseded() -> KafkaError {
    KafkaError::Refused {
        request: "ProduceRequest",
        code: ResponseError::ProducerFenced,
        message: "this node has begun to take the transactional id over again".to_owned(),
    }
}
