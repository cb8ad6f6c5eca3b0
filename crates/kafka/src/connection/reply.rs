use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::protocol::Request;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::frame::decode_answer;
use super::versions::name;
use crate::address::Address;
use crate::error::KafkaError;

/// A pending answer.
#[must_use = "the outcome of a request is unknown until its answer arrives"]
#[derive(Debug)]
pub struct Reply<R> {
    receiver: oneshot::Receiver<Bytes>,
    address: Address,
    version: i16,
    sent: Instant,
    patience: Duration,
    request: PhantomData<fn() -> R>,
}

impl<R: Request> Reply<R> {
    pub(super) fn new(
        receiver: oneshot::Receiver<Bytes>,
        address: Address,
        version: i16,
        patience: Duration,
    ) -> Self {
        Reply { receiver, address, version, sent: Instant::now(), patience, request: PhantomData }
    }

    /// Waits for the answer, at most the connection's patience since the request was sent.
    ///
    /// # Errors
    /// No readable answer came in time.
    pub async fn wait(self) -> Result<R::Response, KafkaError> {
        let patience = self.patience;
        let rest = patience.saturating_sub(self.sent.elapsed());
        self.wait_within(rest, patience).await
    }

    /// Waits at most `patience` from now on for the answer.
    ///
    /// # Errors
    /// No readable answer came in time.
    pub async fn wait_for(self, patience: Duration) -> Result<R::Response, KafkaError> {
        self.wait_within(patience, patience).await
    }

    async fn wait_within(
        self,
        rest: Duration,
        waited: Duration,
    ) -> Result<R::Response, KafkaError> {
        match timeout(rest, self.receiver).await {
            Ok(Ok(answer)) => decode_answer::<R>(answer, self.version),
            Ok(Err(_)) => Err(KafkaError::Closed(self.address)),
            Err(_) => Err(KafkaError::Timeout { request: name::<R>(), waited }),
        }
    }
}
