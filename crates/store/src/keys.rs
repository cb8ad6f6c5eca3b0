use leftfold_index::{Key, KeyHasher, Kind};
use uuid::Uuid;

use crate::query::Field;

// The kinds of key. Frozen: their numbers are part of what is hashed.
const STREAM: Kind = Kind(1);
const STREAM_START: Kind = Kind(2);
const CATEGORY: Kind = Kind(3);
const TYPE: Kind = Kind(4);
const CORRELATION: Kind = Kind(5);
const TAG: Kind = Kind(6);
const EVENT_ID: Kind = Kind(7);
const NAMED: Kind = Kind(8);

/// Makes the keys under which events are found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keys {
    hasher: KeyHasher,
    starts: Key,
}

impl Keys {
    pub(crate) fn new(hash_key: &[u8; 16]) -> Self {
        let hasher = KeyHasher::new(hash_key);
        Keys { hasher, starts: hasher.key(STREAM_START, &[]) }
    }

    /// The key of a field's value.
    pub(crate) fn of(&self, field: Field, value: &str) -> Key {
        let kind = match field {
            Field::Stream => STREAM,
            Field::Category => CATEGORY,
            Field::Type => TYPE,
            Field::Correlation => CORRELATION,
            Field::Tag => TAG,
        };
        self.hasher.key(kind, &[value.as_bytes()])
    }

    /// The key of a tag.
    pub(crate) fn tag(&self, key: &str, value: &str) -> Key {
        self.hasher.key_of_pieces(TAG, &[key.as_bytes(), b"=", value.as_bytes()])
    }

    /// The first events of all streams.
    pub(crate) fn starts(&self) -> Key {
        self.starts
    }

    /// The first events of a category's streams.
    pub(crate) fn starts_in(&self, category: &str) -> Key {
        self.hasher.key(STREAM_START, &[category.as_bytes()])
    }

    /// An event id within a stream.
    pub(crate) fn event(&self, stream: &Key, id: Uuid) -> Key {
        let stream = zerocopy::IntoBytes::as_bytes(stream);
        self.hasher.key(EVENT_ID, &[stream, id.as_bytes()])
    }

    /// A named index, by its name and where it was defined: a later one of the same name is
    /// another.
    pub(crate) fn named(&self, name: &str, defined_at: u64) -> Key {
        self.hasher.key(NAMED, &[name.as_bytes(), &defined_at.to_le_bytes()])
    }
}
