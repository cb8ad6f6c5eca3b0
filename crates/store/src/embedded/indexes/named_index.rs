use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use event_listener::Event;
use leftfold_api::{Facts, Failure, IndexDefinition};
use leftfold_index::Key;
use parking_lot::Mutex;

use crate::keys::Keys;

/// A named index.
pub(crate) struct NamedIndex {
    pub(crate) definition: IndexDefinition,
    /// The position of its definition. The backfill holds events up to here.
    pub(crate) defined_at: u64,
    /// The key of the list of all its events.
    pub(crate) key: Key,
    /// The keys of the lists of its partitions.
    pub(crate) partitions: Vec<Key>,
    ready: AtomicBool,
    failure: Mutex<Option<Failure>>,
    changed: Event,
}

impl NamedIndex {
    pub(crate) fn new(definition: IndexDefinition, defined_at: u64, keys: &Keys) -> Arc<Self> {
        let name = &definition.name;
        let count = definition.partitioning.as_ref().map_or(0, |partitioning| partitioning.count);
        Arc::new(NamedIndex {
            key: keys.named(name, defined_at),
            partitions: (0..count).map(|n| keys.partition(name, defined_at, n)).collect(),
            definition,
            defined_at,
            ready: AtomicBool::new(false),
            failure: Mutex::new(None),
            changed: Event::new(),
        })
    }

    /// Returns all of its keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> {
        std::iter::once(self.key).chain(self.partitions.iter().copied())
    }

    /// Adds the keys of an event, if the index lists it.
    pub(crate) fn keys_of(&self, event: &impl Facts, keys: &mut impl Extend<Key>) {
        if self.definition.query.matches(event) {
            keys.extend([self.key]);
            keys.extend(self.partition_key(event));
        }
    }

    /// Returns the key of the partition that lists an event of the index.
    pub(crate) fn partition_key(&self, event: &impl Facts) -> Option<Key> {
        let partitioning = self.definition.partitioning.as_ref()?;
        self.partitions.get(partitioning.partition_of(event) as usize).copied()
    }

    /// Whether it lists all past events.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Returns why the backfill failed, if it did.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.failure.lock().clone()
    }

    /// Notes that the backfill is made again.
    pub(crate) fn begin_backfill_again(&self) {
        self.ready.store(false, Ordering::Release);
        *self.failure.lock() = None;
    }

    /// Notes that the backfill is complete or has failed.
    pub(crate) fn finish_backfill(&self, outcome: Result<(), Failure>) {
        match outcome {
            Ok(()) => self.ready.store(true, Ordering::Release),
            Err(failure) => *self.failure.lock() = Some(failure),
        }
        self.changed.notify(usize::MAX);
    }

    /// Waits until the backfill is complete.
    pub(crate) async fn wait(&self) -> Result<(), Failure> {
        loop {
            let changed = self.changed.listen();
            if self.is_ready() {
                return Ok(());
            }
            if let Some(failure) = self.failure() {
                return Err(failure);
            }
            changed.await;
        }
    }
}
