use std::collections::HashMap;
use std::sync::Arc;

use crate::active::ActivePart;
use crate::error::IndexError;
use crate::expr::Expr;
use crate::file::IndexFile;
use crate::key::Key;
use crate::list::{List, ListSource};
use crate::walk::{Matches, Node, Order};
use crate::walker::Walker;

/// The postings of a range of the log.
#[derive(Clone)]
pub enum Part {
    /// In memory.
    Active(Arc<ActivePart>),
    /// In a file.
    File(Arc<IndexFile>),
}

/// A position in a key's list, with its ordinal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posting {
    /// The number of the key's postings before this one.
    pub ordinal: u64,
    /// The position in the log.
    pub position: u64,
}

/// The parts of an index in the order of the log, and the backfills of keys that were defined late.
///
/// A set is immutable: a new part makes a new set. A backfill is a file with the postings of one
/// key from before its definition.
#[derive(Clone, Default)]
pub struct IndexSet {
    parts: Vec<Part>,
    /// Files by the keys whose earliest postings they hold.
    backfills: Arc<HashMap<Key, Vec<Arc<IndexFile>>>>,
}

impl Part {
    /// Returns the first position that the part covers.
    pub fn first(&self) -> u64 {
        match self {
            Part::Active(active) => active.first(),
            Part::File(file) => file.first(),
        }
    }

    fn list(&self, key: &Key, upto: u64) -> Result<Option<List>, IndexError> {
        match self {
            Part::File(file) => file.list(key),
            Part::Active(active) => Ok(active.extent(key, upto).map(|extent| List {
                first: active.first(),
                ordinal: extent.ordinal,
                len: extent.len,
                source: ListSource::Active(active.clone(), *key),
            })),
        }
    }

    /// Returns the positions that may have an event id, in order.
    fn candidates(&self, id: &Key) -> Result<impl Iterator<Item = u64>, IndexError> {
        let (exact, offsets) = match self {
            Part::Active(active) => (active.position_of_id(id), Vec::new()),
            Part::File(file) => (None, file.find_id(id)?),
        };
        let first = self.first();
        Ok(exact.into_iter().chain(offsets.into_iter().map(move |at| first + u64::from(at))))
    }

    /// Returns the key's last posting up to a position, with its ordinal if the part knows it.
    fn last(&self, key: &Key, upto: u64) -> Result<Option<(Option<u64>, u64)>, IndexError> {
        if let Part::Active(active) = self {
            // Every append calls this, so no list is built for it.
            return Ok(active.extent(key, upto).map(|extent| {
                let ordinal = extent.ordinal.map(|first| first + extent.len as u64 - 1);
                (ordinal, active.first() + u64::from(extent.last))
            }));
        }
        let Some(list) = self.list(key, upto)? else { return Ok(None) };
        let Some(index) = list.count_upto(upto)?.checked_sub(1) else { return Ok(None) };
        let ordinal = list.ordinal.map(|first| first + index as u64);
        Ok(list.position(index)?.map(|position| (ordinal, position)))
    }
}

impl IndexSet {
    /// Creates a set of parts, in the order of the log.
    pub fn new(parts: Vec<Part>) -> Self {
        IndexSet { parts, backfills: Arc::default() }
    }

    /// Returns the parts, in the order of the log.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Returns the set with another part at the end.
    pub fn with_part(&self, part: Part) -> Self {
        let mut set = self.clone();
        set.parts.push(part);
        set
    }

    /// Returns the set with a file instead of a part in memory.
    pub fn with_file(&self, active: &Arc<ActivePart>, file: Arc<IndexFile>) -> Self {
        let mut set = self.clone();
        if let Some(at) = set.index_of(active) {
            set.parts[at] = Part::File(file);
        }
        set
    }

    /// Returns the set with a merged file instead of its inputs.
    ///
    /// If the inputs are no longer adjacent parts of the set, the set stays unchanged.
    pub fn with_merged(&self, inputs: &[Arc<IndexFile>], merged: Arc<IndexFile>) -> Self {
        let mut set = self.clone();
        let same = |(part, input): (&Part, &Arc<IndexFile>)| matches!(part, Part::File(file) if Arc::ptr_eq(file, input));
        let mut stretches = self.parts.windows(inputs.len().max(1));
        let found = stretches.position(|stretch| stretch.iter().zip(inputs).all(same));
        if let Some(at) = found.filter(|_| !inputs.is_empty()) {
            set.parts.splice(at..at + inputs.len(), [Part::File(merged)]);
        }
        set
    }

    /// Returns the index of a part in memory.
    ///
    /// Parts are compared by identity, because empty parts may begin at the same position.
    pub(crate) fn index_of(&self, active: &Arc<ActivePart>) -> Option<usize> {
        let same = |part: &Part| matches!(part, Part::Active(other) if Arc::ptr_eq(active, other));
        self.parts.iter().position(same)
    }

