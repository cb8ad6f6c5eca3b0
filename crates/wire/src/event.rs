use leftfold_api::{BYTES, Failure, Invalid, NewEvent, Recorded, Timestamp};
use uuid::Uuid;

use crate::invalid::{answer, missing, request};
use crate::v1;

/// Makes the message of a new event; its stream is omitted if the event before has the same.
pub(crate) fn new_event(stream: &str, event: &NewEvent, before: Option<&str>) -> v1::NewEvent {
    v1::NewEvent {
        stream: (before != Some(stream)).then(|| stream.to_owned()),
        id: event.id.map(id_bytes),
        r#type: event.event_type.clone(),
        event_time: event.event_time.map(|time| time.0),
        correlation: event.correlation.clone(),
        causation: event.causation.clone(),
        tags: event.tags.iter().map(|(key, value)| tag(key, value)).collect(),
        content_type: (event.content_type != BYTES).then(|| event.content_type.clone()),
        schema_version: event.schema_version.into(),
        metadata: event.metadata.clone(),
        data: event.data.clone(),
    }
}

/// Reads a new event and its stream; `None` is the stream of the event before.
pub(crate) fn received(event: v1::NewEvent) -> Result<(Option<String>, NewEvent), Invalid> {
    let new = NewEvent {
        id: event.id.map(|bytes| id(&bytes)).transpose()?,
        event_type: event.r#type,
        event_time: event.event_time.map(Timestamp),
        correlation: event.correlation,
        causation: event.causation,
        tags: event.tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
        content_type: event.content_type.unwrap_or_else(|| BYTES.to_owned()),
        schema_version: schema_version(event.schema_version)?,
        metadata: event.metadata,
        data: event.data,
    };
    Ok((event.stream, new))
}

impl From<&Recorded> for v1::RecordedEvent {
    fn from(event: &Recorded) -> Self {
        v1::RecordedEvent {
            position: event.position(),
            stream: event.stream().to_owned(),
            version: event.version(),
            id: id_bytes(event.id()),
            r#type: event.event_type().to_owned(),
            commit_time: event.commit_time().0,
            event_time: event.event_time_given().then_some(event.event_time().0),
            correlation: event.correlation().map(str::to_owned),
            causation: event.causation().map(str::to_owned),
            tags: event.tags().map(|(key, value)| tag(key, value)).collect(),
            content_type: event.content_type().to_owned(),
            schema_version: event.schema_version().into(),
            metadata: event.metadata(),
            data: event.data(),
            ordinal: event.ordinal(),
        }
    }
}

/// Reads an event that a server stored.
///
/// # Errors
/// `protocol_error`: the message is not an event.
pub fn recorded(event: v1::RecordedEvent) -> Result<Recorded, Failure> {
    let wrong = |invalid: Invalid| answer(&invalid.message);
    let new = NewEvent {
        id: Some(id(&event.id).map_err(wrong)?),
        event_type: event.r#type,
        event_time: event.event_time.map(Timestamp),
        correlation: event.correlation,
        causation: event.causation,
        tags: event.tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
        content_type: event.content_type,
        schema_version: schema_version(event.schema_version).map_err(wrong)?,
        metadata: event.metadata,
        data: event.data,
    };
    let commit_time = Timestamp(event.commit_time);
    let recorded =
        Recorded::from_parts(&event.stream, event.version, event.position, commit_time, &new)?;
    Ok(match event.ordinal {
        Some(ordinal) => recorded.with_ordinal(ordinal),
        None => recorded,
    })
}

fn tag(key: &str, value: &str) -> v1::Tag {
    v1::Tag { key: key.to_owned(), value: value.to_owned() }
}

pub(crate) fn id_bytes(id: Uuid) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(id.as_bytes())
}

pub(crate) fn id(bytes: &[u8]) -> Result<Uuid, Invalid> {
    if bytes.is_empty() {
        return Err(missing("event id, though its field is there"));
    }
    let wrong = |_| request(format!("an event id has {} bytes; it must have 16", bytes.len()));
    Uuid::from_slice(bytes).map_err(wrong)
}

fn schema_version(version: u32) -> Result<u16, Invalid> {
    let wrong = |_| request(format!("the schema version {version} is larger than 65535"));
    version.try_into().map_err(wrong)
}
