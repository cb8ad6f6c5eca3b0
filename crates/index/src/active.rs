use parking_lot::RwLock;

use crate::expr::Expr;
use crate::key::{Key, KeyMap};

/// The postings of the open segment, in memory.
///
/// Each list may end with positions that are not durable yet, so every read names the last
/// position that it wants.
pub struct ActivePart {
    first: u64,
    /// Each key belongs to one shard. So readers seldom wait for the writer, and only a small map
    /// grows at a time.
    shards: [RwLock<Postings>; SHARDS],
}

const SHARDS: usize = 64;

#[derive(Default)]
struct Postings {
    lists: KeyMap<Offsets>,
    /// The positions of event ids.
    ids: KeyMap<u32>,
}

/// Positions, as offsets from the part's first.
#[derive(Default)]
struct Offsets {
    /// The ordinal of the first posting, if the writer knew it.
    ordinal: Option<u64>,
    offsets: Vec<u32>,
}

/// The size and the end of a key's list in a part, up to a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) ordinal: Option<u64>,
    pub(crate) len: usize,
    pub(crate) last: u32,
}

/// Adds postings to a part. There may be only one writer, because positions must grow.
pub struct PostingWriter<'a> {
    active: &'a ActivePart,
}

/// The keys of a part in order, ready to be sealed.
///
/// The postings are not copied: lists only grow, so the first `len` postings of a list are stable.
pub(crate) struct PartSnapshot {
    pub(crate) lists: Vec<ListExtent>,
    pub(crate) ids: Vec<(Key, u32)>,
}

/// The key, the ordinal (if known) and the length of a list to be sealed.
#[derive(Clone, Copy)]
pub(crate) struct ListExtent {
    pub(crate) key: Key,
    pub(crate) ordinal: Option<u64>,
    pub(crate) len: usize,
}

impl ActivePart {
    /// Creates the empty part of a segment that begins at this position.
    pub fn new(first: u64) -> Self {
        ActivePart { first, shards: std::array::from_fn(|_| RwLock::default()) }
    }

    /// Returns the first position that the part covers.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Returns the writer of the part.
    pub fn writer(&self) -> PostingWriter<'_> {
        PostingWriter { active: self }
    }

    /// Returns the number of postings.
    pub fn len(&self) -> u64 {
        let count = |shard: &RwLock<Postings>| {
            let postings = shard.read();
            let lists: usize = postings.lists.values().map(|list| list.offsets.len()).sum();
            (lists + postings.ids.len()) as u64
        };
        self.shards.iter().map(count).sum()
    }

    /// Returns the shard of a key. It depends on the half of the key that the maps do not hash.
    fn shard(&self, key: &Key) -> &RwLock<Postings> {
        &self.shards[key.low() as usize % SHARDS]
    }

    /// Returns whether the part has no postings.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn extent(&self, key: &Key, upto: u64) -> Option<Extent> {
        let limit = u32::try_from(upto.checked_sub(self.first)?).unwrap_or(u32::MAX);
        let postings = self.shard(key).read();
        let list = postings.lists.get(key)?;
        // The limit is near the end, because the durable head is close behind the writer.
        let newer = list.offsets.iter().rev().take_while(|offset| **offset > limit).count();
        let len = list.offsets.len() - newer;
        let last = *list.offsets.get(len.checked_sub(1)?)?;
        Some(Extent { ordinal: list.ordinal, len, last })
    }

    /// Appends at most `count` offsets of a key's list, starting at index `from`.
    pub(crate) fn copy(&self, key: &Key, from: usize, count: usize, to: &mut Vec<u32>) {
        let postings = self.shard(key).read();
        if let Some(list) = postings.lists.get(key) {
            let rest = list.offsets.get(from..).unwrap_or_default();
            to.extend_from_slice(&rest[..rest.len().min(count)]);
        }
    }

    /// Returns the offset at an index of a key's list.
    pub(crate) fn offset(&self, key: &Key, index: usize) -> Option<u32> {
        let postings = self.shard(key).read();
        postings.lists.get(key)?.offsets.get(index).copied()
    }

    /// Returns the position of the event with an id.
    pub(crate) fn position_of_id(&self, key: &Key) -> Option<u64> {
        let postings = self.shard(key).read();
        postings.ids.get(key).map(|offset| self.first + u64::from(*offset))
    }

    /// Returns the keys in order, for sealing.
    pub(crate) fn snapshot(&self) -> PartSnapshot {
        let (mut lists, mut ids) = (Vec::new(), Vec::new());
        for shard in &self.shards {
            let postings = shard.read();
            let list = |(key, list): (&Key, &Offsets)| ListExtent {
                key: *key,
                ordinal: list.ordinal,
                len: list.offsets.len(),
            };
            lists.extend(postings.lists.iter().map(list));
            ids.extend(postings.ids.iter().map(|(key, at)| (*key, *at)));
        }
        lists.sort_unstable_by_key(|list| list.key);
        ids.sort_unstable_by_key(|id| id.0);
        PartSnapshot { lists, ids }
    }
}

impl PostingWriter<'_> {
    /// Adds a posting. Positions of a key must grow.
    pub fn add_posting(&mut self, key: Key, position: u64) {
        let offset = self.offset(position);
        let mut postings = self.active.shard(&key).write();
        postings.lists.entry(key).or_default().offsets.push(offset);
    }

    /// Adds a posting whose ordinal is known.
    pub fn add_numbered(&mut self, key: Key, position: u64, ordinal: u64) {
        let offset = self.offset(position);
        let mut postings = self.active.shard(&key).write();
        let list = postings.lists.entry(key).or_default();
        if list.offsets.is_empty() {
            list.ordinal = Some(ordinal);
        }
        list.offsets.push(offset);
    }

    /// Adds the position of an event id; later ones of the same id are ignored.
    pub fn add_id(&mut self, key: Key, position: u64) {
        let offset = self.offset(position);
        self.active.shard(&key).write().ids.entry(key).or_insert(offset);
    }

    /// Returns the ordinal and the position of a list's last posting, if its ordinals are known.
    pub fn last(&self, key: &Key) -> Option<(u64, u64)> {
        let postings = self.active.shard(key).read();
        let list = postings.lists.get(key)?;
        let last = *list.offsets.last()?;
        let ordinal = list.ordinal? + list.offsets.len() as u64 - 1;
        Some((ordinal, self.active.first + u64::from(last)))
    }

    /// Returns whether a later position may match an expression; if false, none does.
    pub fn may_match_after(&self, expr: &Expr, position: u64) -> bool {
        match expr {
            Expr::Key(key) => self.newest(key).is_some_and(|newest| newest > position),
            Expr::And(all) => all.iter().all(|expr| self.may_match_after(expr, position)),
            Expr::Or(any) => any.iter().any(|expr| self.may_match_after(expr, position)),
        }
    }

    fn newest(&self, key: &Key) -> Option<u64> {
        let postings = self.active.shard(key).read();
        let offset = postings.lists.get(key)?.offsets.last()?;
        Some(self.active.first + u64::from(*offset))
    }

    /// Returns the position of the event with an id.
    pub fn position_of_id(&self, key: &Key) -> Option<u64> {
        self.active.position_of_id(key)
    }

    /// Returns the offset of a position. The log closes a segment long before 2^32 positions.
    fn offset(&self, position: u64) -> u32 {
        u32::try_from(position - self.active.first).unwrap_or(u32::MAX)
    }
}
