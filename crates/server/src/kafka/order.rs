use std::collections::HashMap;

use kafka_protocol::messages::ProduceRequest;
use tokio::sync::oneshot;

use super::topics::MAX_NAME;

/// Partitions whose order of batches a connection remembers; those of which none is in flight are forgotten.
const ORDERED: usize = 128;

/// The order of the batches of a connection: those for one partition are appended one after the other.
#[derive(Default)]
pub(super) struct ProduceOrder(HashMap<(String, i32), oneshot::Receiver<()>>);

/// The turn of one batch: it waits for the one before, and the next one waits until this is dropped.
pub(super) struct Turn {
    before: Option<oneshot::Receiver<()>>,
    _done: oneshot::Sender<()>,
}

impl Turn {
    /// Waits until the batch before is done.
    pub(super) async fn begin(&mut self) {
        if let Some(before) = self.before.take() {
            // It is dropped when the batch is done.
            _ = before.await;
        }
    }
}

impl ProduceOrder {
    /// Returns the turns of the batches of a request, in their order.
    pub(super) fn turns(&mut self, request: &ProduceRequest) -> Vec<Turn> {
        if self.0.len() > ORDERED {
            self.0
                .retain(|_, before| before.try_recv() == Err(oneshot::error::TryRecvError::Empty));
        }
        let partitions = request.topic_data.iter().flat_map(|topic| {
            // A longer name is none of a topic, and is not remembered.
            let name = if topic.name.len() > MAX_NAME { "" } else { &*topic.name };
            topic.partition_data.iter().map(move |partition| (name.to_owned(), partition.index))
        });
        partitions
            .map(|partition| {
                let (done, next) = oneshot::channel();
                Turn { before: self.0.insert(partition, next), _done: done }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};

    use super::*;
    use crate::kafka::metadata::topic_name;

    fn request(topic: &str) -> ProduceRequest {
        let data = vec![PartitionProduceData::default()];
        let topic = TopicProduceData::default().with_name(topic_name(topic));
        ProduceRequest::default().with_topic_data(vec![topic.with_partition_data(data)])
    }

    #[tokio::test]
    async fn a_batch_waits_for_the_one_before_it() {
        let mut order = ProduceOrder::default();
        let mut first = order.turns(&request("order"));
        let mut second = order.turns(&request("order"));
        let mut other = order.turns(&request("cart"));
        first[0].begin().await;
        other[0].begin().await;
        assert!(second[0].begin().now_or_never().is_none());
        let mut third = order.turns(&request("order"));
        drop((first, second));
        third[0].begin().await;
    }

    #[test]
    fn the_order_of_few_partitions_is_remembered() {
        let mut order = ProduceOrder::default();
        for n in 0..10_000 {
            drop(order.turns(&request(&n.to_string())));
            drop(order.turns(&request(&"x".repeat(30_000 + n))));
        }
        assert!(order.0.len() <= ORDERED + 2);
        assert!(order.0.keys().all(|(name, _)| name.len() <= MAX_NAME));
    }
}