    /// Returns the set with a backfill of keys: postings before all others of these keys.
    pub fn with_backfill(&self, keys: &[Key], file: &Arc<IndexFile>) -> Self {
        let mut backfills = HashMap::clone(&self.backfills);
        for key in keys {
            backfills.entry(*key).or_default().push(file.clone());
        }
        IndexSet { parts: self.parts.clone(), backfills: Arc::new(backfills) }
    }

    /// Removes the files of postings from before the parts, for these keys.
    pub fn without_backfill(&self, keys: &[Key]) -> Self {
        let mut backfills = HashMap::clone(&self.backfills);
        keys.iter().for_each(|key| _ = backfills.remove(key));
        IndexSet { parts: self.parts.clone(), backfills: Arc::new(backfills) }
    }

    /// Whether a key has postings from before the parts, which the ordinals of its lists do not count.
    pub fn has_backfill(&self, key: &Key) -> bool {
        self.backfills.contains_key(key)
    }

    fn backfill_files(&self, key: &Key) -> impl Iterator<Item = &Arc<IndexFile>> {
        self.backfills.get(key).into_iter().flatten()
    }

    fn backfill_lists(&self, key: &Key) -> Result<Vec<List>, IndexError> {
        self.backfill_files(key).filter_map(|file| file.list(key).transpose()).collect()
    }

    /// Returns the key's last posting at or before a position.
    pub fn last(&self, key: &Key, upto: u64) -> Result<Option<Posting>, IndexError> {
        self.last_before(key, upto, self.parts.len())
    }

    /// Returns the last position before the first part in memory.
    pub fn sealed_upto(&self) -> u64 {
        let in_memory = self.parts.iter().find(|part| matches!(part, Part::Active(_)));
        in_memory.map_or(u64::MAX, |part| part.first() - 1)
    }

    /// Returns the key's last posting at or before `upto`, from the parts that end behind `since`.
    ///
    /// It works for keys whose ordinals were known when they were added. A merged part may begin
    /// before `since` and end behind it, so the posting may lie before `since`.
    pub fn last_since(
        &self,
        key: &Key,
        upto: u64,
        since: u64,
    ) -> Result<Option<Posting>, IndexError> {
        let mut end = u64::MAX;
        for part in self.parts.iter().rev() {
            if end <= since {
                break;
            }
            end = part.first().saturating_sub(1);
            if let Some((Some(ordinal), position)) = part.last(key, upto)? {
                return Ok(Some(Posting { ordinal, position }));
            }
        }
        Ok(None)
    }

    /// Returns the key's newest posting if it lies after a position.
    pub fn newest_after(&self, key: &Key, position: u64) -> Result<Option<u64>, IndexError> {
        let mut end = u64::MAX;
        for part in self.parts.iter().rev() {
            if end <= position {
                break;
            }
            end = part.first().saturating_sub(1);
            if let Some((_, newest)) = part.last(key, u64::MAX)? {
                return Ok((newest > position).then_some(newest));
            }
        }
        Ok(None)
    }

    /// Returns whether a later position may match an expression; if false, none does.
    pub fn may_match_after(&self, expr: &Expr, position: u64) -> Result<bool, IndexError> {
        let (parts, one_is_enough) = match expr {
            Expr::Key(key) => {
                let newer = self.newest_after(key, position)?.is_some();
                return Ok(newer || !self.backfill_lists(key)?.is_empty());
            }
            Expr::And(all) => (all, false),
            Expr::Or(any) => (any, true),
        };
        for part in parts {
            if self.may_match_after(part, position)? == one_is_enough {
                return Ok(one_is_enough);
            }
        }
        Ok(!one_is_enough)
    }

    /// Returns the last posting in the first `parts` parts and in the key's backfill.
    fn last_before(
        &self,
        key: &Key,
        upto: u64,
        parts: usize,
    ) -> Result<Option<Posting>, IndexError> {
        for at in (0..parts).rev() {
            let Some((ordinal, position)) = self.parts[at].last(key, upto)? else { continue };
            let before = match ordinal {
                Some(ordinal) => {
                    return Ok(Some(Posting {
                        ordinal: ordinal + self.backfill_len(key)?,
                        position,
                    }));
                }
                None => self.next_ordinal(key, at)?,
            };
            let list = self.parts[at].list(key, upto)?;
            let len = list.map_or(Ok(0), |list| list.count_upto(upto))?;
            return Ok(Some(Posting { ordinal: before + len as u64 - 1, position }));
        }
        self.last_in_backfill(key, upto)
    }

    fn last_in_backfill(&self, key: &Key, upto: u64) -> Result<Option<Posting>, IndexError> {
        let (mut before, mut last) = (0, None);
        for list in self.backfill_lists(key)? {
            if let Some(index) = list.count_upto(upto)?.checked_sub(1) {
                let ordinal = before + index as u64;
                last = list.position(index)?.map(|position| Posting { ordinal, position });
            }
            before += list.len as u64;
        }
        Ok(last)
    }

    pub(crate) fn backfill_len(&self, key: &Key) -> Result<u64, IndexError> {
        Ok(self.backfill_lists(key)?.iter().map(|list| list.len as u64).sum())
    }

