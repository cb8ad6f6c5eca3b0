use std::fmt;

use bytes::Bytes;
use uuid::Uuid;

use crate::error::Failure;
use crate::event::{BYTES, JSON, NewEvent};
use crate::record::{Field, Layout};
use crate::time::Timestamp;

/// A stored event. Cloning is cheap: it is a slice of the block that was read.
#[derive(Clone)]
pub struct Recorded {
    position: u64,
    /// Microseconds since 1970.
    event_time: i64,
    /// Microseconds since 1970.
    commit_time: i64,
    /// `NO_ORDINAL` if the read did not ask for it.
    ordinal: u64,
    record: Bytes,
    /// Whether the record has memory of its own, which no other event shares.
    is_detached: bool,
}

const NO_ORDINAL: u64 = u64::MAX;

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded")
            .field("position", &self.position())
            .field("stream", &self.stream())
            .field("version", &self.version())
            .field("type", &self.event_type())
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

impl From<&Recorded> for NewEvent {
    /// Returns the event as it was appended, with its id; its event time only if it was given.
    fn from(event: &Recorded) -> Self {
        let text = |text: Option<&str>| text.map(str::to_owned);
        NewEvent {
            id: Some(event.id()),
            event_type: event.event_type().to_owned(),
            event_time: event.event_time_given().then(|| event.event_time()),
            correlation: text(event.correlation()),
            causation: text(event.causation()),
            tags: event.tags().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            content_type: event.content_type().to_owned(),
            schema_version: event.schema_version(),
            metadata: event.metadata(),
            data: event.data(),
        }
    }
}

impl Recorded {
    /// Returns the event in a record.
    ///
    /// # Errors
    /// [`Failure::Record`] if the record is not an event.
    pub fn from_record(
        position: u64,
        event_time: Timestamp,
        commit_time: Timestamp,
        record: Bytes,
    ) -> Result<Self, Failure> {
        match Layout::read(&record) {
            Ok(_) => Ok(Recorded {
                position,
                event_time: event_time.0,
                commit_time: commit_time.0,
                ordinal: NO_ORDINAL,
                record,
                is_detached: false,
            }),
            Err(what) => Err(Failure::Record { position, what }),
        }
    }

    /// Returns an event that is made from its parts, for stores with another source of events. Without an id
    /// its id is all zeros; without an event time it is the commit time.
    ///
    /// # Errors
    /// [`Failure::Record`] if a name is longer than a record can hold.
    pub fn from_parts(
        stream: &str,
        version: u64,
        position: u64,
        commit_time: Timestamp,
        event: &NewEvent,
    ) -> Result<Self, Failure> {
        if !crate::record::fits(stream, event) {
            return Err(Failure::Record { position, what: "a name is too long for a record" });
        }
        let id = event.id.unwrap_or_default().into_bytes();
        let mut bytes = crate::record::encode(stream, event, id, &[0; 16]);
        crate::record::set_version(&mut bytes, version);
        let event_time = event.event_time.unwrap_or(commit_time);
        Recorded::from_record(position, event_time, commit_time, bytes.into())
    }

    /// Returns the record of the event, without position and times; see `docs/format.md`.
    pub fn record(&self) -> &Bytes {
        &self.record
    }

    /// Returns its position in the log, from 1.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Returns the event's ordinal in the query that yielded it, if the read asked for ordinals.
    pub fn ordinal(&self) -> Option<u64> {
        Some(self.ordinal).filter(|ordinal| *ordinal != NO_ORDINAL)
    }

    /// Sets the ordinal that the event has in the query that yielded it.
    pub fn with_ordinal(mut self, ordinal: u64) -> Self {
        self.ordinal = ordinal;
        self
    }

    /// Returns its stream.
    pub fn stream(&self) -> &str {
        self.text(Field::Stream)
    }

    /// Returns its version: its number in its stream, from 0.
    pub fn version(&self) -> u64 {
        self.layout().header.version.get()
    }

    /// Returns its id.
    pub fn id(&self) -> Uuid {
        Uuid::from_bytes(self.layout().header.id)
    }

    /// Returns its type.
    pub fn event_type(&self) -> &str {
        self.text(Field::EventType)
    }

