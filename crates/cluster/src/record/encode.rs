use std::fmt::Write;

use bytes::{BufMut, Bytes, BytesMut};
use leftfold_api::record::{DROPPED_TYPE, Field, Layout};
use leftfold_api::{BYTES, Cursor, JSON, Recorded, Timestamp};
use leftfold_kafka::Record;
use uuid::Uuid;

use super::error::EncodeError;
use leftfold_store::OwnAppend;

use super::names;
use crate::ledger::{Mark, STAMP, Stamp};

/// Writes appends as records.
#[derive(Debug, Clone)]
pub struct Encoder {
    source: Bytes,
}

/// Headers of an event without tags, correlation, causation and metadata.
const USUAL_HEADERS: usize = 12;
/// About the bytes of an event's headers that are not parts of its record.
const TEXT_BYTES: usize = 128;

impl Encoder {
    /// Returns an encoder whose events have this `ce_source`, a URI such as `/leftfold/orders`.
    pub fn new(source: impl Into<Bytes>) -> Self {
        Encoder { source: source.into() }
    }

    /// Returns the records of an append. Their stamps are consecutive and begin with `first`.
    ///
    /// # Errors
    /// An event has a part that a record cannot hold. Events that a caller has appended have none.
    pub fn encode(&self, append: &OwnAppend, first: Stamp) -> Result<Vec<Record>, EncodeError> {
        if append.events.is_empty() && append.checkpoints.is_empty() {
            // A barrier.
            return Ok(vec![first.add_to(Record::default())]);
        }
        let count = append.events.len().max(1);
        let mut writer = RecordWriter {
            encoder: self,
            text: BytesMut::with_capacity(TEXT_BYTES * (count + 1)),
            commit_time: append.commit_time,
            commit_text: Bytes::new(),
            first,
            count: count as u64,
        };
        writer.commit_text = writer.time(append.first, append.commit_time)?;
        let mut records = Vec::with_capacity(count);
        if append.events.is_empty() {
            let mut record = Record::default();
            writer.add_append(append, &mut record);
            writer.add_stamp(0, &mut record);
            records.push(record);
        }
        for (index, event) in (0..).zip(&append.events) {
            let mut record = writer.event(event)?;
            if index == 0 {
                writer.add_append(append, &mut record);
            }
            writer.add_stamp(index, &mut record);
            records.push(record);
        }
        Ok(records)
    }
}

/// Writes the records of one append. Texts share one buffer, and names and payloads are slices of the event's record.
struct RecordWriter<'a> {
    encoder: &'a Encoder,
    text: BytesMut,
    commit_time: Timestamp,
    commit_text: Bytes,
    first: Stamp,
    count: u64,
}

impl RecordWriter<'_> {
    fn event(&mut self, event: &Recorded) -> Result<Record, EncodeError> {
        check(event)?;
        let layout = Layout::of(event.record());
        let part = |field| event.record().slice(layout.range(field));
        let mut record = Record {
            key: Some(part(Field::Stream)),
            value: Some(part(Field::Data)),
            headers: Vec::with_capacity(USUAL_HEADERS + layout.tags().count()),
        };
        let mut id = Uuid::encode_buffer();
        self.text.put_slice(event.id().as_hyphenated().encode_lower(&mut id).as_bytes());
        add(&mut record, names::SPEC_VERSION, Bytes::from_static(b"1.0"));
        add(&mut record, names::ID, self.take());
        add(&mut record, names::SOURCE, self.encoder.source.clone());
        add(&mut record, names::TYPE, part(Field::EventType));
        add(&mut record, names::TIME, self.time(event.position(), event.event_time())?);
        add(
            &mut record,
            names::CONTENT_TYPE,
            match part(Field::ContentType) {
                text if !text.is_empty() => text,
                _ if layout.is_json() => Bytes::from_static(JSON.as_bytes()),
                _ => Bytes::from_static(BYTES.as_bytes()),
            },
        );
        self.add_number(names::VERSION, event.version(), &mut record);
        if layout.time_was_given() {
            add(&mut record, names::TIME_ORIGIN, Bytes::from_static(names::GIVEN.as_bytes()));
        }
        if layout.schema_version() != 0 {
            self.add_number(names::SCHEMA, layout.schema_version().into(), &mut record);
        }
        for (name, field) in [
            (names::CORRELATION, Field::Correlation),
            (names::CAUSATION, Field::Causation),
            (names::METADATA, Field::Metadata),
        ] {
            let part = part(field);
            if !part.is_empty() {
                add(&mut record, name, part);
            }
        }
        for tag in layout.tags() {
            add(&mut record, names::TAG, event.record().slice_ref(tag.as_bytes()));
        }
        Ok(record)
    }

    /// Adds what belongs to the whole append.
    fn add_append(&mut self, append: &OwnAppend, record: &mut Record) {
        let mut id = Uuid::encode_buffer();
        let id = Uuid::from_u128(append.append_id).as_simple().encode_lower(&mut id).as_bytes();
        add(record, names::APPEND, Bytes::copy_from_slice(id));
        add(record, names::COMMIT_TIME, self.commit_text.clone());
        for (name, cursor) in &append.checkpoints {
            add(record, names::CHECKPOINT, checkpoint(name, cursor));
        }
    }

    /// Adds the stamp. It is the last header, where a reader looks first.
    fn add_stamp(&mut self, index: u64, record: &mut Record) {
        Mark::write(&mut (&mut self.text).writer(), self.first.after(index), (index, self.count));
        add(record, STAMP, self.take());
    }

    fn add_number(&mut self, name: &'static str, number: u64, record: &mut Record) {
        // A buffer grows, so nothing fails.
        _ = write!(self.text, "{number}");
        add(record, name, self.take());
    }

    /// Returns a time in RFC 3339. Most event times are the commit time.
    fn time(&mut self, position: u64, time: Timestamp) -> Result<Bytes, EncodeError> {
        if time == self.commit_time && !self.commit_text.is_empty() {
            return Ok(self.commit_text.clone());
        }
        let reason = "RFC 3339 cannot write its time";
        let time = time.checked().map_err(|_| EncodeError { position, reason })?;
        _ = write!(self.text, "{time}");
        Ok(self.take())
    }

    /// Returns the text that was written since the last call.
    fn take(&mut self) -> Bytes {
        self.text.split().freeze()
    }
}

fn add(record: &mut Record, name: &'static str, value: Bytes) {
    record.headers.push((Bytes::from_static(name.as_bytes()), value));
}

fn checkpoint(name: &str, cursor: &Cursor) -> Bytes {
    format!("{cursor} {name}").into()
}

/// Checks that no part of an event would be lost.
fn check(event: &Recorded) -> Result<(), EncodeError> {
    let layout = Layout::of(event.record());
    let is_placeholder = event.event_type() == DROPPED_TYPE;
    let reason = if layout.is_lost() {
        "it is the placeholder of an event that was lost by damage"
    } else if layout.is_scavenged() != is_placeholder {
        "its payload was removed"
    } else if !layout.range(Field::Subject).is_empty() {
        "it has a subject"
    } else if !layout.range(Field::Extensions).is_empty() {
        "it has extensions"
    } else {
        return Ok(());
    };
    Err(EncodeError { position: event.position(), reason })
}
