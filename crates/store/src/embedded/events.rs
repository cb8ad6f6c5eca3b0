//! The cache of single events. A stream that is read often then needs neither reads of the disk nor
//! blocks that are full of other streams' events.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use leftfold_api::{Failure, Recorded, Timestamp};
use leftfold_log::Record;

/// Decodes the event in a record of the log.
pub(crate) fn decode_event(record: Record) -> Result<Recorded, Failure> {
    let (event_time, commit_time) = (Timestamp(record.time), Timestamp(record.commit_time));
    Recorded::from_record(record.position, event_time, commit_time, record.bytes)
}

/// A cache of events by position, bounded in bytes.
#[derive(Clone)]
pub(crate) struct EventCache {
    events: Arc<Cache<u64, (u64, Recorded), RecordSize>>,
    /// Incremented when events change on the disk, as scavenging does.
    epoch: Arc<AtomicU64>,
}

/// The cache at one epoch. A reader that began before events changed still sees the old ones, and what
/// it inserts is invisible to later readers.
pub(crate) struct EventCacheView {
    cache: EventCache,
    epoch: u64,
}

#[derive(Clone)]
struct RecordSize;

impl Weighter<u64, (u64, Recorded)> for RecordSize {
    fn weight(&self, _: &u64, (_, event): &(u64, Recorded)) -> u64 {
        (event.size() + size_of::<(u64, u64, Recorded)>()) as u64
    }
}

impl EventCache {
    pub(crate) fn new(bytes: u64) -> Self {
        /// About the bytes of an average event in the cache.
        const AVERAGE: u64 = 512;
        let events = Cache::with_weighter((bytes / AVERAGE) as usize, bytes, RecordSize);
        EventCache { events: Arc::new(events), epoch: Arc::default() }
    }

    /// Returns the cache at the current epoch.
    pub(crate) fn view(&self) -> EventCacheView {
        EventCacheView { epoch: self.epoch.load(Ordering::Acquire), cache: self.clone() }
    }

    /// Invalidates all events, because events have changed on the disk.
    pub(crate) fn invalidate(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }
}

impl EventCacheView {
    pub(crate) fn get(&self, position: u64) -> Option<Recorded> {
        let (epoch, event) = self.cache.events.get(&position)?;
        (epoch == self.epoch).then_some(event)
    }

    /// Whether an event is in the cache; it may belong to an older epoch.
    pub(crate) fn contains(&self, position: u64) -> bool {
        self.cache.events.contains_key(&position)
    }

    /// Inserts an event, which must not share the memory of its block.
    pub(crate) fn insert(&self, event: &Recorded) {
        self.cache.events.insert(event.position(), (self.epoch, event.clone()));
    }
}
