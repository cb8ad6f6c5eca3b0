//! The headers of one record, read once.

use bytes::Bytes;
use leftfold_api::{Cursor, NewEvent, Timestamp, record};
use leftfold_kafka::Record;
use leftfold_store::CommittedEvent;
use uuid::Uuid;

use super::names;
use crate::ledger::split_number;

/// The names of headers as bytes, as they are in records.
mod header {
    use super::names;

    pub(super) const ID: &[u8] = names::ID.as_bytes();
    pub(super) const TYPE: &[u8] = names::TYPE.as_bytes();
    pub(super) const TIME: &[u8] = names::TIME.as_bytes();
    pub(super) const CONTENT_TYPE: &[u8] = names::CONTENT_TYPE.as_bytes();
    pub(super) const VERSION: &[u8] = names::VERSION.as_bytes();
    pub(super) const TIME_ORIGIN: &[u8] = names::TIME_ORIGIN.as_bytes();
    pub(super) const SCHEMA: &[u8] = names::SCHEMA.as_bytes();
    pub(super) const CORRELATION: &[u8] = names::CORRELATION.as_bytes();
    pub(super) const CAUSATION: &[u8] = names::CAUSATION.as_bytes();
    pub(super) const METADATA: &[u8] = names::METADATA.as_bytes();
    pub(super) const APPEND: &[u8] = names::APPEND.as_bytes();
    pub(super) const COMMIT_TIME: &[u8] = names::COMMIT_TIME.as_bytes();
    pub(super) const TAG: &[u8] = names::TAG.as_bytes();
    pub(super) const CHECKPOINT: &[u8] = names::CHECKPOINT.as_bytes();
    pub(super) const STAMP: &[u8] = crate::ledger::STAMP.as_bytes();
}

/// The headers of a record. The last one of a name counts, as in the rule of stamps.
#[derive(Default)]
pub(super) struct Fields<'a> {
    id: Option<&'a Bytes>,
    event_type: Option<&'a Bytes>,
    time: Option<&'a Bytes>,
    content_type: Option<&'a Bytes>,
    version: Option<&'a Bytes>,
    time_origin: Option<&'a Bytes>,
    schema: Option<&'a Bytes>,
    correlation: Option<&'a Bytes>,
    causation: Option<&'a Bytes>,
    metadata: Option<&'a Bytes>,
    append: Option<&'a Bytes>,
    commit_time: Option<&'a Bytes>,
    tags: Vec<(String, String)>,
    checkpoints: Vec<(String, Cursor)>,
}

/// What belongs to a whole append.
pub(super) struct AppendFields<'a> {
    pub(super) append_id: u128,
    pub(super) commit_time: ReadTime<'a>,
    pub(super) checkpoints: Vec<(String, Cursor)>,
}

/// A time and its text. Most event times of an append have the text of its commit time, and are not read again.
#[derive(Clone, Copy)]
pub(super) struct ReadTime<'a> {
    text: &'a Bytes,
    pub(super) time: Timestamp,
}

impl<'a> Fields<'a> {
    /// Reads the headers of a record.
    pub(super) fn read(record: &'a Record) -> Result<Self, String> {
        let mut fields = Fields::default();
        for (name, value) in &record.headers {
            // Other programs may add headers of their own, whose names need not be text.
            let field = match &**name {
                header::ID => &mut fields.id,
                header::TYPE => &mut fields.event_type,
                header::TIME => &mut fields.time,
                header::CONTENT_TYPE => &mut fields.content_type,
                header::VERSION => &mut fields.version,
                header::TIME_ORIGIN => &mut fields.time_origin,
                header::SCHEMA => &mut fields.schema,
                header::CORRELATION => &mut fields.correlation,
                header::CAUSATION => &mut fields.causation,
                header::METADATA => &mut fields.metadata,
                header::APPEND => &mut fields.append,
                header::COMMIT_TIME => &mut fields.commit_time,
                header::TAG => {
                    fields.tags.push(read_tag(value)?);
                    continue;
                }
                header::CHECKPOINT => {
                    fields.checkpoints.push(read_checkpoint(value)?);
                    continue;
                }
                header::STAMP => continue,
                own if own.starts_with(names::OWN.as_bytes()) => {
                    let own = String::from_utf8_lossy(own);
                    return Err(format!("this release does not know the header {own:?}"));
                }
                _ => continue,
            };
            *field = Some(value);
        }
        Ok(fields)
    }

    /// Whether the record belongs to no append.
    pub(super) fn is_bare(&self) -> bool {
        self.append.is_none() && self.commit_time.is_none() && self.version.is_none()
    }

