//! A store of many partitions. Each is a store of one log; `docs/partitions.md` says what holds for all of them.

mod administration;
mod append;
mod definitions;
mod engine;
mod event_store;
mod merge;
mod places;
mod read;
mod subscription;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use futures_util::future::join_all;
use leftfold_api::{
    Cluster, Cursor, Engine, EventStore, Invalid, Limits, MAX_PARTITIONS, Origin, Query, ReadError,
};
use leftfold_store::Embedded;

pub use subscription::MergedSubscription;

/// A store of one log that can be a partition of another store.
pub trait Part: EventStore + Engine + 'static {
    /// Returns a position that is committed, perhaps not the last one. Asks no other machine.
    fn known_position(&self) -> u64;
}

impl Part for Embedded {
    fn known_position(&self) -> u64 {
        self.blocking().head().position().unwrap_or_default()
    }
}

/// A partition of a store, and the origin of its own cursors.
pub struct Partition<S> {
    /// The store of the partition.
    pub store: S,
    /// The origin of its cursors, which each machine gives it alike.
    pub origin: Origin,
}

/// A store of many partitions. Its clones share it.
///
/// Streams and checkpoints lie where [`leftfold_api::partition_of`] says. Definitions of indexes and
/// retention rules are copied to all partitions; those of partition 0 count.
pub struct PartitionedStore<S> {
    shared: Arc<Shared<S>>,
}

/// What the store and its subscriptions share.
struct Shared<S> {
    origin: Origin,
    partitions: Vec<Partition<S>>,
    /// The last position of each partition that an answer has named.
    answered: Vec<AtomicU64>,
    limits: Limits,
    /// One change of definitions at a time.
    changes: tokio::sync::Mutex<()>,
    /// The node, for those who administer it.
    node: OnceLock<Arc<dyn Cluster>>,
}

/// Which partitions can hold events of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Span {
    One(usize),
    All,
}

impl<S> Clone for PartitionedStore<S> {
    fn clone(&self) -> Self {
        PartitionedStore { shared: self.shared.clone() }
    }
}

impl<S: Part> PartitionedStore<S> {
    /// Returns the store of these partitions, in their order. Its cursors have this origin, and its pages these
    /// limits. The partitions must admit the origin's cursors for checkpoints.
    ///
    /// # Errors
    /// `cursor_invalid`: there is no partition, or there are more than a cursor has positions.
    pub fn new(
        origin: Origin,
        partitions: Vec<Partition<S>>,
        limits: Limits,
    ) -> Result<Self, Invalid> {
        if partitions.is_empty() || partitions.len() > MAX_PARTITIONS {
            let message =
                format!("a store has 1 to {MAX_PARTITIONS} partitions, found {}", partitions.len());
            return Err(Invalid::new("cursor_invalid", message));
        }
        let answered = partitions.iter().map(|_| AtomicU64::new(0)).collect();
        let (changes, node) = (tokio::sync::Mutex::new(()), OnceLock::new());
        let shared = Shared { origin, partitions, answered, limits, changes, node };
        Ok(PartitionedStore { shared: Arc::new(shared) })
    }

    /// Sets the node that the store belongs to, once.
    #[must_use]
    pub fn of_node(self, node: Arc<dyn Cluster>) -> Self {
        _ = self.shared.node.set(node);
        self
    }

    /// Returns the stores of the partitions, in order.
    pub fn partitions(&self) -> impl ExactSizeIterator<Item = &S> {
        self.shared.stores()
    }
}

impl<S: Part> Shared<S> {
    fn count(&self) -> usize {
        self.partitions.len()
    }

    /// Returns the stores of the partitions, in order.
    fn stores(&self) -> impl ExactSizeIterator<Item = &S> {
        self.partitions.iter().map(|partition| &partition.store)
    }

    /// Returns the partition where definitions count.
    fn first(&self) -> &S {
        // `PartitionedStore::new` refuses to make a store without partitions.
        &self.partitions[0].store
    }

    /// Returns the partition with this number.
    fn partition(&self, partition: usize) -> &S {
        self.partitions.get(partition).map_or(self.first(), |partition| &partition.store)
    }

    /// Returns the partition of a stream or a checkpoint.
    fn home(&self, name: &str) -> usize {
        leftfold_api::partition_of(name, self.count() as u32) as usize
    }

    /// Notes that a partition has come to a position.
    fn note(&self, partition: usize, position: u64) {
        if let Some(answered) = self.answered.get(partition) {
            answered.fetch_max(position, Ordering::Relaxed);
        }
    }

    /// Returns a committed position of each partition: the last one that this machine has seen.
    fn known_positions(&self) -> Vec<u64> {
        let answered = self.answered.iter().map(|position| position.load(Ordering::Relaxed));
        answered.zip(self.stores()).map(|(seen, store)| seen.max(store.known_position())).collect()
    }

    /// Asks each partition for its last position.
    async fn heads(&self) -> Result<Vec<u64>, ReadError> {
        let heads = join_all(self.stores().map(EventStore::head)).await;
        let mut positions = Vec::with_capacity(heads.len());
        for (partition, head) in heads.into_iter().enumerate() {
            let position = head?.position().unwrap_or_default();
            self.note(partition, position);
            positions.push(position);
        }
        Ok(positions)
    }

    /// Returns the store's cursor at a position of each partition.
    fn cursor(&self, positions: &[u64]) -> Cursor {
        Cursor::at_all(self.origin, positions).unwrap_or_default()
    }

    /// Returns which partitions can hold events of a query.
    ///
    /// # Errors
    /// `index_unknown` or `index_building`.
    fn span(&self, query: &Query) -> Result<Span, Invalid> {
        let query = Engine::expand(self.first(), query)?;
        let single = query.single_partition(self.count() as u32);
        Ok(single.map_or(Span::All, |partition| Span::One(partition as usize)))
    }
}
