//! The partitions that this node owns, for reactors that run where their partition is owned.

use futures_util::future::select_all;
use leftfold_api::BoxFuture;
use leftfold_fold::react::Ownership;

use super::ClusterStore;
use crate::many::PartitionedStore;
use crate::partition::ownership;

impl Ownership for ClusterStore {
    fn partitions(&self) -> u32 {
        1
    }

    fn serves(&self, _: u32) -> bool {
        ownership::owns(&self.shared.status)
    }

    fn changed(&self) -> BoxFuture<'static, ()> {
        ownership::changed(&self.shared.status)
    }
}

impl Ownership for PartitionedStore<ClusterStore> {
    fn partitions(&self) -> u32 {
        u32::try_from(PartitionedStore::partitions(self).len()).unwrap_or(u32::MAX)
    }

    fn serves(&self, partition: u32) -> bool {
        let store = PartitionedStore::partitions(self).nth(partition as usize);
        store.is_some_and(|store| store.serves(partition))
    }

    fn changed(&self) -> BoxFuture<'static, ()> {
        let all = select_all(PartitionedStore::partitions(self).map(Ownership::changed));
        Box::pin(async move { drop(all.await) })
    }
}