    /// Whether the record describes an event.
    pub(super) fn has_event(&self) -> bool {
        self.version.is_some() || self.id.is_some()
    }

    /// Reads what an append's first record holds of the append.
    pub(super) fn append(&mut self) -> Result<AppendFields<'a>, String> {
        let id = text(names::APPEND, self.append)?;
        // In 32 digits `Uuid` takes no other form.
        let id = if id.len() == 32 { Uuid::try_parse(id).ok() } else { None };
        let id = id.ok_or_else(|| malformed(names::APPEND, "32 hexadecimal digits"))?;
        Ok(AppendFields {
            append_id: id.as_u128(),
            commit_time: read_time(names::COMMIT_TIME, self.commit_time)?,
            checkpoints: std::mem::take(&mut self.checkpoints),
        })
    }

    /// Whether the record holds something of an append, which only the first record may.
    pub(super) fn has_append(&self) -> bool {
        self.append.is_some() || self.commit_time.is_some() || !self.checkpoints.is_empty()
    }

    /// Reads the event of a record of an append with this commit time.
    pub(super) fn event(
        self,
        key: &Bytes,
        value: Option<&Bytes>,
        commit_time: ReadTime<'_>,
    ) -> Result<CommittedEvent, String> {
        let stream = text("key", Some(key))?.to_owned();
        let event_time = match self.time {
            Some(text) if text == commit_time.text => commit_time.time,
            text => read_time(names::TIME, text)?.time,
        };
        let is_given = match self.time_origin {
            None => false,
            Some(origin) if origin == names::GIVEN => true,
            Some(_) => return Err(malformed(names::TIME_ORIGIN, names::GIVEN)),
        };
        let id = text(names::ID, self.id)?;
        let schema = self.schema.map(|schema| number(names::SCHEMA, Some(schema))).transpose()?;
        let schema = u16::try_from(schema.unwrap_or_default());
        let event = NewEvent {
            id: Some(Uuid::try_parse(id).map_err(|_| malformed(names::ID, "a UUID"))?),
            event_type: text(names::TYPE, self.event_type)?.to_owned(),
            event_time: is_given.then_some(event_time),
            correlation: optional_text(names::CORRELATION, self.correlation)?,
            causation: optional_text(names::CAUSATION, self.causation)?,
            tags: self.tags,
            content_type: text(names::CONTENT_TYPE, self.content_type)?.to_owned(),
            schema_version: schema.map_err(|_| malformed(names::SCHEMA, "at most 65535"))?,
            metadata: self.metadata.cloned().unwrap_or_default(),
            data: value.cloned().ok_or("an event has a value, perhaps an empty one")?,
        };
        if !record::fits(&stream, &event) {
            return Err("a name is too long for an event".to_owned());
        }
        let version = number(names::VERSION, self.version)?;
        Ok(CommittedEvent { stream, version, event_time, event })
    }
}

fn malformed(name: &str, expected: &str) -> String {
    format!("expected in {name} is {expected}")
}

fn missing(name: &str) -> String {
    format!("{name} is missing")
}

fn text<'a>(name: &str, value: Option<&'a Bytes>) -> Result<&'a str, String> {
    let value = value.ok_or_else(|| missing(name))?;
    std::str::from_utf8(value).map_err(|_| malformed(name, "text"))
}

fn optional_text(name: &str, value: Option<&Bytes>) -> Result<Option<String>, String> {
    value.map(|value| text(name, Some(value)).map(str::to_owned)).transpose()
}

fn number(name: &str, value: Option<&Bytes>) -> Result<u64, String> {
    match split_number(text(name, value)?.as_bytes()) {
        Some((number, [])) => Ok(number),
        _ => Err(malformed(name, "a number")),
    }
}

fn read_time<'a>(name: &str, value: Option<&'a Bytes>) -> Result<ReadTime<'a>, String> {
    let time = text(name, value)?.parse().map_err(|_| malformed(name, "a time"))?;
    let text = value.ok_or_else(|| missing(name))?;
    Ok(ReadTime { text, time })
}

fn read_tag(value: &Bytes) -> Result<(String, String), String> {
    let tag = text(names::TAG, Some(value))?.split_once('=');
    let (key, value) = tag.ok_or_else(|| malformed(names::TAG, "key=value"))?;
    Ok((key.to_owned(), value.to_owned()))
}

fn read_checkpoint(value: &Bytes) -> Result<(String, Cursor), String> {
    let expected = || malformed(names::CHECKPOINT, "a cursor, a space and a name");
    let (cursor, name) =
        text(names::CHECKPOINT, Some(value))?.split_once(' ').ok_or_else(expected)?;
    Ok((name.to_owned(), cursor.parse().map_err(|_| expected())?))
}
