//! A store of many partitions in memory, for tests: each partition is an embedded store on a fake disk.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use leftfold_api::Origin;
use leftfold_cluster::many::{Partition, PartitionedStore};
use leftfold_io::fake::{FakeDisk, SeededRandom};
use leftfold_io::{Clock, Random, SystemClock};
use leftfold_store::{Embedded, OpenError, Options, StoreIdentity};

/// A store of many partitions in memory.
pub type Partitioned = PartitionedStore<Embedded>;

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

/// Creates a store without events. Each partition is opened with the options.
///
/// # Errors
/// Those of opening a partition; there are too many.
pub fn create(
    partitions: usize,
    seed: u64,
    options: &Options,
) -> Result<Partitioned, Box<dyn Error>> {
    let random = SeededRandom::new(seed);
    let id = || random.next_u128().to_le_bytes();
    let origin = Origin::new(&id(), &id());
    let clock = Arc::new(StrictClock(AtomicI64::new(0)));
    let open = |n| {
        let identity = StoreIdentity { store_id: id(), incarnation: id(), hash_key: id() };
        let own = Origin::new(&identity.store_id, &identity.incarnation);
        let options =
            Options { partition_of: Some(origin), identity: Some(identity), ..options.clone() };
        let random = Arc::new(SeededRandom::new(seed.wrapping_add(1 + n)));
        let store = Embedded::open_on(Arc::new(FakeDisk::new()), clock.clone(), random, options)?;
        Ok(Partition { store, origin: own })
    };
    let partitions: Result<Vec<_>, OpenError> = (0..partitions.max(1) as u64).map(open).collect();
    Ok(PartitionedStore::new(origin, partitions?, options.limits.clone())?)
}
