//! A real node in the simulation: the partition of the crate, over a store whose writer has no thread.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use leftfold_api::{
    Append, AppendError, Appended, BoxFuture, EventStore, Failure, Query, Read, ReadError, Recorded,
};
use leftfold_cluster::broker::Broker;
use leftfold_cluster::partition::{Cache, Names, Partition, Role, Wish};
use leftfold_cluster::record::Claimant;
use leftfold_io::Disk;
use leftfold_io::fake::{FakeDisk, SeededRandom};
use leftfold_store::commit::Commit;
use leftfold_store::{Embedded, Manual, OpenError};
use parking_lot::Mutex;

use super::clock::MachineClock;
use super::machine::{NodeContext, SimNode, StartNode, StartedNode};
use crate::nodes::FakeCache;

/// The writer of the store that is open, if any.
type Writer = Arc<Mutex<Option<Manual>>>;

/// How many copies were deleted, in all runs.
pub(crate) static DELETED: AtomicU64 = AtomicU64::new(0);

/// A copy on the disk of a machine.
struct MachineCache {
    disk: FakeDisk,
    clock: MachineClock,
    random: Arc<SeededRandom>,
    writer: Writer,
}

impl Cache for MachineCache {
    fn open(&self, commit: Box<dyn Commit>) -> Result<Arc<Embedded>, OpenError> {
        // The store before has been released.
        drop(self.writer.lock().take());
        let (disk, clock) = (Arc::new(self.disk.clone()), Arc::new(self.clock.clone()));
        let mut options = FakeCache::new(0).options();
        options.log.segment_bytes = 16 << 10;
        let opened = Embedded::open_manual_with(disk, clock, self.random.clone(), options, commit);
        let (store, writer) = opened?;
        *self.writer.lock() = Some(writer);
        Ok(Arc::new(store))
    }

    fn delete(&self) -> std::io::Result<()> {
        DELETED.fetch_add(1, Ordering::Relaxed);
        let names = self.disk.names();
        names.iter().try_for_each(|name| self.disk.remove(name))
    }
}

/// What clients and the simulation call.
struct PartitionNode {
    partition: Arc<Partition<Arc<dyn Broker>>>,
    writer: Writer,
    /// The last turns in which the writer had appends and wrote none.
    in_vain: Cell<u32>,
}

/// Returns how to start a node of the crate.
pub(crate) fn start() -> StartNode {
    Rc::new(|context| {
        let NodeContext { name, broker, disk, clock, random, assignment } = context;
        let writer = Writer::default();
        let cache = MachineCache { disk, clock: clock.clone(), random, writer: writer.clone() };
        let owner = Claimant { node: name, ..Claimant::default() };
        let names = Names { source: "/leftfold/sim".to_owned(), owner };
        let partition = Arc::new(Partition::new(broker, cache, Arc::new(clock), names));
        let (running, steered) = (partition.clone(), partition.clone());
        let run = Box::pin(async move { match running.run().await {} });
        let steer = Box::pin(async move {
            loop {
                assignment.wait_until(true).await;
                steered.wish(Wish::Own);
                assignment.wait_until(false).await;
                steered.wish(Wish::Follow);
            }
        });
        let node = Rc::new(PartitionNode { partition, writer, in_vain: Cell::default() });
        StartedNode { tasks: vec![run, steer], node }
    })
}

impl PartitionNode {
    fn owned(&self) -> Result<Arc<Embedded>, Failure> {
        let store = self.partition.store().borrow().clone();
        let is_owner = self.partition.status().borrow().role == Role::Owner;
        store.filter(|_| is_owner).ok_or(Failure::NotOwner)
    }
}

impl SimNode for PartitionNode {
    fn append(&self, append: Append) -> BoxFuture<'static, Result<Appended, AppendError>> {
        let store = self.owned();
        Box::pin(async move { store?.append(append).await })
    }

    fn last_version(&self, stream: &str) -> BoxFuture<'static, Result<Option<u64>, ReadError>> {
        let (store, stream) = (self.owned(), stream.to_owned());
        Box::pin(async move {
            let store = store?;
            store.barrier().await.map_err(|error| match error {
                AppendError::Failure(failure) => failure,
                _ => Failure::NotOwner,
            })?;
            Ok(store.blocking().stream(&stream)?.map(|info| info.version))
        })
    }

    fn copy(&self) -> Vec<Recorded> {
        let store = self.partition.store().borrow().clone().unwrap();
        let mut events = Vec::new();
        let mut read = Read::forward(Query::All);
        loop {
            let page = store.blocking().read(read).unwrap();
            events.extend(page.events);
            if !page.more {
                return events;
            }
            read = Read::forward(Query::All).after(page.cursor);
        }
    }

    fn is_unfit(&self) -> bool {
        self.partition.status().borrow().is_unfit
    }

    fn turn(&self) -> bool {
        let mut writer = self.writer.lock();
        let Some(writer) = writer.as_mut() else { return false };
        let last = || {
            let store = self.partition.store().borrow().clone();
            store.map(|store| (store.blocking().head(), store.last_position()))
        };
        let before = last();
        let wrote = writer.write();
        let maintained = writer.maintain();
        let has_changed = last() != before;
        // Appends may wait for an answer of Kafka: then there is nothing to do, turn after turn.
        self.in_vain.set(if wrote && !has_changed { self.in_vain.get() + 1 } else { 0 });
        maintained || has_changed || wrote && self.in_vain.get() < 3
    }
}
