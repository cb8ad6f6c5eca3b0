use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use leftfold_api::Facts;
use leftfold_index::Key;
use smallvec::SmallVec;

use super::named_index::NamedIndex;
use crate::embedded::wait_list::required_keys;
use crate::keys::{Keys, StreamKeys};
use crate::plan::plan;

/// The named indexes at one time. A list never changes; a definition makes a new one.
///
/// An event is matched against few of many indexes: an index is found by keys of which each of its events
/// has at least one. Indexes whose query has no such keys are matched against every event.
#[derive(Default, Clone)]
pub(crate) struct IndexList {
    /// By name.
    all: Vec<Arc<NamedIndex>>,
    /// Positions in `all`.
    by_key: HashMap<Key, Vec<usize>>,
    without_key: Vec<usize>,
    /// Indexes that depend on the event time. For an event without one, only the writer knows it.
    timed: Vec<Arc<NamedIndex>>,
}

impl IndexList {
    fn new(all: Vec<Arc<NamedIndex>>, keys: &Keys) -> Self {
        let mut list = IndexList::default();
        for (at, named) in all.iter().enumerate() {
            let query = &named.definition.query;
            match plan(query, keys, &|_| None).postings.as_ref().and_then(required_keys) {
                Some(keys) => {
                    for key in keys {
                        list.by_key.entry(key).or_default().push(at);
                    }
                }
                None => list.without_key.push(at),
            }
            if query.asks_for_time() {
                list.timed.push(named.clone());
            }
        }
        list.all = all;
        list
    }

    /// Returns the list with a definition in place of the index of this name, or without that index.
    pub(crate) fn with(&self, name: &str, defined: Option<Arc<NamedIndex>>, keys: &Keys) -> Self {
        let mut all = self.all.clone();
        all.retain(|named| named.definition.name != name);
        all.extend(defined);
        all.sort_by(|a, b| a.definition.name.cmp(&b.definition.name));
        IndexList::new(all, keys)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<NamedIndex>> {
        let at = self.all.binary_search_by(|named| named.definition.name.as_str().cmp(name));
        self.all.get(at.ok()?)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<NamedIndex>> {
        self.all.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Returns the indexes that depend on the event time.
    pub(crate) fn timed(&self) -> &[Arc<NamedIndex>] {
        &self.timed
    }

    /// Adds the keys of the indexes that list an event, given the event's other keys. `is_wanted` selects
    /// the indexes.
    fn add_keys(
        &self,
        event: &impl Facts,
        own: impl Iterator<Item = Key>,
        is_wanted: impl Fn(&NamedIndex) -> bool,
        keys: &mut impl Extend<Key>,
    ) {
        if self.all.is_empty() {
            return;
        }
        let mut candidates: SmallVec<[usize; 8]> = self.without_key.iter().copied().collect();
        candidates.extend(own.filter_map(|key| self.by_key.get(&key)).flatten().copied());
        candidates.sort_unstable();
        candidates.dedup();
        let found = candidates.iter().filter_map(|at| self.all.get(*at));
        found.filter(|named| is_wanted(named)).for_each(|named| named.keys_of(event, keys));
    }

    /// Adds the keys of the indexes that list an event, given the keys of its stream and its facts.
    pub(crate) fn keys_of(
        &self,
        event: &impl Facts,
        stream: StreamKeys,
        facts: &[Key],
        keys: &mut impl Extend<Key>,
    ) {
        let own = [stream.stream, stream.category].into_iter().chain(facts.iter().copied());
        self.add_keys(event, own, |_| true, keys);
    }

    /// Adds the same keys, but skips indexes that depend on the event time, which is not known yet.
    pub(crate) fn keys_of_untimed(
        &self,
        event: &impl Facts,
        stream: StreamKeys,
        facts: &[Key],
        keys: &mut impl Extend<Key>,
    ) {
        let own = [stream.stream, stream.category].into_iter().chain(facts.iter().copied());
        self.add_keys(event, own, |named| !named.definition.query.asks_for_time(), keys);
    }
}

/// The registry of named indexes, with one list for readers and one for the writer.
#[derive(Default)]
pub(crate) struct IndexRegistry {
    /// The indexes with durable definitions. Queries use them.
    durable: ArcSwap<IndexList>,
    /// The indexes that the writer has admitted, durable or not. Callers use them to find the keys of new
    /// events, and no answer depends on them.
    admitted: ArcSwap<IndexList>,
}

impl IndexRegistry {
    /// Sets the list that was loaded at opening.
    pub(crate) fn load(&self, list: IndexList) {
        let list = Arc::new(list);
        self.durable.store(list.clone());
        self.admitted.store(list);
    }

    pub(crate) fn durable(&self) -> Arc<IndexList> {
        self.durable.load_full()
    }

    pub(crate) fn admitted(&self) -> Arc<IndexList> {
        self.admitted.load_full()
    }

    /// Sets the list that the writer has admitted.
    pub(crate) fn admit(&self, list: Arc<IndexList>) {
        self.admitted.store(list);
    }

    /// Publishes a durable definition or removal. Returns the index that it replaces or removes.
    pub(super) fn publish(
        &self,
        name: &str,
        defined: Option<Arc<NamedIndex>>,
        keys: &Keys,
    ) -> Option<Arc<NamedIndex>> {
        let before = self.durable.load();
        let removed = before.get(name).cloned();
        self.durable.store(Arc::new(before.with(name, defined, keys)));
        removed
    }
}
