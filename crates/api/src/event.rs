use bytes::Bytes;
use uuid::Uuid;

use crate::record::DROPPED_TYPE;
use crate::time::Timestamp;

/// An event to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// The id, unique in its stream: appending it again writes nothing. The store makes one if it is
    /// `None`.
    pub id: Option<Uuid>,
    /// The event type.
    pub event_type: String,
    /// The time at which it happened; by default the commit time.
    pub event_time: Option<Timestamp>,
    /// The correlation id, such as that of a conversation or a process.
    pub correlation: Option<String>,
    /// The causation id: the id of what caused the event.
    pub causation: Option<String>,
    /// The tags, in this order, by which queries find the event.
    pub tags: Vec<(String, String)>,
    /// The media type; `application/json` is stored in one bit.
    pub content_type: String,
    /// The version of the data's schema.
    pub schema_version: u16,
    /// The metadata.
    pub metadata: Bytes,
    /// The payload.
    pub data: Bytes,
}

/// The media type of JSON.
pub const JSON: &str = "application/json";
/// The media type of arbitrary bytes.
pub const BYTES: &str = "application/octet-stream";

impl NewEvent {
    /// Returns an event whose data are bytes.
    pub fn new(event_type: impl Into<String>, data: impl Into<Bytes>) -> Self {
        NewEvent {
            id: None,
            event_type: event_type.into(),
            event_time: None,
            correlation: None,
            causation: None,
            tags: Vec::new(),
            content_type: BYTES.to_owned(),
            schema_version: 0,
            metadata: Bytes::new(),
            data: data.into(),
        }
    }

    /// Returns an event whose data are JSON text, which the store does not parse.
    pub fn json(event_type: impl Into<String>, data: impl Into<Bytes>) -> Self {
        NewEvent { content_type: JSON.to_owned(), ..NewEvent::new(event_type, data) }
    }

    /// Returns the placeholder of an event that another store has dropped. It takes the event's version, and no read
    /// shows it. To conditions it is a scavenged event.
    pub fn placeholder(id: Uuid) -> Self {
        NewEvent { id: Some(id), ..NewEvent::new(DROPPED_TYPE, "") }
    }

    /// Whether this is a placeholder, which has nothing but an id.
    pub fn is_placeholder(&self) -> bool {
        self.event_type == DROPPED_TYPE
            && self.id.is_some()
            && self.event_time.is_none()
            && self.correlation.is_none()
            && self.causation.is_none()
            && self.tags.is_empty()
            && self.metadata.is_empty()
            && self.data.is_empty()
    }

    /// Sets the id.
    pub fn id(mut self, id: Uuid) -> Self {
        self.id = Some(id);
        self
    }

    /// Sets the time at which the event happened.
    pub fn event_time(mut self, time: Timestamp) -> Self {
        self.event_time = Some(time);
        self
    }

    /// Adds a tag.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((key.into(), value.into()));
        self
    }

    /// Sets the correlation id.
    pub fn correlation(mut self, id: impl Into<String>) -> Self {
        self.correlation = Some(id.into());
        self
    }

    /// Sets the causation id.
    pub fn causation(mut self, id: impl Into<String>) -> Self {
        self.causation = Some(id.into());
        self
    }

    /// Sets the metadata.
    pub fn metadata(mut self, metadata: impl Into<Bytes>) -> Self {
        self.metadata = metadata.into();
        self
    }
}
