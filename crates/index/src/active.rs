use parking_lot::RwLock;

use crate::expr::Expr;
use crate::key::{Key, KeyMap};

/// The postings of the open segment, in memory. Positions that are not durable yet may stand at
/// the end of each list: who reads says up to which position it wants to know.
pub struct ActivePart {
    first: u64,
    /// Each key has its place in one of them, so that whoever reads seldom meets whoever adds, and
    /// a map that grows is a small one.
    shards: [RwLock<Postings>; SHARDS],
}

const SHARDS: usize = 64;

#[derive(Default)]
struct Postings {
    lists: KeyMap<Offsets>,
    /// Keys that have one posting, as event ids do.
    singles: KeyMap<u32>,
}

/// Positions, as offsets from the part's first.
#[derive(Default)]
struct Offsets {
    /// The ordinal of the first, where whoever added it knew it.
    ordinal: Option<u64>,
    offsets: Vec<u32>,
}

/// What a key's list in a part looks like up to some position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) ordinal: Option<u64>,
    pub(crate) len: usize,
    pub(crate) last: u32,
}

/// Adds postings. One at a time does so: positions must grow.
pub struct PostingWriter<'a> {
    active: &'a ActivePart,
}

/// All keys in order, ready to be sealed. The postings are not copied: lists only grow, so a list
/// up to its length of now stays what it is.
pub(crate) struct Sealable {
    pub(crate) lists: Vec<SealableList>,
    pub(crate) singles: Vec<(Key, u32)>,
}

/// A list to be sealed: its key, its ordinal, where known, and its length.
#[derive(Clone, Copy)]
pub(crate) struct SealableList {
    pub(crate) key: Key,
    pub(crate) ordinal: Option<u64>,
    pub(crate) len: usize,
}

impl ActivePart {
    /// The postings of a segment that begins at this position.
    pub fn new(first: u64) -> Self {
        ActivePart { first, shards: std::array::from_fn(|_| RwLock::default()) }
    }

    /// The first position that can be in it.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// For the one who adds.
    pub fn writer(&self) -> PostingWriter<'_> {
        PostingWriter { active: self }
    }

    /// How many postings it holds.
    pub fn len(&self) -> u64 {
        let count = |shard: &RwLock<Postings>| {
            let postings = shard.read();
            let lists: usize = postings.lists.values().map(|list| list.offsets.len()).sum();
            (lists + postings.singles.len()) as u64
        };
        self.shards.iter().map(count).sum()
    }

    /// Maps take the first half of a key for their hash; this is of the other.
    fn shard(&self, key: &Key) -> &RwLock<Postings> {
        &self.shards[key.low() as usize % SHARDS]
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn extent(&self, key: &Key, upto: u64) -> Option<Extent> {
        let limit = u32::try_from(upto.checked_sub(self.first)?).unwrap_or(u32::MAX);
        let postings = self.shard(key).read();
        if let Some(list) = postings.lists.get(key) {
            // What is asked about is near the end: the durable head is close behind the writer.
            let newer = list.offsets.iter().rev().take_while(|offset| **offset > limit).count();
            let len = list.offsets.len() - newer;
            let last = *list.offsets.get(len.checked_sub(1)?)?;
            return Some(Extent { ordinal: list.ordinal, len, last });
        }
        let last = *postings.singles.get(key).filter(|offset| **offset <= limit)?;
        Some(Extent { ordinal: None, len: 1, last })
    }

    /// Copies offsets from an index on; at most as many as are asked for.
    pub(crate) fn copy(&self, key: &Key, from: usize, count: usize, to: &mut Vec<u32>) {
        let postings = self.shard(key).read();
        if let Some(list) = postings.lists.get(key) {
            let rest = list.offsets.get(from..).unwrap_or_default();
            to.extend_from_slice(&rest[..rest.len().min(count)]);
        } else if from == 0 {
            to.extend(postings.singles.get(key));
        }
    }

    /// The offset at an index of a key's list.
    pub(crate) fn offset(&self, key: &Key, index: usize) -> Option<u32> {
        let postings = self.shard(key).read();
        match postings.lists.get(key) {
            Some(list) => list.offsets.get(index).copied(),
            None => postings.singles.get(key).copied().filter(|_| index == 0),
        }
    }

    /// What is to be sealed of all keys, in order.
    pub(crate) fn sealable(&self) -> Sealable {
        let (mut lists, mut singles) = (Vec::new(), Vec::new());
        for shard in &self.shards {
            let postings = shard.read();
            let list = |(key, list): (&Key, &Offsets)| SealableList {
                key: *key,
                ordinal: list.ordinal,
                len: list.offsets.len(),
            };
            lists.extend(postings.lists.iter().map(list));
            singles.extend(postings.singles.iter().map(|(key, at)| (*key, *at)));
        }
        lists.sort_unstable_by_key(|list| list.key);
        singles.sort_unstable_by_key(|single| single.0);
        Sealable { lists, singles }
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

    /// Adds a posting of a key that has no other. The first that came stays.
    pub fn add_single(&mut self, key: Key, position: u64) {
        let offset = self.offset(position);
        self.active.shard(&key).write().singles.entry(key).or_insert(offset);
    }

    /// Of a list whose ordinals are known: the ordinal and the position of its last posting.
    pub fn last(&self, key: &Key) -> Option<(u64, u64)> {
        let postings = self.active.shard(key).read();
        let list = postings.lists.get(key)?;
        let last = *list.offsets.last()?;
        let ordinal = list.ordinal? + list.offsets.len() as u64 - 1;
        Some((ordinal, self.active.first + u64::from(last)))
    }

    /// Whether a position after this one may belong to all that is asked for: if not, none does.
    pub fn may_match_after(&self, expr: &Expr, position: u64) -> bool {
        match expr {
            Expr::Key(key) => self.newest(key).is_some_and(|newest| newest > position),
            Expr::And(all) => all.iter().all(|expr| self.may_match_after(expr, position)),
            Expr::Or(any) => any.iter().any(|expr| self.may_match_after(expr, position)),
        }
    }

    fn newest(&self, key: &Key) -> Option<u64> {
        let postings = self.active.shard(key).read();
        let listed = postings.lists.get(key).and_then(|list| list.offsets.last());
        let offset = listed.or_else(|| postings.singles.get(key))?;
        Some(self.active.first + u64::from(*offset))
    }

    /// The position of a single.
    pub fn position_of_single(&self, key: &Key) -> Option<u64> {
        let postings = self.active.shard(key).read();
        postings.singles.get(key).map(|offset| self.active.first + u64::from(*offset))
    }

    /// A segment is closed long before it has so many positions: the log sees to it.
    fn offset(&self, position: u64) -> u32 {
        u32::try_from(position - self.active.first).unwrap_or(u32::MAX)
    }
}
