//! Appends the events of records, and moves the offset behind them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use leftfold_api::{Append, EventStore, NewEvent, Timestamp, partition_of};
use leftfold_kafka::{Partition, StoredRecord};
use parking_lot::Mutex;

use super::event::EventMaker;
use super::offset::OffsetStream;
use crate::connectors::status::{Gauges, GaugesCell};
use crate::connectors::{ConnectorError, OnError};

/// What a run has counted.
#[derive(Clone, Default)]
pub(super) struct IntakeCounts(Arc<Counted>);

#[derive(Default)]
struct Counted {
    events: AtomicU64,
    skipped: AtomicU64,
    /// The times, in milliseconds, of the last records that were read of partitions that have more.
    behind: Mutex<BTreeMap<i32, i64>>,
}

impl IntakeCounts {
    pub(super) fn show(&self, gauges: &GaugesCell) {
        let counted = self.0.clone();
        gauges.show(move || {
            let oldest = counted.behind.lock().values().min().copied();
            let now = Timestamp::from(SystemTime::now()).micros();
            let lag = oldest.map_or(0, |millis| now.saturating_sub(millis.saturating_mul(1_000)));
            let gauges = Gauges {
                events: counted.events.load(Ordering::Relaxed),
                skipped: counted.skipped.load(Ordering::Relaxed),
                held: 0,
                lag_micros: u64::try_from(lag).ok(),
            };
            Box::pin(std::future::ready(gauges))
        });
    }

    pub(super) fn set_behind(&self, partition: i32, since: Option<i64>) {
        let mut behind = self.0.behind.lock();
        match since {
            Some(since) => _ = behind.insert(partition, since),
            None => _ = behind.remove(&partition),
        }
    }
}

/// Where the records of one partition go.
pub(super) struct Intake<S> {
    pub(super) store: Arc<S>,
    pub(super) store_partitions: u32,
    pub(super) connector: String,
    pub(super) maker: Arc<EventMaker>,
    pub(super) on_error: OnError,
    pub(super) counts: IntakeCounts,
    pub(super) offset: OffsetStream,
}

type Event<'a> = (&'a StoredRecord, String, NewEvent);

impl<S: EventStore> Intake<S> {
    /// Appends the events of records, once each.
    pub(super) async fn append(
        &mut self,
        partition: &Partition,
        records: &[&StoredRecord],
    ) -> Result<(), ConnectorError> {
        let Some(last) = records.last() else { return Ok(()) };
        let mut events = Vec::with_capacity(records.len());
        for stored in records {
            match self.maker.make(partition, stored) {
                Ok((stream, event)) => events.push((*stored, stream, event)),
                Err(reason) => {
                    // Those before it are stored first.
                    let before = stored.offset.saturating_sub(1);
                    self.store_all(partition, std::mem::take(&mut events), before).await?;
                    self.leave_out(partition, stored, reason)?;
                }
            }
        }
        self.store_all(partition, events, last.offset).await
    }

    /// Appends events and moves the offset behind the last record: at once, or one after the other if some of them are
    /// stored or are refused.
    async fn store_all(
        &mut self,
        partition: &Partition,
        events: Vec<Event<'_>>,
        last: i64,
    ) -> Result<(), ConnectorError> {
        let next = last.saturating_add(1);
        if next <= self.offset.next().unwrap_or(0) {
            return Ok(());
        }
        let count = events.len() as u64;
        // A store of many partitions takes an append of one of them at a time. Then only the ids keep repeats out.
        if self.store_partitions <= 1 {
            let mut append = Append::with_capacity(events.len() + 1);
            for (_, stream, event) in &events {
                append = append.event(stream.clone(), event.clone());
            }
            match self.store.append(self.offset.add_to(append, next)).await {
                Ok(_) => {
                    self.counts.0.events.fetch_add(count, Ordering::Relaxed);
                    return self.offset.moved(&*self.store, next).await;
                }
                Err(error) if self.offset.is_of_events(&error) => {}
                Err(error) => return Err(self.offset.failed(error)),
            }
        }
        self.store_apart(partition, events).await?;
        let moved = self.store.append(self.offset.add_to(Append::new(), next)).await;
        moved.map_err(|error| self.offset.failed(error))?;
        self.offset.moved(&*self.store, next).await
    }

    /// Appends the events of each partition of the store together, or one by one if that is refused. What is stored
    /// already is known by its id.
    async fn store_apart(
        &self,
        partition: &Partition,
        events: Vec<Event<'_>>,
    ) -> Result<(), ConnectorError> {
        let mut homes = BTreeMap::<u32, Vec<Event<'_>>>::new();
        for event in events {
            let home = partition_of(&event.1, self.store_partitions);
            homes.entry(home).or_default().push(event);
        }
        for events in homes.into_values() {
            let mut append = Append::with_capacity(events.len());
            for (_, stream, event) in &events {
                append = append.event(stream.clone(), event.clone());
            }
            match self.store.append(append).await {
                Ok(appended) if appended.repeated => {}
                Ok(_) => {
                    _ = self.counts.0.events.fetch_add(events.len() as u64, Ordering::Relaxed);
                }
                Err(error) if self.offset.is_of_events(&error) => {
                    self.store_each(partition, events).await?;
                }
                Err(error) => return Err(self.offset.failed(error)),
            }
        }
        Ok(())
    }

    async fn store_each(
        &self,
        partition: &Partition,
        events: Vec<Event<'_>>,
    ) -> Result<(), ConnectorError> {
        for (stored, stream, event) in events {
            match self.store.append(Append::new().event(stream, event)).await {
                Ok(appended) if appended.repeated => {}
                Ok(_) => _ = self.counts.0.events.fetch_add(1, Ordering::Relaxed),
                Err(error) if self.offset.is_of_events(&error) => {
                    self.leave_out(partition, stored, error.to_string())?;
                }
                Err(error) => return Err(self.offset.failed(error)),
            }
        }
        Ok(())
    }

    /// Skips a record, if the definition says so.
    fn leave_out(
        &self,
        partition: &Partition,
        stored: &StoredRecord,
        reason: String,
    ) -> Result<(), ConnectorError> {
        let offset = stored.offset;
        if self.on_error != OnError::Skip {
            let version = u64::try_from(offset).unwrap_or(0);
            return Err(ConnectorError::Event { stream: partition.to_string(), version, reason });
        }
        tracing::warn!(connector = %self.connector, %partition, offset, reason, "a record is skipped");
        self.counts.0.skipped.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
