//! How a record becomes an event.

use leftfold_api::{Expected, Invalid, JSON, NewEvent, Timestamp, names};
use leftfold_kafka::StoredRecord;
use serde::de::IgnoredAny;
use uuid::Uuid;

use super::kept::{self, Kept};
use crate::kafka::fetch::millis;
use crate::kafka::topics::Topic;

/// The type of an event whose record names none.
const UNNAMED: &str = "Record";
/// The header with the state in which its stream must be.
pub(super) const EXPECTED: &str = "expected-version";
/// Headers that the server makes itself.
const MADE: [&str; 3] = ["ce_specversion", "stream-version", "position"];

/// An event to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) stream: String,
    pub(super) event: NewEvent,
    /// The state in which the stream must be before this record.
    pub(super) expected: Option<Expected>,
    /// Whether its producer has given it an id.
    pub(super) has_id: bool,
}

/// What the records of a batch have in common.
pub(super) struct RecordReader<'a> {
    pub(super) topic: &'a Topic,
    pub(super) partition: u32,
    /// The key of the stream for records without a key.
    pub(super) keyless: &'a str,
    /// The value of `ce_source` that the server makes itself.
    pub(super) source: &'a str,
}

impl RecordReader<'_> {
    /// Reads a record.
    ///
    /// # Errors
    /// Why it can't be appended.
    pub(super) fn read(&self, stored: &StoredRecord) -> Result<Received, String> {
        let stream = self.stream(stored.record.key.as_deref())?;
        names::check_new("stream", &stream).map_err(told)?;
        let mut reading = Reading::new();
        for (name, value) in &stored.record.headers {
            let name = std::str::from_utf8(name)
                .map_err(|_| "the name of a header is not UTF-8".to_owned())?;
            reading.header(name, value)?;
        }
        let Reading { mut event, mut kept, expected, time, metadata, source, subject } = reading;
        if let Some(source) = source.filter(|source| source != self.source) {
            kept.push("ce_source", source.as_bytes());
        }
        if let Some(subject) = subject.filter(|subject| *subject != stream) {
            kept.push("ce_subject", subject.as_bytes());
        }
        if event.event_type.is_empty() {
            UNNAMED.clone_into(&mut event.event_type);
        }
        names::check_new("type", &event.event_type).map_err(told)?;
        event.event_time = event_time(stored.timestamp, time)?;
        match &stored.record.value {
            Some(value) => event.data = value.clone(),
            None => kept.set_tombstone(),
        }
        if event.content_type.is_empty() {
            let is_json = is_json(&event.data);
            event.content_type = if is_json { JSON } else { leftfold_api::BYTES }.to_owned();
        }
        // What looks like the headers of a record is kept as one of them.
        let is_plain = metadata.as_deref().is_none_or(|metadata| kept::read(metadata).is_none());
        match (kept.is_empty() && is_plain, metadata) {
            (true, metadata) => event.metadata = metadata.unwrap_or_default(),
            (false, metadata) => {
                if let Some(metadata) = metadata {
                    kept.push("metadata", &metadata);
                }
                let metadata = kept.into_metadata();
                event.metadata =
                    metadata.map_err(|error| format!("its headers can't be kept: {error}"))?;
            }
        }
        let has_id = event.id.is_some();
        Ok(Received { stream, event, expected, has_id })
    }

    fn stream(&self, key: Option<&[u8]>) -> Result<String, String> {
        let topic = self.topic;
        let key = match key {
            None => self.keyless,
            Some(key) => std::str::from_utf8(key).map_err(|_| {
                "its key is not UTF-8: a key is a part of the name of a stream".to_owned()
            })?,
        };
        let partition = topic.partition_of(key);
        if partition != self.partition && topic.has_other_key(key) {
            return Err(format!(
                "its key {key:?} has text in braces, which alone decides the partition of its stream: it belongs to \
                 partition {partition}, found {}; send it there explicitly, or use a key without braces",
                self.partition
            ));
        }
        if partition != self.partition {
            let partitioner = topic.partitioner();
            return Err(format!(
                "its key belongs to partition {partition}, since the topic's partitioner is {partitioner}: in Java, \
                 kafka-python, kafkajs and franz-go that is murmur2, their default; with librdkafka set \
                 partitioner=murmur2_random, or create the topic with leftfold.partitioner=crc32"
            ));
        }
        topic.stream_of(key).ok_or_else(|| {
            let prefix = topic.prefix.as_deref().unwrap_or_default();
            format!("its key {key:?} is not the name of a stream of the topic, which begins with {prefix}")
        })
    }
}

