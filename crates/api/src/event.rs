use bytes::Bytes;
use uuid::Uuid;

use crate::time::Timestamp;

/// An event yet to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Names it within its stream, for ever: appending the same id again changes nothing. Made by
    /// the store if not given.
    pub id: Option<Uuid>,
    /// What kind of event it is.
    pub event_type: String,
    /// When it happened; if not given, when it was committed.
    pub event_time: Option<Timestamp>,
    /// What it belongs to: a conversation, a process.
    pub correlation: Option<String>,
    /// What caused it.
    pub causation: Option<String>,
    /// Pairs to find it by, in this order.
    pub tags: Vec<(String, String)>,
    /// A media type; `application/json` is stored in one bit.
    pub content_type: String,
    /// The version of the data's shape.
    pub schema_version: u16,
    /// Bytes about the event.
    pub metadata: Bytes,
    /// The event's own bytes.
    pub data: Bytes,
}

/// The media type of JSON.
pub const JSON: &str = "application/json";
/// The media type of bytes of which nothing is known.
pub const BYTES: &str = "application/octet-stream";

impl NewEvent {
    /// An event of bytes.
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

    /// An event of JSON text; the store does not look into it.
    pub fn json(event_type: impl Into<String>, data: impl Into<Bytes>) -> Self {
        NewEvent { content_type: JSON.to_owned(), ..NewEvent::new(event_type, data) }
    }

    /// With an id.
    pub fn id(mut self, id: Uuid) -> Self {
        self.id = Some(id);
        self
    }

    /// With the time at which it happened.
    pub fn event_time(mut self, time: Timestamp) -> Self {
        self.event_time = Some(time);
        self
    }

    /// With a tag more.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.push((key.into(), value.into()));
        self
    }

    /// With a correlation id.
    pub fn correlation(mut self, id: impl Into<String>) -> Self {
        self.correlation = Some(id.into());
        self
    }

    /// With a causation id.
    pub fn causation(mut self, id: impl Into<String>) -> Self {
        self.causation = Some(id.into());
        self
    }

    /// With metadata.
    pub fn metadata(mut self, metadata: impl Into<Bytes>) -> Self {
        self.metadata = metadata.into();
        self
    }
}
