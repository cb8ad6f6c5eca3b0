use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use leftfold_api::{CheckpointInfo, Cursor, ReadError, RetentionRule, names};
use leftfold_index::Key;
use parking_lot::RwLock;
use quick_cache::sync::Cache;

use super::indexes::IndexRegistry;
use super::retention::{Rule, StreamRetention};

/// The durable definitions of a store: named indexes, retention and checkpoints.
pub(crate) struct Definitions {
    pub(crate) checkpoints: RwLock<BTreeMap<String, Cursor>>,
    pub(crate) indexes: IndexRegistry,
    /// Retention rules, ordered by name.
    pub(crate) rules: ArcSwap<Vec<Arc<Rule>>>,
    /// Whether any stream ever had its own retention.
    streams_limited: AtomicBool,
    /// Cached retention of streams, each with the version of the event that sets it.
    pub(crate) retention: Cache<Key, (u64, StreamRetention)>,
}

impl Definitions {
    /// Creates an empty registry that caches the retention of this many streams.
    pub(crate) fn new(streams: usize) -> Self {
        Definitions {
            checkpoints: RwLock::default(),
            indexes: IndexRegistry::default(),
            rules: ArcSwap::default(),
            streams_limited: AtomicBool::new(false),
            retention: Cache::new(streams),
        }
    }

    /// Returns the cursor of a checkpoint.
    pub(crate) fn checkpoint(&self, name: &str) -> Result<Option<Cursor>, ReadError> {
        names::check("checkpoint", name)?;
        Ok(self.checkpoints.read().get(name).cloned())
    }

    /// Returns the checkpoints after a name, in the order of their names.
    pub(crate) fn checkpoints_after(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Vec<CheckpointInfo> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let checkpoints = self.checkpoints.read();
        let found = checkpoints.range((from, Bound::Unbounded)).take(limit);
        found.map(|(name, to)| CheckpointInfo::new(name, to.clone())).collect()
    }

    /// Publishes durable moves of checkpoints, and durable deletions (`None`), in order.
    pub(crate) fn move_checkpoints(&self, moved: impl Iterator<Item = (String, Option<Cursor>)>) {
        let mut checkpoints = self.checkpoints.write();
        for (name, to) in moved {
            match to {
                Some(to) => _ = checkpoints.insert(name, to),
                None => _ = checkpoints.remove(&name),
            }
        }
    }

    /// Returns the retention rules, ordered by name.
    pub(crate) fn retention_rules(&self) -> Vec<RetentionRule> {
        self.rules.load().iter().map(|rule| RetentionRule::clone(rule)).collect()
    }

    /// Publishes a durable rule, or a durable removal.
    pub(crate) fn change_rule(&self, name: &str, rule: Option<Arc<Rule>>) {
        let mut rules = Vec::clone(&self.rules.load());
        rules.retain(|known: &Arc<Rule>| known.name != name);
        rules.extend(rule);
        rules.sort_by(|a, b| a.name.cmp(&b.name));
        self.rules.store(Arc::new(rules));
    }

    /// Whether any stream may have its own retention.
    pub(crate) fn are_streams_limited(&self) -> bool {
        self.streams_limited.load(Ordering::Acquire)
    }

    /// Notes that streams may have their own retention from now on.
    pub(crate) fn limit_streams(&self) {
        self.streams_limited.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use leftfold_api::Origin;

    use super::*;

    #[test]
    fn moves_and_deletions_of_one_confirmation_are_published_in_order() {
        let definitions = Definitions::new(1);
        let at = |position| Some(Cursor::at(Origin::new(&[0; 16], &[0; 16]), position));
        let moved = [("a", at(1)), ("a", None), ("b", at(2)), ("a", at(3)), ("b", None)];
        definitions.move_checkpoints(moved.into_iter().map(|(name, to)| (name.to_owned(), to)));
        assert_eq!(definitions.checkpoint("a").unwrap(), at(3));
        assert_eq!(definitions.checkpoint("b").unwrap(), None);
    }
}
