//! The copy of a partition, and how far it has read the log.

use std::sync::Arc;
use std::time::Duration;

use leftfold_api::{AppendError, Coded, Query, Read, ReadError};
use leftfold_kafka::{KafkaError, StoredRecord};
use leftfold_store::{CommittedAppend, Embedded};
use thiserror::Error;
use uuid::Uuid;

use crate::broker::{Broker, Fetched};
use crate::ledger::{Ledger, Stamp};
use crate::record::{Claimant, Decoded, Decoder, RecordError, names};

/// How long the leader holds a read of what is known to be there.
const READ_WAIT: Duration = Duration::from_secs(1);
/// How often a read of what is known to be there may find nothing.
const READ_ATTEMPTS: u32 = 10;

/// Why a copy can't go on.
#[derive(Debug, Error)]
pub(super) enum CopyError {
    /// Kafka does not answer, or refuses.
    #[error("{0}")]
    Kafka(#[from] KafkaError),
    /// The copy is not of this topic.
    #[error("the copy does not belong to the topic: {0}")]
    Foreign(String),
    /// The log ends before the copy. A new leader may not know yet how far the log is acknowledged; if it stays so,
    /// Kafka has lost records that it had acknowledged.
    #[error(
        "the topic ends at offset {end}, and the copy has applied records up to {next}: if this lasts, Kafka has lost \
         acknowledged records"
    )]
    Ahead { end: i64, next: i64 },
    /// Records that the copy needs are gone.
    #[error(
        "the topic begins at offset {start}, and records from offset {wanted} on are needed: they were deleted; \
         check the topic's retention"
    )]
    Trimmed { start: i64, wanted: i64 },
    /// A record that counts can't be read.
    #[error("{0}")]
    Record(#[from] RecordError),
    /// The copy's store refuses what the log has.
    #[error("the copy differs from the log: {0}")]
    Diverged(AppendError),
    /// The copy's store fails.
    #[error("{0}")]
    Store(String),
}

impl CopyError {
    /// Whether the same may succeed later, without opening the copy again.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, CopyError::Kafka(_) | CopyError::Ahead { .. })
    }
}

/// The copy of a partition.
pub(super) struct Copy {
    store: Arc<Embedded>,
    decoder: Decoder,
    /// The end of the log, as it was last seen.
    end: i64,
    /// The offset of the last claim that counts, of those that were read.
    claimed_at: Option<i64>,
}

impl Copy {
    /// Compares the last event of the copy with the log, and goes on behind it.
    pub(super) async fn resume(
        broker: &impl Broker,
        store: Arc<Embedded>,
    ) -> Result<Self, CopyError> {
        let decoder = match last_event(&store)? {
            None => Decoder::default(),
            Some((position, id)) => {
                // The record of the last event has its stamp, so the copy need not keep one.
                let offset = i64::try_from(position).unwrap_or(i64::MAX) - 1;
                let record = find(broker, offset).await?;
                let is_same = |record: &StoredRecord| {
                    let header = record.record.find_header(names::ID.as_bytes());
                    header.is_some_and(|header| *header == id.to_string())
                };
                let found = record.filter(is_same);
                let stamp = found.and_then(|found| Stamp::of(&found.record));
                let stamp = stamp.ok_or_else(|| {
                    CopyError::Foreign(format!("the record at offset {offset} is not event {id}"))
                })?;
                Decoder::resume(Ledger::resume(stamp), offset + 1)
            }
        };
        let end = decoder.next_offset();
        Ok(Copy { store, decoder, end, claimed_at: None })
    }

    pub(super) fn store(&self) -> &Arc<Embedded> {
        &self.store
    }

    /// Returns the offset of the next record.
    pub(super) fn next(&self) -> i64 {
        self.decoder.next_offset()
    }

    /// Returns the position up to which the log is applied: that of the record before the next one.
    pub(super) fn applied(&self) -> u64 {
        u64::try_from(self.next()).unwrap_or(0)
    }

    /// Returns the last position of the log, as it was last seen.
    pub(super) fn end(&self) -> u64 {
        u64::try_from(self.end.max(self.next())).unwrap_or(0)
    }

    pub(super) fn term(&self) -> u64 {
        self.decoder.ledger().term()
    }

    pub(super) fn owner(&self) -> Claimant {
        Claimant::read(self.decoder.ledger().owner())
    }

