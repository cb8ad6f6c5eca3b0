use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use leftfold_api::Facts;
use leftfold_index::Key;
use smallvec::SmallVec;

use super::named::Named;
use crate::embedded::wakes::needed;
use crate::keys::{Keys, StreamKeys};
use crate::plan::plan;

/// The named indexes at a moment. Never changes: a definition makes a new list.
///
/// Of a thousand indexes an event is held against few: each index stands under keys of which every
/// event that it lists has at least one. Those whose query has no such key are held against each
/// event.
#[derive(Default, Clone)]
pub(crate) struct IndexList {
    /// By name.
    all: Vec<Arc<Named>>,
    /// Places in `all`.
    by_key: HashMap<Key, Vec<usize>>,
    without_key: Vec<usize>,
    /// Those that ask when an event happened. Of an event without a time only the writer knows.
    timed: Vec<Arc<Named>>,
}

impl IndexList {
    fn new(all: Vec<Arc<Named>>, keys: &Keys) -> Self {
        let mut list = IndexList::default();
        for (at, named) in all.iter().enumerate() {
            let query = &named.definition.query;
            match plan(query, keys, &|_| None).postings.as_ref().and_then(needed) {
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

    /// Returns the list without the index of this name, and with the one that is defined now.
    pub(crate) fn with(&self, name: &str, defined: Option<Arc<Named>>, keys: &Keys) -> Self {
        let mut all = self.all.clone();
        all.retain(|named| named.definition.name != name);
        all.extend(defined);
        all.sort_by(|a, b| a.definition.name.cmp(&b.definition.name));
        IndexList::new(all, keys)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Named>> {
        let at = self.all.binary_search_by(|named| named.definition.name.as_str().cmp(name));
        self.all.get(at.ok()?)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Named>> {
        self.all.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// The indexes that ask when an event happened.
    pub(crate) fn timed(&self) -> &[Arc<Named>] {
        &self.timed
    }

    /// Adds the keys under which indexes list an event, given the event's other keys. `is_wanted`
    /// chooses the indexes that are looked at.
    fn add_keys(
        &self,
        event: &impl Facts,
        own: impl Iterator<Item = Key>,
        is_wanted: impl Fn(&Named) -> bool,
        keys: &mut impl Extend<Key>,
    ) {
        if self.all.is_empty() {
            return;
        }
        let mut places: SmallVec<[usize; 8]> = self.without_key.iter().copied().collect();
        places.extend(own.filter_map(|key| self.by_key.get(&key)).flatten().copied());
        places.sort_unstable();
        places.dedup();
        let found = places.iter().filter_map(|at| self.all.get(*at));
        found.filter(|named| is_wanted(named)).for_each(|named| named.keys_of(event, keys));
    }

    /// Adds the keys under which indexes list an event, given the keys of its stream and its facts.
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

    /// Adds the same, but for indexes that ask when the event happened, which is not known yet.
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

/// The named indexes of a store, as its readers and as its writer know them.
#[derive(Default)]
pub(crate) struct Indexes {
    /// Those whose definition is durable: queries are answered by them.
    durable: ArcSwap<IndexList>,
    /// Those that the writer has admitted, durable or not. An append's caller finds its events' keys
    /// by them; no answer rests on them.
    admitted: ArcSwap<IndexList>,
}

impl Indexes {
    /// Takes what was found when the store was opened.
    pub(crate) fn open_with(&self, list: IndexList) {
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

    /// The writer has admitted a definition or removal.
    pub(crate) fn admit(&self, list: Arc<IndexList>) {
        self.admitted.store(list);
    }

    /// A definition or removal has become durable. Returns the index that is gone.
    pub(super) fn publish(
        &self,
        name: &str,
        defined: Option<Arc<Named>>,
        keys: &Keys,
    ) -> Option<Arc<Named>> {
        let before = self.durable.load();
        let gone = before.get(name).cloned();
        self.durable.store(Arc::new(before.with(name, defined, keys)));
        gone
    }
}
