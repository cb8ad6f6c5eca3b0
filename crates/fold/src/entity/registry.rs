//! The entities in memory: within the budget, the least recently used leave first.
//!
//! The budget is one for all shards. A counter numbers the uses, and each shard shows the number of
//! its least recent one. So the least recently used entity of all is found without a lock, and only
//! its shard is locked to evict it.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::mailbox::Mailbox;
use super::reads::key_of;
use crate::reads::Source;
use crate::state::State;

/// The number of shards, each with a lock, so that entities rarely wait for each other.
const SHARDS: usize = 64;
/// The bytes that an entity takes beside its state and its key: maps, mailbox.
const OVERHEAD: usize = 512;
/// How often the key is stored: in the shard, in the mailbox, and twice in its source.
const KEYS: usize = 4;
/// The maximum of entities in use that one caller passes over while it makes room.
const MAX_PASSED: usize = 64;

pub(crate) struct Registry<S: State> {
    shards: Vec<Shard<S>>,
    hasher: RandomState,
    budget: usize,
    /// The bytes of all entities.
    bytes: AtomicUsize,
    /// The number of the next use.
    uses: AtomicU64,
}

struct Shard<S: State> {
    /// The number of its least recent use; the maximum if it is empty.
    oldest: AtomicU64,
    entities: Mutex<ShardEntities<S>>,
}

struct ShardEntities<S: State> {
    by_key: HashMap<Arc<str>, Entity<S>>,
    by_use: BTreeMap<u64, Arc<str>>,
}

struct Entity<S: State> {
    mailbox: Arc<Mailbox<S>>,
    /// The number of its last use.
    used: u64,
}

impl<S: State> Registry<S> {
    pub(crate) fn new(budget: usize) -> Self {
        Registry {
            shards: (0..SHARDS).map(|_| Shard::new()).collect(),
            hasher: RandomState::new(),
            budget,
            bytes: AtomicUsize::new(0),
            uses: AtomicU64::new(0),
        }
    }

    pub(crate) fn budget(&self) -> usize {
        self.budget
    }

    /// Returns the mailbox of an entity. There is only one while a caller holds it.
    pub(crate) fn mailbox(&self, source: Source) -> Arc<Mailbox<S>> {
        let key = key_of(&source);
        let shard = &self.shards[self.hasher.hash_one(&key) as usize % SHARDS];
        shard.change(|entities| {
            let used = self.next_use();
            if let Some(mailbox) = entities.touch(&key, used) {
                return mailbox;
            }
            let mailbox = Arc::new(Mailbox::new(source, key.len()));
            let (key, entity): (Arc<str>, _) =
                (key.into(), Entity { mailbox: mailbox.clone(), used });
            entities.by_use.insert(used, key.clone());
            entities.by_key.insert(key, entity);
            self.record_bytes(&mailbox, 0);
            mailbox
        })
    }

    /// Records how many bytes an entity's state takes, and evicts others if that exceeds the
    /// budget.
    pub(crate) fn charge(&self, mailbox: &Mailbox<S>, bytes: usize) {
        self.record_bytes(mailbox, bytes);
        self.make_room();
    }

    pub(crate) fn in_memory(&self) -> (usize, usize) {
        let count = self.shards.iter().map(|shard| shard.entities.lock().by_key.len()).sum();
        (count, self.bytes.load(Ordering::Relaxed))
    }

    fn next_use(&self) -> u64 {
        self.uses.fetch_add(1, Ordering::Relaxed)
    }

    fn record_bytes(&self, mailbox: &Mailbox<S>, bytes: usize) {
        let bytes = bytes.saturating_add(OVERHEAD + KEYS * mailbox.key_len);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes.fetch_sub(mailbox.charged.swap(bytes, Ordering::Relaxed), Ordering::Relaxed);
    }

    fn is_over_budget(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > self.budget
    }

    /// Evicts the least recently used entities until the budget suffices. Those in use count as
    /// used now.
    fn make_room(&self) {
        let (end, mut passed) = (self.uses.load(Ordering::Relaxed), 0);
        while self.is_over_budget() && passed < MAX_PASSED {
            let oldest = self.shards.iter().map(|shard| (shard.oldest(), shard));
            match oldest.min_by_key(|(oldest, _)| *oldest) {
                Some((oldest, shard)) if oldest < end => {
                    passed += usize::from(!shard.change(|entities| self.evict_oldest(entities)));
                }
                _ => return,
            }
        }
    }

    /// Evicts the shard's least recently used entity, or returns false if it is in use.
    fn evict_oldest(&self, entities: &mut ShardEntities<S>) -> bool {
        // Another caller may have made room meanwhile.
        let oldest = entities.by_use.first_key_value().filter(|_| self.is_over_budget());
        let Some(key) = oldest.map(|(_, key)| key.clone()) else { return true };
        let Some(Entity { mailbox, used }) = entities.by_key.get(&key) else { return true };
        // A caller that holds it may queue a command: there must be only one mailbox. Without a caller, what is
        // queued or unfinished there was abandoned.
        if Arc::strong_count(mailbox) > 1 {
            entities.touch(&key, self.next_use());
            return false;
        }
        self.bytes.fetch_sub(mailbox.charged.load(Ordering::Relaxed), Ordering::Relaxed);
        entities.by_use.remove(used);
        entities.by_key.remove(&key);
        true
    }
}

impl<S: State> Shard<S> {
    fn new() -> Self {
        let entities = ShardEntities { by_key: HashMap::new(), by_use: BTreeMap::new() };
        Shard { oldest: AtomicU64::new(u64::MAX), entities: Mutex::new(entities) }
    }

    fn oldest(&self) -> u64 {
        self.oldest.load(Ordering::Relaxed)
    }

    fn change<T>(&self, change: impl FnOnce(&mut ShardEntities<S>) -> T) -> T {
        let mut entities = self.entities.lock();
        let changed = change(&mut entities);
        let oldest = entities.by_use.first_key_value().map_or(u64::MAX, |(used, _)| *used);
        self.oldest.store(oldest, Ordering::Relaxed);
        changed
    }
}

impl<S: State> ShardEntities<S> {
    /// Records a use of an entity; returns its mailbox, or `None` if it is not in memory.
    fn touch(&mut self, key: &str, used: u64) -> Option<Arc<Mailbox<S>>> {
        let entity = self.by_key.get_mut(key)?;
        let before = std::mem::replace(&mut entity.used, used);
        if let Some(key) = self.by_use.remove(&before) {
            self.by_use.insert(used, key);
        }
        Some(entity.mailbox.clone())
    }
}
