use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use leftfold_api::{Cursor, Invalid, Limits, Origin, Query};
use leftfold_io::fake::{FakeDisk, SeededRandom};
use leftfold_io::{Clock, Random, SystemClock};
use leftfold_store::{Embedded, OpenError, Options};

use crate::turns::Turns;

/// A store of many partitions in memory.
///
/// Streams and checkpoints lie where [`leftfold_api::partition_of`] says. Definitions of indexes and
/// retention rules are copied to all partitions; those of partition 0 count.
pub struct Partitioned {
    pub(crate) shared: Arc<Shared>,
    /// One change of definitions at a time.
    pub(crate) changes: Turns,
}

/// What the store and its subscriptions share.
pub(crate) struct Shared {
    pub(crate) origin: Origin,
    pub(crate) partitions: Vec<Embedded>,
    pub(crate) limits: Limits,
}

/// Which partitions can hold events of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    One(usize),
    All,
}

/// Gives no time twice: events of all partitions have an order.
struct StrictClock(AtomicI64);

impl Clock for StrictClock {
    fn now_micros(&self) -> i64 {
        let now = SystemClock.now_micros();
        let next = |last: i64| Some(now.max(last.saturating_add(1)));
        let last = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        last.map_or(now, |last| now.max(last.saturating_add(1)))
    }
}

impl Partitioned {
    /// Creates a store without events. Each partition is opened with the options.
    ///
    /// # Errors
    /// Those of opening a partition.
    pub fn create(partitions: usize, seed: u64, options: &Options) -> Result<Self, OpenError> {
        let random = SeededRandom::new(seed);
        let id = || random.next_u128().to_le_bytes();
        let origin = Origin::new(&id(), &id());
        let clock = Arc::new(StrictClock(AtomicI64::new(0)));
        let open = |n| {
            let random = Arc::new(SeededRandom::new(seed.wrapping_add(1 + n)));
            let options = Options { partition_of: Some(origin), ..options.clone() };
            Embedded::open_on(Arc::new(FakeDisk::new()), clock.clone(), random, options)
        };
        let partitions = (0..partitions.max(1) as u64).map(open).collect::<Result<_, _>>()?;
        let shared = Shared { origin, partitions, limits: options.limits.clone() };
        Ok(Partitioned { shared: Arc::new(shared), changes: Turns::default() })
    }

    /// Returns the embedded stores that the partitions are, in order.
    pub fn partitions(&self) -> &[Embedded] {
        &self.shared.partitions
    }
}

impl Shared {
    /// Returns the number of partitions.
    pub(crate) fn count(&self) -> u32 {
        self.partitions.len() as u32
    }

    /// Returns the partition where definitions count.
    pub(crate) fn first(&self) -> &Embedded {
        &self.partitions[0]
    }

    /// Returns the partition of a stream or a checkpoint.
    pub(crate) fn home(&self, name: &str) -> usize {
        leftfold_api::partition_of(name, self.count()) as usize
    }

    /// Returns the last durable position of each partition.
    pub(crate) fn heads(&self) -> Vec<u64> {
        let head = |store: &Embedded| store.blocking().head().position().unwrap_or_default();
        self.partitions.iter().map(head).collect()
    }

    /// Returns the store's cursor at a position of each partition.
    pub(crate) fn cursor(&self, positions: &[u64]) -> Cursor {
        Cursor::at_all(self.origin, positions).unwrap_or_default()
    }

    /// Returns which partitions can hold events of a query.
    ///
    /// # Errors
    /// `index_unknown` or `index_building`.
    pub(crate) fn span(&self, query: &Query) -> Result<Span, Invalid> {
        let query = leftfold_api::Engine::expand(self.first(), query)?;
        let single = query.single_partition(self.count());
        Ok(single.map_or(Span::All, |partition| Span::One(partition as usize)))
    }
}
