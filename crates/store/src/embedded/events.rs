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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use leftfold_api::{Append, NewEvent, Query, Read};
    use leftfold_io::SystemClock;
    use leftfold_io::fake::{FakeDisk, SeededRandom};

    use crate::{Embedded, Options};

    /// Events that lie beside each other are read from their blocks. A read that is repeated adds the first that is not
    /// cached yet, but not one for each block: so only what is read often comes to be cached as a whole.
    #[test]
    fn a_read_that_is_repeated_adds_one_event() {
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SeededRandom::new(7)));
        let disk = Arc::new(FakeDisk::new());
        let store = Embedded::open_on(disk, clock, random, Options::default()).unwrap();
        for n in 0..100 {
            let append = (0..10).fold(Append::new(), |append, _| {
                append.event(format!("a-{}", n % 10), NewEvent::new("T", vec![n; 300]))
            });
            store.blocking().append(append).unwrap();
        }
        let read = || {
            let read = Read::forward(Query::category("a")).limit(1_000);
            assert_eq!(store.blocking().read(read).unwrap().events.len(), 1_000);
            store.core.events.events.len()
        };
        let _first = read();
        let second = read();
        assert!(second < 200, "{second}");
        for times in 1..=3 {
            assert!(read() <= second + times);
        }
    }
}
