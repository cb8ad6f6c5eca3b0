//! From events to the records of partitions.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use leftfold_api::{Partitioner, Recorded};
use leftfold_fold::view::ViewError;
use leftfold_kafka::{Partition, Record};
use parking_lot::Mutex;

use super::record::{Composer, Outgoing, room_of};
use super::sender::Shipment;
use super::topics::{TopicLimits, Topics};
use crate::connectors::template::EventFields;
use crate::connectors::{ConnectorError, OnError};

/// Why a run ends: what a sink can't say through the runner that calls it.
#[derive(Clone, Default)]
pub(super) struct FailureCell(Arc<Mutex<Option<ConnectorError>>>);

impl FailureCell {
    /// Keeps why the run ends, and returns the error that ends it.
    pub(super) fn end(&self, error: ConnectorError) -> ViewError {
        let ended = ViewError::rows(&error);
        *self.0.lock() = Some(error);
        ended
    }

    /// Keeps which event is refused, and returns the error that makes the runner commit those before it.
    fn refuse(&self, event: &Recorded, reason: String) -> ViewError {
        let refused = ViewError::event(reason.clone());
        let (stream, version) = (event.stream().to_owned(), event.version());
        *self.0.lock() = Some(ConnectorError::Event { stream, version, reason });
        refused
    }

    /// Returns why a run has ended.
    pub(super) fn of(&self, error: ViewError) -> ConnectorError {
        self.0.lock().take().unwrap_or(ConnectorError::Sink(error))
    }
}

/// What a run has counted.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) events: AtomicU64,
    pub(super) skipped: AtomicU64,
}

impl Counts {
    pub(super) fn add(&self, load: &Load) {
        self.events.fetch_add(load.events, Ordering::Relaxed);
        self.skipped.fetch_add(load.skipped, Ordering::Relaxed);
    }
}

/// The records of some events.
pub(super) struct Load {
    pub(super) shipments: Vec<Shipment>,
    events: u64,
    skipped: u64,
}

/// Makes records of events.
pub(super) struct Outbound {
    pub(super) connector: String,
    pub(super) composer: Composer,
    pub(super) topics: Topics,
    pub(super) cursor_topic: String,
    pub(super) on_error: OnError,
    pub(super) failure: FailureCell,
}

impl Outbound {
    /// Returns the records of events, by partition, in the order of the events.
    pub(super) async fn load(&mut self, events: &[Recorded]) -> Result<Load, ViewError> {
        let mut partitions = HashMap::<(String, u32), Vec<Record>>::new();
        let mut limits = HashMap::<String, TopicLimits>::new();
        let (mut sent, mut skipped) = (0, 0);
        for event in events {
            let composed = self.compose(event);
            let Outgoing { topic, record } = match composed {
                Ok(outgoing) => outgoing,
                Err(reason) => {
                    self.leave_out(event, reason)?;
                    skipped += 1;
                    continue;
                }
            };
            let limit = match limits.get(&topic) {
                Some(known) => *known,
                None => {
                    let found = self.topics.find(&topic).await;
                    let found = found.map_err(|error| self.failure.end(error))?;
                    limits.insert(topic.clone(), found);
                    found
                }
            };
            let size = room_of(&record);
            if size > limit.record {
                let most = limit.record;
                let reason = format!(
                    "its record has {size} bytes, and the topic {topic} takes at most {most}"
                );
                self.leave_out(event, reason)?;
                skipped += 1;
                continue;
            }
            let key = record.key.as_deref().unwrap_or_default();
            let number = Partitioner::Murmur2.partition_of(key, limit.partitions);
            partitions.entry((topic, number)).or_default().push(record);
            sent += 1;
        }
        let shipment = |((topic, number), records): ((String, u32), Vec<Record>)| Shipment {
            partition: Partition::new(&topic, i32::try_from(number).unwrap_or(i32::MAX)),
            limit: limits.get(&topic).map_or(1, |limits| limits.batch),
            records,
        };
        let shipments = partitions.into_iter().map(shipment).collect();
        Ok(Load { shipments, events: sent, skipped })
    }

    fn compose(&self, event: &Recorded) -> Result<Outgoing, String> {
        let outgoing = self.composer.compose(&EventFields::new(event))?;
        match outgoing.topic == self.cursor_topic {
            true => Err(format!("its topic {} is that of the cursors", outgoing.topic)),
            false => Ok(outgoing),
        }
    }

    /// Skips an event, if the definition says so. There is no place for parked events beside a transaction.
    fn leave_out(&self, event: &Recorded, reason: String) -> Result<(), ViewError> {
        if self.on_error != OnError::Skip {
            return Err(self.failure.refuse(event, reason));
        }
        let (connector, stream, version) = (&self.connector, event.stream(), event.version());
        tracing::warn!(%connector, stream, version, reason, "an event is skipped");
        Ok(())
    }
}
