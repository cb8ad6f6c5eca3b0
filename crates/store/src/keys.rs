use leftfold_index::{Key, KeyHasher, Kind, PostingWriter};
use uuid::Uuid;

use leftfold_api::{Facts, Field, category_of};

// The kinds of key. Their numbers are frozen, since they are hashed.
const STREAM: Kind = Kind(1);
const STREAM_START: Kind = Kind(2);
const CATEGORY: Kind = Kind(3);
const TYPE: Kind = Kind(4);
const CORRELATION: Kind = Kind(5);
const TAG: Kind = Kind(6);
const EVENT_ID: Kind = Kind(7);
const NAMED: Kind = Kind(8);
const NAMED_PARTITION: Kind = Kind(9);

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

    /// Returns the key of a field's value.
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

    /// Returns the key of a tag.
    pub(crate) fn tag(&self, key: &str, value: &str) -> Key {
        self.hasher.key_of_pieces(TAG, &[key.as_bytes(), b"=", value.as_bytes()])
    }

    /// Returns the key that lists the first event of every stream.
    pub(crate) fn starts(&self) -> Key {
        self.starts
    }

    /// Returns the key that lists the first event of every stream of a category.
    pub(crate) fn starts_in(&self, category: &str) -> Key {
        self.hasher.key(STREAM_START, &[category.as_bytes()])
    }

    /// Returns the key of an event id in a stream.
    pub(crate) fn event(&self, stream: &Key, id: Uuid) -> Key {
        let stream = zerocopy::IntoBytes::as_bytes(stream);
        self.hasher.key(EVENT_ID, &[stream, id.as_bytes()])
    }

    /// Returns the key of a named index. The position of its definition is part of the key: a later
    /// index of the same name is another one.
    pub(crate) fn named(&self, name: &str, defined_at: u64) -> Key {
        self.hasher.key(NAMED, &[name.as_bytes(), &defined_at.to_le_bytes()])
    }

    /// Returns the key of a partition of a named index.
    pub(crate) fn partition(&self, name: &str, defined_at: u64, partition: u32) -> Key {
        let pieces = [name.as_bytes(), &defined_at.to_le_bytes(), &partition.to_le_bytes()];
        self.hasher.key(NAMED_PARTITION, &pieces)
    }

    /// Adds the keys of an event's type, correlation and tags.
    pub(crate) fn facts(&self, event: &impl Facts, keys: &mut impl Extend<Key>) {
        self.facts_beside(self.of(Field::Type, event.event_type()), event, keys);
    }

    /// Adds the keys of an event's type, which is known, and of its correlation and tags.
    pub(crate) fn facts_beside(
        &self,
        event_type: Key,
        event: &impl Facts,
        keys: &mut impl Extend<Key>,
    ) {
        keys.extend([event_type]);
        keys.extend(event.correlation().map(|id| self.of(Field::Correlation, id)));
        event.each_tag(&mut |key, value| keys.extend([self.tag(key, value)]));
    }
}

/// The keys of a stream and of its category.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamKeys {
    pub(crate) stream: Key,
    pub(crate) category: Key,
}

impl StreamKeys {
    pub(crate) fn new(keys: &Keys, stream: &str) -> Self {
        StreamKeys {
            stream: keys.of(Field::Stream, stream),
            category: keys.of(Field::Category, category_of(stream)),
        }
    }
}

/// Keys of a committed event, found when it was checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CommittedKeys {
    pub(crate) stream: StreamKeys,
    pub(crate) event_type: Key,
}

/// Finds keys of committed events. Most have the category and the type of the event before.
pub(crate) struct CommittedKeyFinder<'a> {
    keys: &'a Keys,
    category: Option<(&'a str, Key)>,
    event_type: Option<(&'a str, Key)>,
}

impl<'a> CommittedKeyFinder<'a> {
    pub(crate) fn new(keys: &'a Keys) -> Self {
        CommittedKeyFinder { keys, category: None, event_type: None }
    }

    /// Returns the keys of an event of this stream and type.
    pub(crate) fn find(&mut self, stream: &'a str, event_type: &'a str) -> CommittedKeys {
        let keys = self.keys;
        let again = |last: &mut Option<(&'a str, Key)>, field, value: &'a str| match *last {
            Some((of, key)) if of == value => key,
            _ => last.insert((value, keys.of(field, value))).1,
        };
        let category = again(&mut self.category, Field::Category, category_of(stream));
        let event_type = again(&mut self.event_type, Field::Type, event_type);
        let stream = StreamKeys { stream: keys.of(Field::Stream, stream), category };
        CommittedKeys { stream, event_type }
    }
}

/// The keys of an event. The writer, the rebuild at opening and verification all use this type, so
/// they add the same postings.
pub(crate) struct EventPostings<'a> {
    pub(crate) position: u64,
    pub(crate) version: u64,
    pub(crate) stream: &'a str,
    pub(crate) stream_keys: StreamKeys,
    /// The keys of [`Keys::facts`].
    pub(crate) facts: &'a [Key],
    /// The keys of named indexes and their partitions.
    pub(crate) indexes: &'a [Key],
    /// The key of the event's id in its stream.
    pub(crate) id: Key,
}

impl EventPostings<'_> {
    /// Adds a posting for each key.
    pub(crate) fn add_to(&self, keys: &Keys, postings: &mut impl Postings) {
        let position = self.position;
        postings.add_numbered(self.stream_keys.stream, position, self.version);
        postings.add_posting(self.stream_keys.category, position);
        if self.version == 0 {
            postings.add_posting(keys.starts(), position);
            postings.add_posting(keys.starts_in(category_of(self.stream)), position);
        }
        let lists = self.facts.iter().chain(self.indexes);
        lists.for_each(|key| postings.add_posting(*key, position));
        postings.add_id(self.id, position);
    }
}

/// Receives postings.
pub(crate) trait Postings {
    /// Adds a posting to a key's list.
    fn add_posting(&mut self, key: Key, position: u64);
    /// Adds a posting with its ordinal.
    fn add_numbered(&mut self, key: Key, position: u64, ordinal: u64);
    /// Adds the position of an event id, by its key.
    fn add_id(&mut self, key: Key, position: u64);
}

impl Postings for PostingWriter<'_> {
    fn add_posting(&mut self, key: Key, position: u64) {
        self.add_posting(key, position);
    }

    fn add_numbered(&mut self, key: Key, position: u64, ordinal: u64) {
        self.add_numbered(key, position, ordinal);
    }

    fn add_id(&mut self, key: Key, position: u64) {
        self.add_id(key, position);
    }
}
