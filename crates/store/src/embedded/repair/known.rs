use std::collections::{BTreeMap, HashMap};

use leftfold_index::Key;

use crate::keys::Keys;
use leftfold_api::Field;

/// What index files know of lost positions: keys are hashes, so a stream's name is known only by
/// meeting another event of it.
#[derive(Default)]
pub(super) struct Known {
    /// For each key its ordinals at lost positions.
    keys: HashMap<Key, Vec<(u64, u64)>>,
    names: HashMap<Key, String>,
}

impl Known {
    /// An index file has a key's posting at a lost position.
    pub(super) fn says(&mut self, key: Key, ordinal: u64, position: u64) {
        self.keys.entry(key).or_default().push((position, ordinal));
    }

    /// Some event is of this stream.
    pub(super) fn meet(&mut self, keys: &Keys, stream: &str) {
        if self.keys.is_empty() {
            return;
        }
        let key = keys.of(Field::Stream, stream);
        if self.keys.contains_key(&key) && !self.names.contains_key(&key) {
            self.names.insert(key, stream.to_owned());
        }
    }

    /// Lost positions with their streams and versions.
    pub(super) fn by_position(&self) -> BTreeMap<u64, (String, u64)> {
        let of_stream = |(key, name): (&Key, &String)| {
            let places = self.keys.get(key).cloned().unwrap_or_default();
            let name = name.clone();
            places.into_iter().map(move |(position, version)| (position, (name.clone(), version)))
        };
        self.names.iter().flat_map(of_stream).collect()
    }
}
