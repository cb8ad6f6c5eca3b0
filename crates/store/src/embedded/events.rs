//! Events that were read one by one, each out of a block of its own: kept, so that a stream that is
//! read again and again costs neither reads nor blocks full of other streams' events.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use leftfold_api::{Failure, Recorded, Timestamp};
use leftfold_log::Record;

/// Reads the event that a record of the log holds.
pub(crate) fn recorded(record: Record) -> Result<Recorded, Failure> {
    let (event_time, commit_time) = (Timestamp(record.time), Timestamp(record.commit_time));
    Recorded::from_record(record.position, event_time, commit_time, record.bytes)
}

/// A cache of events by position, bounded in bytes.
#[derive(Clone)]
pub(crate) struct EventCache {
    events: Arc<Cache<u64, (u64, Recorded), BySize>>,
    /// Counts how often events were changed on the disk, as scavenging does.
    epoch: Arc<AtomicU64>,
}

/// The cache as it was at a moment: whoever began to read before events were changed may go on with
/// what they were, and leaves nothing behind for those that begin later.
pub(crate) struct Cached {
    cache: EventCache,
    epoch: u64,
}

#[derive(Clone)]
struct BySize;

impl Weighter<u64, (u64, Recorded)> for BySize {
    fn weight(&self, _: &u64, (_, event): &(u64, Recorded)) -> u64 {
        (event.size() + size_of::<(u64, u64, Recorded)>()) as u64
    }
}

impl EventCache {
    pub(crate) fn new(bytes: u64) -> Self {
        /// Bytes of an event, about, with what is around it.
        const USUAL: u64 = 512;
        let events = Cache::with_weighter((bytes / USUAL) as usize, bytes, BySize);
        EventCache { events: Arc::new(events), epoch: Arc::default() }
    }

    pub(crate) fn now(&self) -> Cached {
        Cached { epoch: self.epoch.load(Ordering::Acquire), cache: self.clone() }
    }

    /// Events have been changed on the disk: none that is here counts any more.
    pub(crate) fn outdate(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }
}

impl Cached {
    pub(crate) fn get(&self, position: u64) -> Option<Recorded> {
        let (epoch, event) = self.cache.events.get(&position)?;
        (epoch == self.epoch).then_some(event)
    }

    /// Whether an event is here, unless it is outdated.
    pub(crate) fn has(&self, position: u64) -> bool {
        self.cache.events.contains_key(&position)
    }

    /// Keeps an event that does not keep its block alive.
    pub(crate) fn keep(&self, event: &Recorded) {
        self.cache.events.insert(event.position(), (self.epoch, event.clone()));
    }
}
