//! The store, as a server asks it.

use leftfold_api::{
    Administration, Append, AppendError, Appended, BoxFuture, Cluster, Engine, Failure, Histogram,
    Invalid, Meters, Query,
};

use super::{Part, PartitionedStore};

impl<S: Part> Engine for PartitionedStore<S> {
    fn append_here(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(self.append_by_caller(append))
    }

    fn append_system(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(self.append_of_system(append))
    }

    fn expand(&self, query: &Query) -> Result<Query, Invalid> {
        Engine::expand(self.shared.first(), query)
    }

    /// The sums over all partitions.
    fn meters(&self) -> Meters {
        let mut all = self.partitions().map(Engine::meters);
        let first = all.next().unwrap_or_default();
        all.fold(first, |sum, meters| Meters {
            batches: add(sum.batches, &meters.batches),
            syncs: add(sum.syncs, &meters.syncs),
            log_cache: add_pair(sum.log_cache, meters.log_cache),
            index_cache: add_pair(sum.index_cache, meters.index_cache),
            position: sum.position + meters.position,
            clock_behind_micros: sum.clock_behind_micros.max(meters.clock_behind_micros),
            maintenance_failure: sum.maintenance_failure.or(meters.maintenance_failure),
            checkpoints: sum.checkpoints + meters.checkpoints,
            checkpoints_allowed: sum.checkpoints_allowed + meters.checkpoints_allowed,
        })
    }

    fn failure(&self) -> Option<Failure> {
        self.partitions().find_map(Engine::failure)
    }

    fn administration(&self) -> &dyn Administration {
        self
    }

    fn cluster(&self) -> Option<&dyn Cluster> {
        self.shared.node.get().map(|node| &**node)
    }
}

fn add(mut sum: Histogram, other: &Histogram) -> Histogram {
    sum.sum += other.sum;
    sum.counts.resize(sum.counts.len().max(other.counts.len()), 0);
    sum.counts.iter_mut().zip(&other.counts).for_each(|(sum, count)| *sum += count);
    sum
}

fn add_pair(one: (u64, u64), other: (u64, u64)) -> (u64, u64) {
    (one.0 + other.0, one.1 + other.1)
}