    /// Returns the time at which it happened.
    pub fn event_time(&self) -> Timestamp {
        Timestamp(self.event_time)
    }

    /// Whether the event time was given; if not, it is the commit time.
    pub fn event_time_given(&self) -> bool {
        self.layout().time_was_given()
    }

    /// Returns its commit time, which is never earlier than that of an earlier event.
    pub fn commit_time(&self) -> Timestamp {
        Timestamp(self.commit_time)
    }

    /// Returns its correlation id.
    pub fn correlation(&self) -> Option<&str> {
        Some(self.text(Field::Correlation)).filter(|text| !text.is_empty())
    }

    /// Returns its causation id.
    pub fn causation(&self) -> Option<&str> {
        Some(self.text(Field::Causation)).filter(|text| !text.is_empty())
    }

    /// Returns its tags, in the order in which they were given.
    pub fn tags(&self) -> impl Iterator<Item = (&str, &str)> {
        self.layout().tags().filter_map(|tag| tag.split_once('='))
    }

    /// Returns its tags as texts `key=value`, in the order in which they were given.
    pub fn tag_texts(&self) -> impl Iterator<Item = &str> {
        self.layout().tags()
    }

    /// Returns its media type.
    pub fn content_type(&self) -> &str {
        match self.text(Field::ContentType) {
            "" if self.layout().is_json() => JSON,
            "" => BYTES,
            other => other,
        }
    }

    /// Returns the version of the data's schema.
    pub fn schema_version(&self) -> u16 {
        self.layout().schema_version()
    }

    /// Returns its metadata.
    pub fn metadata(&self) -> Bytes {
        self.record.slice(self.layout().range(Field::Metadata))
    }

    /// Returns its payload.
    pub fn data(&self) -> Bytes {
        self.record.slice(self.layout().range(Field::Data))
    }

    /// Whether the digest in its record is right. It can't be computed for a scavenged event, so it counts
    /// as right there.
    pub fn digest_is_right(&self, hash_key: &[u8; 16]) -> bool {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let original = NewEvent {
            id: Some(self.id()),
            event_type: self.event_type().to_owned(),
            event_time: self.event_time_given().then_some(self.event_time()),
            correlation: text(self.correlation()),
            causation: text(self.causation()),
            tags: self.tags().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            content_type: self.content_type().to_owned(),
            schema_version: self.schema_version(),
            metadata: self.metadata(),
            data: self.data(),
        };
        self.is_scavenged() || crate::record::digest(&original, hash_key) == self.digest()
    }

    /// Returns the digest that its record holds.
    pub fn digest(&self) -> [u8; 16] {
        self.layout().header.digest
    }

    /// Whether its metadata and data were removed.
    pub fn is_scavenged(&self) -> bool {
        self.layout().is_scavenged()
    }

    /// Whether it is the placeholder of an event that was lost by damage.
    pub fn is_lost(&self) -> bool {
        self.layout().is_lost()
    }

    /// Returns its record without metadata and data.
    pub fn scavenged(&self) -> Vec<u8> {
        self.layout().scavenged()
    }

    /// Returns the bytes of metadata and data.
    pub fn payload_bytes(&self) -> u64 {
        (self.layout().range(Field::Metadata).len() + self.layout().range(Field::Data).len()) as u64
    }

    /// Whether it has a subject whose data may have to be forgotten.
    pub fn is_forgettable(&self) -> bool {
        !self.layout().range(Field::Subject).is_empty()
    }

    /// Returns the bytes of its record.
    pub fn size(&self) -> usize {
        self.record.len()
    }

    /// Returns a copy that does not keep the block in memory that was read, unless it is one already.
    pub fn detached(mut self) -> Self {
        if !self.is_detached {
            self.record = Bytes::copy_from_slice(&self.record);
            self.is_detached = true;
        }
        self
    }

    /// Whether it keeps no block in memory.
    pub fn is_detached(&self) -> bool {
        self.is_detached
    }

    fn layout(&self) -> Layout<'_> {
        Layout::of(&self.record)
    }

    fn text(&self, field: Field) -> &str {
        self.layout().text(field)
    }
}