    /// Whether the claim at this offset began the term that lasts.
    pub(super) fn is_claimed_at(&self, offset: i64, term: u64) -> bool {
        self.claimed_at == Some(offset) && self.term() == term
    }

    /// Goes on behind the records of a term that this node has written and knows to count. Returns whether they are
    /// the next ones.
    pub(super) fn pass(&mut self, term: u64, records: u64) -> bool {
        self.decoder.apply_own(self.next(), Stamp { term, number: 1 }, records)
    }

    /// Applies what a fetch has found.
    async fn take(&mut self, fetched: Fetched) -> Result<(), CopyError> {
        let appends = self.read(fetched)?;
        self.apply(appends).await
    }

    /// Reads what a fetch has found, and returns the appends that count. They must be applied before anything else is
    /// asked of the copy.
    pub(super) fn read(&mut self, fetched: Fetched) -> Result<Vec<CommittedAppend>, CopyError> {
        let next = self.next();
        if fetched.start > next {
            return Err(CopyError::Trimmed { start: fetched.start, wanted: next });
        }
        if fetched.end < next {
            return Err(CopyError::Ahead { end: fetched.end, next });
        }
        self.end = fetched.end;
        let mut appends = Vec::new();
        for batch in &fetched.batches {
            let decoded = match self.decoder.decode(batch) {
                // What comes before an unreadable record is applied; the next read begins at its batch.
                Err(_) if !appends.is_empty() => break,
                decoded => decoded?,
            };
            for decoded in decoded {
                match decoded {
                    Decoded::Append { append, .. } => appends.push(append),
                    Decoded::Claim { offset, .. } => self.claimed_at = Some(offset),
                    Decoded::Barrier { .. } => {}
                    Decoded::Void { offset, reason } => {
                        tracing::debug!("the record at offset {offset} is void: {reason:?}");
                    }
                }
            }
        }
        Ok(appends)
    }

    /// Applies the appends that were just read.
    pub(super) async fn apply(&self, appends: Vec<CommittedAppend>) -> Result<(), CopyError> {
        let failed = |error: AppendError| match error.code() {
            "replica_diverged" => CopyError::Diverged(error),
            _ => CopyError::Store(error.to_string()),
        };
        if !appends.is_empty() {
            self.store.apply(appends).await.map_err(failed)?;
        }
        // The last records may be claims, void, or without events.
        self.store.skip_to(self.applied()).await.map_err(failed)
    }

    /// Applies the log up to an offset that is known to be there.
    pub(super) async fn read_to(&mut self, broker: &impl Broker, to: i64) -> Result<(), CopyError> {
        let mut in_vain = 0;
        while self.next() < to {
            let before = self.next();
            let fetched = broker.fetch(before, READ_WAIT).await?;
            match self.take(fetched).await {
                Err(CopyError::Ahead { .. }) => {}
                taken => taken?,
            }
            in_vain = if self.next() > before { 0 } else { in_vain + 1 };
            if in_vain > READ_ATTEMPTS {
                let request = "FetchRequest";
                return Err(KafkaError::Timeout { request, waited: READ_WAIT * in_vain }.into());
            }
        }
        Ok(())
    }
}

/// Returns the position and the id of the last event of a store.
fn last_event(store: &Embedded) -> Result<Option<(u64, Uuid)>, CopyError> {
    let failed = |error: ReadError| CopyError::Store(error.to_string());
    let last = Read::backward(Query::System).limit(1);
    let page = store.blocking().read(last).map_err(failed)?;
    Ok(page.events.first().map(|event| (event.position(), event.id())))
}

/// Returns the record at an offset that the copy has: if the log has none there, it is another log.
async fn find(broker: &impl Broker, offset: i64) -> Result<Option<StoredRecord>, CopyError> {
    let end = broker.end().await?;
    if end <= offset {
        return Err(CopyError::Ahead { end, next: offset + 1 });
    }
    for _ in 0..READ_ATTEMPTS {
        let fetched = broker.fetch(offset, READ_WAIT).await?;
        if fetched.start > offset {
            return Err(CopyError::Trimmed { start: fetched.start, wanted: offset });
        }
        let records = fetched.batches.into_iter().flat_map(|batch| batch.records);
        let mut records = records.skip_while(|record| record.offset < offset);
        if let Some(record) = records.next() {
            return Ok(Some(record).filter(|record| record.offset == offset));
        }
    }
    Err(KafkaError::Timeout { request: "FetchRequest", waited: READ_WAIT * READ_ATTEMPTS }.into())
}