/// A record whose headers are being read.
struct Reading {
    event: NewEvent,
    kept: Kept,
    expected: Option<Expected>,
    time: Option<Timestamp>,
    metadata: Option<bytes::Bytes>,
    source: Option<String>,
    subject: Option<String>,
}

impl Reading {
    fn new() -> Self {
        let mut event = NewEvent::new("", "");
        event.content_type.clear();
        Reading {
            event,
            kept: Kept::default(),
            expected: None,
            time: None,
            metadata: None,
            source: None,
            subject: None,
        }
    }

    fn header(&mut self, name: &str, value: &bytes::Bytes) -> Result<(), String> {
        let text = || {
            let text = std::str::from_utf8(value).map(str::to_owned);
            text.map_err(|_| format!("its header {name} is not UTF-8"))
        };
        match name {
            "ce_id" => self.event.id = Some(uuid(&text()?)?),
            "ce_type" => self.event.event_type = text()?,
            "type" if self.event.event_type.is_empty() => self.event.event_type = text()?,
            "content-type" => self.event.content_type = text()?,
            "correlation-id" => self.event.correlation = Some(text()?),
            "causation-id" => self.event.causation = Some(text()?),
            "tag" => {
                let tag = text()?;
                let tag = tag.split_once('=').ok_or("its header tag is not key=value")?;
                self.event.tags.push((tag.0.to_owned(), tag.1.to_owned()));
            }
            "metadata" if self.metadata.is_none() => self.metadata = Some(value.clone()),
            "ce_time" => self.time = text()?.parse().ok(),
            "ce_source" if self.source.is_none() => self.source = Some(text()?),
            "ce_subject" if self.subject.is_none() => self.subject = Some(text()?),
            EXPECTED => self.expected = Some(expected(&text()?)?),
            made if MADE.contains(&made) => {}
            _ => self.kept.push(name, value),
        }
        Ok(())
    }
}

fn told(invalid: Invalid) -> String {
    invalid.to_string()
}

fn uuid(text: &str) -> Result<Uuid, String> {
    text.parse().map_err(|_| format!("its header ce_id {text:?} is not a UUID"))
}

/// Reads the state that a record expects of its stream.
fn expected(text: &str) -> Result<Expected, String> {
    match text {
        "no-stream" => Ok(Expected::NoStream),
        "exists" => Ok(Expected::Exists),
        number => number.parse().map(Expected::Exactly).map_err(|_| {
            format!("its header {EXPECTED} is {number:?}: it can be a number, no-stream or exists")
        }),
    }
}

/// Returns the time of an event, more exactly if a header says so.
fn event_time(timestamp: i64, exactly: Option<Timestamp>) -> Result<Option<Timestamp>, String> {
    /// The time of a record without one.
    const NONE: i64 = -1;
    if timestamp == NONE {
        return Ok(exactly);
    }
    if let Some(exactly) = exactly.filter(|exactly| millis(*exactly) == timestamp) {
        return Ok(Some(exactly));
    }
    let time = Timestamp(timestamp.saturating_mul(1_000)).checked();
    time.map(Some).map_err(told)
}

