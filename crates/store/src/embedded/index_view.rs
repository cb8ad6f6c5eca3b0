use std::sync::Arc;

use arc_swap::ArcSwap;
use leftfold_api::Failure;
use leftfold_index::{IndexCache, IndexFile, IndexSet, Key};
use quick_cache::sync::Cache;

use super::indexes::NamedIndex;

/// The index of a store: its parts, the cache of their blocks, and the last versions of streams.
pub(crate) struct IndexView {
    /// Replaced as a whole when a part is added or sealed.
    pub(crate) set: ArcSwap<IndexSet>,
    pub(crate) cache: Arc<IndexCache>,
    /// The last versions of streams, each with the last position that it covers.
    heads: Cache<Key, (u64, u64)>,
}

impl IndexView {
    /// Creates the view of an empty index, with a cache of this many bytes and stream heads.
    pub(crate) fn new(cache_bytes: u64, heads: usize) -> Self {
        IndexView {
            set: ArcSwap::default(),
            cache: Arc::new(IndexCache::new(cache_bytes)),
            heads: Cache::new(heads),
        }
    }

    /// Returns a stream's last version at or before a position.
    pub(crate) fn version(&self, stream: &Key, upto: u64) -> Result<Option<u64>, Failure> {
        let set = self.set.load();
        let sealed = set.sealed_upto();
        // Cached versions come from files. They are valid for any position behind these files.
        let cached = self.heads.get(stream).filter(|(_, covered)| *covered <= upto);
        let since = cached.map_or(0, |(_, covered)| covered);
        if let Some(last) = set.last_since(stream, upto, since)? {
            if upto >= sealed && last.position <= sealed {
                self.heads.insert(*stream, (last.ordinal, sealed));
            }
            return Ok(Some(last.ordinal));
        }
        Ok(cached.map(|(version, _)| version))
    }

    /// Removes the files that hold a named index's events from before its definition.
    pub(crate) fn remove_backfill(&self, named: &NamedIndex) {
        let keys: Vec<_> = named.keys().collect();
        self.set.rcu(|set| set.without_backfill(&keys));
    }

    /// Adds the files that hold a named index's events from before its definition.
    pub(crate) fn add_backfill(&self, named: &NamedIndex, files: &[Arc<IndexFile>]) {
        let keys: Vec<_> = named.keys().collect();
        self.set.rcu(|set| {
            let with = |set: IndexSet, file: &Arc<IndexFile>| set.with_backfill(&keys, file);
            files.iter().fold(IndexSet::clone(set), with)
        });
    }
}