    /// Returns the ordinal of the key's first posting in a part.
    pub(crate) fn next_ordinal(&self, key: &Key, part: usize) -> Result<u64, IndexError> {
        let last = self.last_before(key, u64::MAX, part)?;
        Ok(last.map_or(0, |last| last.ordinal + 1))
    }

    /// Returns the key's first posting if it is at or before a position.
    pub fn first(&self, key: &Key, upto: u64) -> Result<Option<u64>, IndexError> {
        let first = self.first_posting(key, upto)?;
        Ok(first.filter(|position| *position <= upto))
    }

    /// Returns a position at or before the first posting of a stream, as far as the parts in memory tell.
    pub fn begins_behind(&self, stream: &Key) -> u64 {
        for part in self.parts.iter().rev() {
            let Part::Active(active) = part else { return 0 };
            if let Some(extent) = active.extent(stream, u64::MAX)
                && extent.ordinal == Some(0)
            {
                return active.first();
            }
        }
        0
    }

    /// Returns the first position up to `upto` that may have an event id and that `is_it` confirms.
    ///
    /// An index file keeps only a fingerprint of an id, so `is_it` must compare the event at the
    /// position. Parts that end before `since` are not searched.
    pub fn find_id<E: From<IndexError>>(
        &self,
        id: &Key,
        [since, upto]: [u64; 2],
        mut is_it: impl FnMut(u64) -> Result<bool, E>,
    ) -> Result<Option<u64>, E> {
        let mut ends = self.parts.iter().skip(1).map(Part::first);
        for part in self.parts.iter().take_while(|part| part.first() <= upto) {
            if ends.next().is_some_and(|next| next <= since) {
                continue;
            }
            for position in part.candidates(id)? {
                if position <= upto && is_it(position)? {
                    return Ok(Some(position));
                }
            }
        }
        Ok(None)
    }

    fn first_posting(&self, key: &Key, upto: u64) -> Result<Option<u64>, IndexError> {
        for list in self.backfill_lists(key)? {
            if let Some(position) = list.position(0)? {
                return Ok(Some(position));
            }
        }
        for part in self.parts.iter().take_while(|part| part.first() <= upto) {
            if let Some(list) = part.list(key, upto)?
                && let Some(position) = list.position(0)?
            {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }

    /// Returns the position of the key's n-th posting, from 0, if it is at or before a position.
    pub fn nth(&self, key: &Key, ordinal: u64, upto: u64) -> Result<Option<u64>, IndexError> {
        let mut backfilled = 0;
        for list in self.backfill_lists(key)? {
            if ordinal < backfilled + list.len as u64 {
                let position = list.position((ordinal - backfilled) as usize)?;
                return Ok(position.filter(|position| *position <= upto));
            }
            backfilled += list.len as u64;
        }
        for at in (0..self.parts.len()).rev() {
            let Some(list) = self.parts[at].list(key, upto)? else { continue };
            let first = match list.ordinal {
                Some(first) => first + backfilled,
                None => self.next_ordinal(key, at)?,
            };
            if let Some(index) = ordinal.checked_sub(first) {
                let position = list.position(index as usize)?;
                return Ok(position.filter(|position| *position <= upto));
            }
        }
        Ok(None)
    }

    /// Returns the number of a key's postings up to a position.
    pub fn count(&self, key: &Key, upto: u64) -> Result<u64, IndexError> {
        Ok(self.last(key, upto)?.map_or(0, |last| last.ordinal + 1))
    }

    /// Returns the positions that match an expression between two positions, both inclusive.
    pub fn matches(
        &self,
        expr: &Expr,
        [from, to]: [u64; 2],
        order: Order,
    ) -> Result<Matches, IndexError> {
        let mut parts = Vec::new();
        for (at, part) in self.parts.iter().enumerate() {
            let next = self.parts.get(at + 1).map_or(u64::MAX, Part::first);
            let (first, last) = (part.first().max(from), (next - 1).min(to));
            if first <= last {
                parts.push((first, last, self.bind(part, expr, to, order)?));
            }
        }
        // Parts are taken from the end.
        let start = match order {
            Order::Ascending => {
                parts.reverse();
                from
            }
            Order::Descending => to,
        };
        Ok(Matches { parts, order, at: Some(start) })
    }

    fn bind(&self, part: &Part, expr: &Expr, upto: u64, order: Order) -> Result<Node, IndexError> {
        let bind_all = |exprs: &[Expr]| -> Result<Vec<Node>, IndexError> {
            exprs.iter().map(|expr| self.bind(part, expr, upto, order)).collect()
        };
        Ok(match expr {
            Expr::And(exprs) => Node::all_of(bind_all(exprs)?),
            Expr::Or(exprs) => Node::any_of(bind_all(exprs)?),
            Expr::Key(key) => {
                let mut lists = self.backfill_lists(key)?;
                lists.extend(part.list(key, upto)?);
                let walkers = lists.into_iter().map(|list| Node::List(Walker::new(list, order)));
                Node::any_of(walkers.collect())
            }
        })
    }
}
