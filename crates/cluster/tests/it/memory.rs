//! A partition in memory that never fails, for tests of what is above it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use event_listener::Event;
use futures_core::future::BoxFuture;
use futures_util::future::select;
use leftfold_cluster::broker::{Broker, Fetched};
use leftfold_fold::time::{SystemTime, Time};
use leftfold_kafka::{KafkaError, ProducerId, ResponseError, StoredBatch};
use parking_lot::Mutex;

/// A partition in memory. Its clones share the records.
#[derive(Clone, Default)]
pub(crate) struct MemoryKafka {
    log: Arc<Log>,
}

#[derive(Default)]
struct Log {
    state: Mutex<State>,
    grown: Event,
}

#[derive(Default)]
struct State {
    batches: Vec<StoredBatch>,
    end: i64,
    epoch: i16,
    /// Whether nobody answers what the end is, and whether somebody has asked.
    hides_end: bool,
    is_asked: bool,
    /// The least offset from which was read.
    read_from: Option<i64>,
}

/// The producer of the only transactional id.
const PRODUCER: i64 = 7;

impl MemoryKafka {
    /// Appends a batch as another program would.
    pub(crate) fn append_foreign(&self, batch: Bytes) {
        self.log.push(batch, false).unwrap();
    }
}

impl MemoryKafka {
    /// Returns the least offset from which was read since this was asked before.
    pub(crate) fn take_read_from(&self) -> Option<i64> {
        self.log.state.lock().read_from.take()
    }

    /// Answers the question for the end no more, and waits until it is asked.
    pub(crate) async fn hide_end(&self) {
        self.log.state.lock().hides_end = true;
        loop {
            let asked = self.log.grown.listen();
            if self.log.state.lock().is_asked {
                return;
            }
            asked.await;
        }
    }
}

impl Log {
    fn push(&self, batch: Bytes, is_fenced: bool) -> Result<i64, KafkaError> {
        let mut batch = StoredBatch::decode_all(batch)?.remove(0);
        let mut state = self.state.lock();
        if is_fenced && batch.producer.map(|producer| producer.epoch) != Some(state.epoch) {
            let (code, message) = (ResponseError::InvalidProducerEpoch, String::new());
            return Err(KafkaError::Refused { request: "ProduceRequest", code, message });
        }
        let base = state.end;
        batch.base_offset += base;
        batch.last_offset += base;
        batch.records.iter_mut().for_each(|record| record.offset += base);
        state.end = batch.last_offset + 1;
        state.batches.push(batch);
        drop(state);
        self.grown.notify(usize::MAX);
        Ok(base)
    }

    fn read(&self, from: i64) -> Fetched {
        let mut state = self.state.lock();
        state.read_from = Some(state.read_from.map_or(from, |before| before.min(from)));
        let first = state.batches.partition_point(|batch| batch.last_offset < from);
        let batches = state.batches[first..].iter().take(100).cloned().collect();
        Fetched { start: 0, end: state.end, batches }
    }
}

impl Broker for MemoryKafka {
    fn take_over(&self) -> BoxFuture<'_, Result<ProducerId, KafkaError>> {
        let mut state = self.log.state.lock();
        state.epoch += 1;
        let producer = ProducerId { id: PRODUCER, epoch: state.epoch };
        Box::pin(std::future::ready(Ok(producer)))
    }

    fn append(&self, batch: Bytes) -> BoxFuture<'static, Result<i64, KafkaError>> {
        Box::pin(std::future::ready(self.log.push(batch, true)))
    }

    fn fetch(&self, from: i64, wait: Duration) -> BoxFuture<'_, Result<Fetched, KafkaError>> {
        Box::pin(async move {
            let end = SystemTime.now() + wait;
            loop {
                let grown = self.log.grown.listen();
                let found = self.log.read(from);
                if !found.batches.is_empty() || SystemTime.now() >= end {
                    return Ok(found);
                }
                select(grown, SystemTime.until(end)).await;
            }
        })
    }

    fn end(&self) -> BoxFuture<'_, Result<i64, KafkaError>> {
        Box::pin(async {
            let answer = {
                let mut state = self.log.state.lock();
                state.is_asked |= state.hides_end;
                (!state.hides_end).then_some(state.end)
            };
            self.log.grown.notify(usize::MAX);
            match answer {
                Some(end) => Ok(end),
                None => std::future::pending().await,
            }
        })
    }
}
