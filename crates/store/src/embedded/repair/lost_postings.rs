use std::collections::{BTreeMap, HashMap};

use leftfold_index::Key;

use crate::keys::Keys;
use leftfold_api::Field;

/// The postings of lost positions, from whole index files. Keys are hashes, so a stream's name is known
/// only from another of its events.
#[derive(Default)]
pub(super) struct LostPostings {
    /// Lost positions and their ordinals, by key.
    keys: HashMap<Key, Vec<(u64, u64)>>,
    names: HashMap<Key, String>,
}

impl LostPostings {
    /// Adds a posting at a lost position.
    pub(super) fn add_posting(&mut self, key: Key, ordinal: u64, position: u64) {
        self.keys.entry(key).or_default().push((position, ordinal));
    }

    /// Notes the name of a stream that has an event left.
    pub(super) fn add_stream(&mut self, keys: &Keys, stream: &str) {
        if self.keys.is_empty() {
            return;
        }
        let key = keys.of(Field::Stream, stream);
        if self.keys.contains_key(&key) && !self.names.contains_key(&key) {
            self.names.insert(key, stream.to_owned());
        }
    }

    /// Returns the lost positions whose streams are known, with their streams and versions.
    pub(super) fn by_position(&self) -> BTreeMap<u64, (String, u64)> {
        let of_stream = |(key, name): (&Key, &String)| {
            let postings = self.keys.get(key).cloned().unwrap_or_default();
            let name = name.clone();
            postings.into_iter().map(move |(position, version)| (position, (name.clone(), version)))
        };
        self.names.iter().flat_map(of_stream).collect()
    }
}