/// Whether a value is a JSON object or array.
fn is_json(value: &[u8]) -> bool {
    matches!(value.first(), Some(b'{' | b'['))
        && serde_json::from_slice::<IgnoredAny>(value).is_ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use leftfold_api::{IndexDefinition, IndexInfo};
    use leftfold_kafka::Record;

    use super::*;
    use crate::kafka::topics::default_query;

    fn topic() -> Topic {
        let (query, key) = default_query("order");
        let IndexDefinition { name, query, partitioning } =
            IndexDefinition::new("order", query).partitioned(1, key);
        Topic::of(IndexInfo { name, query, partitioning, ready: true, events: 0 })
    }

    fn read(record: Record) -> Result<Received, String> {
        let reader =
            RecordReader { topic: &topic(), partition: 0, keyless: "p0", source: "leftfold" };
        reader.read(&StoredRecord { offset: 0, timestamp: 1_500, record })
    }

    fn keyed(value: &'static str) -> Record {
        Record { key: Some(Bytes::from_static(b"7")), ..Record::new(value) }
    }

    #[test]
    fn headers_become_the_fields_of_an_event() {
        let id = "0190163d-8694-739b-aea5-966c26f8ad91";
        let record = keyed("{\"n\":1}")
            .header("ce_id", id)
            .header("type", "ignored")
            .header("ce_type", "Paid")
            .header("correlation-id", "c")
            .header("causation-id", "d")
            .header("tag", "customer=42=x")
            .header("ce_time", "1970-01-01T00:00:01.500123Z")
            .header("metadata", "m")
            .header("position", "9")
            .header("expected-version", "no-stream");
        let received = read(record).unwrap();
        let event = NewEvent::json("Paid", "{\"n\":1}")
            .id(id.parse().unwrap())
            .event_time(Timestamp(1_500_123))
            .correlation("c")
            .causation("d")
            .tag("customer", "42=x")
            .metadata("m");
        assert_eq!(
            received,
            Received {
                stream: "order-7".into(),
                event,
                expected: Some(Expected::NoStream),
                has_id: true
            }
        );
    }

    #[test]
    fn what_an_event_has_not_is_kept() {
        let record = Record { value: None, ..keyed("") };
        let record =
            record.header("trace", "t").header("ce_source", "shop").header("metadata", "m");
        let received = read(record).unwrap();
        let kept = kept::read(&received.event.metadata).unwrap();
        assert!(kept.is_tombstone());
        let headers: Vec<_> = kept.headers().map(|(name, value)| (name, value.unwrap())).collect();
        assert_eq!(headers, [("trace", &b"t"[..]), ("ce_source", b"shop"), ("metadata", b"m")]);
    }

    #[test]
    fn a_plain_record_is_an_event_without_more() {
        let received = read(Record::new("text")).unwrap();
        let event = NewEvent::new("Record", "text").event_time(Timestamp(1_500_000));
        assert_eq!(
            received,
            Received { stream: "order-p0".into(), event, expected: None, has_id: false }
        );
    }

    #[test]
    fn a_key_with_braces_is_refused_where_they_lead_elsewhere() {
        let definition = IndexDefinition::new("order", leftfold_api::Query::category("order"))
            .partitioned(8, leftfold_api::PartitionKey::StoreKey);
        let IndexDefinition { name, query, partitioning } = definition;
        let topic = Topic::of(IndexInfo { name, query, partitioning, ready: true, events: 0 });
        let read = |key: &'static str, partition| {
            let reader = RecordReader { topic: &topic, partition, keyless: "p", source: "x" };
            let record =
                Record { key: Some(Bytes::from_static(key.as_bytes())), ..Record::new("") };
            let stored = StoredRecord { offset: 0, timestamp: 0, record };
            reader.read(&stored).map(|received| received.stream)
        };
        let home = topic.partition_of("ada");
        assert_eq!(read("7-{ada}", home).unwrap(), "order-7-{ada}");
        let refused = read("7-{ada}", (home + 1) % 8).unwrap_err();
        assert!(refused.contains("has text in braces"), "{refused}");
        assert!(read("ada", (home + 1) % 8).unwrap_err().contains("partitioner is murmur2"));
    }

    #[test]
    fn wrong_records_are_refused_with_a_reason() {
        for (record, reason) in [
            (keyed("").header("ce_id", "7"), "not a UUID"),
            (keyed("").header("expected-version", "-1"), "can be a number"),
            (keyed("").header("tag", "x"), "not key=value"),
            (keyed("").header("type", "$x"), "begins with $"),
            (keyed("").header("type", Bytes::from_static(&[0xff])), "not UTF-8"),
            (Record { key: Some(Bytes::from_static(&[0xff])), ..Record::new("") }, "not UTF-8"),
            (
                Record { key: Some(Bytes::from_static(b"a\nb")), ..Record::new("") },
                "control character",
            ),
        ] {
            let error = read(record).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
