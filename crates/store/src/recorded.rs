use std::fmt;

use bytes::Bytes;
use leftfold_log::Record;
use uuid::Uuid;

use crate::codec::{Field, Layout};
use crate::error::Failure;
use crate::event::{BYTES, JSON, NewEvent};
use crate::time::Timestamp;

/// An event as it is stored. Cheap to clone: it is a slice of the block that it was read with.
#[derive(Clone)]
pub struct Recorded {
    record: Record,
    layout: Layout,
}

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

impl Recorded {
    pub(crate) fn new(record: Record) -> Result<Self, Failure> {
        match Layout::read(&record.bytes) {
            Ok(layout) => Ok(Recorded { record, layout }),
            Err(what) => Err(Failure::Record { position: record.position, what }),
        }
    }

    /// An event as [`Recorded::record`] gave it, for a store that has it from elsewhere; times in
    /// microseconds since 1970. An error if it makes no sense.
    pub fn from_record(
        position: u64,
        event_time: Timestamp,
        commit_time: Timestamp,
        record: Bytes,
    ) -> Result<Self, Failure> {
        let (time, commit_time) = (event_time.0, commit_time.0);
        Recorded::new(Record { position, commit_time, time, bytes: record })
    }

    /// An event made of its parts, for a store that has it from elsewhere. An event without an id
    /// gets that of zeros; without an event time, its commit time. An error if a name is longer
    /// than a record can hold.
    pub fn from_parts(
        stream: &str,
        version: u64,
        position: u64,
        commit_time: Timestamp,
        event: &NewEvent,
    ) -> Result<Self, Failure> {
        if !crate::codec::fits(stream, event) {
            return Err(Failure::Record { position, what: "a name is too long for a record" });
        }
        let id = event.id.unwrap_or_default().into_bytes();
        let mut bytes = crate::codec::encode(stream, event, id, &[0; 16]);
        crate::codec::set_version(&mut bytes, version);
        let event_time = event.event_time.unwrap_or(commit_time);
        Recorded::from_record(position, event_time, commit_time, bytes.into())
    }

    /// The event as it lies in the log, without position and times: `docs/format.md` draws it.
    pub fn record(&self) -> &Bytes {
        &self.record.bytes
    }

    /// Its place in the log, from 1.
    pub fn position(&self) -> u64 {
        self.record.position
    }

    /// Its stream.
    pub fn stream(&self) -> &str {
        self.text(Field::Stream)
    }

    /// Its number in its stream, from 0.
    pub fn version(&self) -> u64 {
        self.layout.header.version.get()
    }

    /// Its id.
    pub fn id(&self) -> Uuid {
        Uuid::from_bytes(self.layout.header.id)
    }

    /// What kind of event it is.
    pub fn event_type(&self) -> &str {
        self.text(Field::EventType)
    }

    /// When it happened.
    pub fn event_time(&self) -> Timestamp {
        Timestamp(self.record.time)
    }

    /// Whether the event time was given; if not, it is the commit time.
    pub fn event_time_given(&self) -> bool {
        self.layout.time_was_given()
    }

    /// When it was stored; never earlier than that of an event before it.
    pub fn commit_time(&self) -> Timestamp {
        Timestamp(self.record.commit_time)
    }

    /// What it belongs to.
    pub fn correlation(&self) -> Option<&str> {
        Some(self.text(Field::Correlation)).filter(|text| !text.is_empty())
    }

    /// What caused it.
    pub fn causation(&self) -> Option<&str> {
        Some(self.text(Field::Causation)).filter(|text| !text.is_empty())
    }

    /// Its tags, in the order in which they were given.
    pub fn tags(&self) -> impl Iterator<Item = (&str, &str)> {
        self.layout.tags(&self.record.bytes).filter_map(|tag| tag.split_once('='))
    }

    /// Its media type.
    pub fn content_type(&self) -> &str {
        match self.text(Field::ContentType) {
            "" if self.layout.is_json() => JSON,
            "" => BYTES,
            other => other,
        }
    }

    /// The version of the data's shape.
    pub fn schema_version(&self) -> u16 {
        self.layout.schema_version()
    }

    /// Bytes about the event.
    pub fn metadata(&self) -> Bytes {
        self.record.bytes.slice(self.layout.range(Field::Metadata))
    }

    /// The event's own bytes.
    pub fn data(&self) -> Bytes {
        self.record.bytes.slice(self.layout.range(Field::Data))
    }

    /// Whether the digest that it holds is that of what it says; what was scavenged can't be asked.
    pub(crate) fn digest_is_right(&self, hash_key: &[u8; 16]) -> bool {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let said = NewEvent {
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
        self.is_scavenged() || crate::codec::digest(&said, hash_key) == self.digest()
    }

    pub(crate) fn digest(&self) -> [u8; 16] {
        self.layout.header.digest
    }

    /// Whether its metadata and data were removed.
    pub(crate) fn is_scavenged(&self) -> bool {
        self.layout.is_scavenged()
    }

    /// Whether it stands in the place of an event that was lost by damage.
    pub(crate) fn is_lost(&self) -> bool {
        self.layout.is_lost()
    }

    /// Its record without metadata and data.
    pub(crate) fn scavenged(&self) -> Vec<u8> {
        self.layout.scavenged(&self.record.bytes)
    }

    /// Bytes of metadata and data.
    pub(crate) fn payload_bytes(&self) -> u64 {
        (self.layout.range(Field::Metadata).len() + self.layout.range(Field::Data).len()) as u64
    }

    /// Whether it belongs to somebody who may have to be forgotten.
    pub(crate) fn is_forgettable(&self) -> bool {
        !self.layout.range(Field::Subject).is_empty()
    }

    pub(crate) fn size(&self) -> usize {
        self.record.bytes.len()
    }

    /// A copy that does not keep the block alive that it was read with.
    pub(crate) fn detached(mut self) -> Self {
        self.record = self.record.detached();
        self
    }

    fn text(&self, field: Field) -> &str {
        self.layout.text(&self.record.bytes, field)
    }
}
