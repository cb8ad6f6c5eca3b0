//! The entities in memory: within the budget, the least recently used leave first.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::mailbox::Mailbox;
use crate::state::State;

/// The number of shards, each with a lock, so that entities rarely wait for each other.
const SHARDS: usize = 64;
/// The bytes that an entity takes beside its state and its name (stored twice): map, ring, mailbox.
const OVERHEAD: usize = 512;

pub(crate) struct Registry<S: State> {
    shards: Vec<Mutex<Shard<S>>>,
    hasher: RandomState,
    budget: usize,
}

struct Shard<S: State> {
    mailboxes: HashMap<Arc<str>, Arc<Mailbox<S>>>,
    /// Each name once, in the order in which they are considered for eviction.
    ring: VecDeque<Arc<str>>,
    bytes: usize,
}

impl<S: State> Registry<S> {
    pub(crate) fn new(budget: usize) -> Self {
        let shard = || Shard { mailboxes: HashMap::new(), ring: VecDeque::new(), bytes: 0 };
        let shards = (0..SHARDS).map(|_| Mutex::new(shard())).collect();
        Registry { shards, hasher: RandomState::new(), budget }
    }

    pub(crate) fn budget(&self) -> usize {
        self.budget
    }

    fn shard(&self, stream: &str) -> &Mutex<Shard<S>> {
        let at = self.hasher.hash_one(stream) as usize % SHARDS;
        &self.shards[at]
    }

    /// Returns the mailbox of an entity. There is only one while a caller holds it.
    pub(crate) fn mailbox(&self, stream: &str) -> Arc<Mailbox<S>> {
        let mut shard = self.shard(stream).lock();
        if let Some(mailbox) = shard.mailboxes.get(stream) {
            mailbox.touched.store(true, Ordering::Relaxed);
            return mailbox.clone();
        }
        let (name, mailbox): (Arc<str>, _) = (stream.into(), Mailbox::new(stream.to_owned()));
        let mailbox = Arc::new(mailbox);
        shard.ring.push_back(name.clone());
        shard.mailboxes.insert(name, mailbox.clone());
        shard.charge(&mailbox, 0);
        mailbox
    }

    /// Records how many bytes an entity's state takes, and evicts others if that exceeds the
    /// budget.
    pub(crate) fn charge(&self, mailbox: &Mailbox<S>, bytes: usize) {
        let mut shard = self.shard(&mailbox.stream).lock();
        shard.charge(mailbox, bytes);
        shard.make_room(self.budget / SHARDS);
    }

    pub(crate) fn in_memory(&self) -> (usize, usize) {
        self.shards.iter().fold((0, 0), |(count, bytes), shard| {
            let shard = shard.lock();
            (count + shard.mailboxes.len(), bytes + shard.bytes)
        })
    }
}

impl<S: State> Shard<S> {
    fn charge(&mut self, mailbox: &Mailbox<S>, bytes: usize) {
        let bytes = bytes + OVERHEAD + 2 * mailbox.stream.len();
        let before = mailbox.charged.swap(bytes, Ordering::Relaxed);
        self.bytes = self.bytes + bytes - before;
    }

    /// Evicts entities that no caller holds and that were not used since the last look. Looks at
    /// each twice at most, so it ends even if all are in use.
    fn make_room(&mut self, budget: usize) {
        let mut looks = 2 * self.ring.len();
        while self.bytes > budget && looks > 0 {
            looks -= 1;
            let Some(name) = self.ring.pop_front() else { return };
            let Some(mailbox) = self.mailboxes.get(&name) else { continue };
            // A caller that holds it may queue a command: there must be only one mailbox.
            let is_held = Arc::strong_count(mailbox) > 1 || !mailbox.is_idle();
            if mailbox.touched.swap(false, Ordering::Relaxed) || is_held {
                self.ring.push_back(name);
                continue;
            }
            self.bytes -= mailbox.charged.load(Ordering::Relaxed);
            self.mailboxes.remove(&name);
        }
    }
}
