//! How an event becomes a record: what a consumer sees of it.

use leftfold_api::{Recorded, Timestamp};
use leftfold_kafka::{BatchWriter, WrittenRecord};
use smallvec::SmallVec;
use uuid::Uuid;

use super::digits::{Decimal, Rfc3339};
use crate::kafka::produce::kept;
use crate::kafka::topics::Topic;

/// Headers of most records.
const USUAL: usize = 16;

/// The name and the value of a header.
type Header<'a> = (&'a str, Option<&'a [u8]>);

/// What the records of a partition have in common.
pub(super) struct RecordShape<'a> {
    pub(super) topic: &'a Topic,
    /// The value of the header `ce_source`.
    pub(super) source: &'a str,
    /// The key of the stream of records without a key, if the topic is written to.
    pub(super) keyless: Option<&'a str>,
}

impl RecordShape<'_> {
    /// Adds the record of an event to a batch, unless it would become larger than `most` and has records already. Returns
    /// whether it was added.
    pub(super) fn add(
        &self,
        batch: &mut BatchWriter<'_>,
        offset: i64,
        event: &Recorded,
        most: usize,
    ) -> bool {
        let (metadata, data) = (event.metadata(), event.data());
        let sent = kept::read(&metadata);
        let (mut id, mut version, mut position, mut time) =
            (Uuid::encode_buffer(), Decimal::default(), Decimal::default(), Rfc3339::default());
        let mut headers: SmallVec<[Header<'_>; USUAL]> = SmallVec::new();
        let has = |name: &str| sent.as_ref().is_some_and(|sent| sent.has(name));
        headers.push(("ce_specversion", Some(b"1.0")));
        let id = event.id().hyphenated().encode_lower(&mut id);
        headers.push(("ce_id", Some(id.as_bytes())));
        headers.push(("ce_type", Some(event.event_type().as_bytes())));
        if !has("ce_source") {
            headers.push(("ce_source", Some(self.source.as_bytes())));
        }
        if !has("ce_subject") {
            headers.push(("ce_subject", Some(event.stream().as_bytes())));
        }
        headers.push(("ce_time", Some(time.write(event.event_time()))));
        headers.push(("content-type", Some(event.content_type().as_bytes())));
        headers.push(("stream-version", Some(version.write(event.version()))));
        headers.push(("position", Some(position.write(event.position()))));
        if let Some(correlation) = event.correlation() {
            headers.push(("correlation-id", Some(correlation.as_bytes())));
        }
        if let Some(causation) = event.causation() {
            headers.push(("causation-id", Some(causation.as_bytes())));
        }
        headers.extend(event.tag_texts().map(|tag| ("tag", Some(tag.as_bytes()))));
        match &sent {
            Some(sent) => headers.extend(sent.headers()),
            None if metadata.is_empty() => {}
            None => headers.push(("metadata", Some(&metadata))),
        }
        let key = self.topic.key_of(event);
        let is_tombstone = sent.as_ref().is_some_and(kept::Kept::is_tombstone);
        let record = WrittenRecord {
            timestamp: millis(event.event_time()),
            key: (self.keyless != Some(&*key)).then_some(key.as_bytes()),
            value: (!is_tombstone).then_some(&data[..]),
            headers: &headers,
        };
        if !batch.is_empty() && batch.len() + BatchWriter::room_of(&record) > most {
            return false;
        }
        batch.add(offset, &record);
        true
    }
}

/// Returns the milliseconds since 1970.
pub(in crate::kafka) fn millis(time: Timestamp) -> i64 {
    time.0.div_euclid(1_000)
}
