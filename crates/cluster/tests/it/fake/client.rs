use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use leftfold_api::BoxFuture;
use leftfold_cluster::broker::{Broker, Fetched};
use leftfold_kafka::{KafkaError, ProducerId, StoredBatch};
use parking_lot::Mutex;

use super::network::{Answer, Network, PATIENCE, timeout};

/// The connection of a process to the simulated Kafka. The process ends when it is dropped.
pub(crate) struct FakeBroker {
    network: Arc<Mutex<Network>>,
    client: usize,
}

impl FakeBroker {
    pub(super) fn new(network: Arc<Mutex<Network>>, client: usize) -> Self {
        FakeBroker { network, client }
    }

    pub(super) fn client(&self) -> usize {
        self.client
    }

    /// Sends a request when it is called, and returns the answer.
    fn request<T: Send + 'static>(
        &self,
        name: &'static str,
        patience: i64,
        send: impl FnOnce(&mut Network, usize, Answer<T>),
    ) -> BoxFuture<'static, Result<T, KafkaError>> {
        let (answer, answered) = oneshot::channel();
        let (answer, mut network) = (Answer::to(answer), self.network.lock());
        network.time_out(answer.clone(), name, patience);
        send(&mut network, self.client, answer);
        drop(network);
        Box::pin(async move { answered.await.unwrap_or_else(|_| Err(timeout(name))) })
    }
}

impl Drop for FakeBroker {
    fn drop(&mut self) {
        self.network.lock().close_client(self.client);
    }
}

impl Broker for FakeBroker {
    fn take_over(&self) -> BoxFuture<'_, Result<ProducerId, KafkaError>> {
        self.request("InitProducerIdRequest", PATIENCE, Network::take_over)
    }

    fn append(&self, batch: Bytes) -> BoxFuture<'static, Result<i64, KafkaError>> {
        self.request("ProduceRequest", i64::MAX, |network, client, answer| {
            let mut batches = StoredBatch::decode_all(batch).unwrap();
            assert_eq!(batches.len(), 1, "a request takes one batch for a partition");
            network.append(client, batches.remove(0), answer);
        })
    }

    fn fetch(&self, from: i64, wait: Duration) -> BoxFuture<'_, Result<Fetched, KafkaError>> {
        let wait = wait.as_micros() as i64;
        self.request("FetchRequest", wait + PATIENCE, |network, client, answer| {
            network.fetch(client, from, wait, answer);
        })
    }

    fn end(&self) -> BoxFuture<'_, Result<i64, KafkaError>> {
        self.request("ListOffsetsRequest", PATIENCE, Network::end)
    }
}
