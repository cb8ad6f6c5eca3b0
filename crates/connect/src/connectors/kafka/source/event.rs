//! The event of a record.

use bytes::Bytes;
use leftfold_api::{BYTES, JSON, NewEvent, Timestamp, names};
use leftfold_kafka::{Partition, StoredRecord};
use serde_json::{Value, json};
use uuid::Uuid;

/// The type of an event whose record names none.
const UNNAMED: &str = "Record";

/// Makes events of records.
pub(super) struct EventMaker {
    pub(super) topic: String,
    pub(super) stream: String,
    pub(super) fixed_type: Option<String>,
    /// The namespace of the ids of a topic's records.
    pub(super) namespace: Uuid,
}

/// Checks the rule for the names of streams.
pub(super) fn check_stream(rule: &str) -> Result<(), String> {
    let known = ["{topic}", "{key}", "{partition}"];
    let rest = known.iter().fold(rule.to_owned(), |rest, field| rest.replace(field, ""));
    if rest.contains(['{', '}']) {
        return Err(format!("stream: {rule:?} has a brace that is not in {}", known.join(", ")));
    }
    match rest.starts_with('$') || rule.is_empty() {
        true => Err(format!("stream: {rule:?} is no name of a stream")),
        false => Ok(()),
    }
}

impl EventMaker {
    /// Returns the stream and the event of a record; the error says what is wrong with it.
    pub(super) fn make(
        &self,
        partition: &Partition,
        stored: &StoredRecord,
    ) -> Result<(String, NewEvent), String> {
        let stream = self.stream_of(partition, stored)?;
        let data = stored.record.value.clone().unwrap_or_default();
        let event_type = match (&self.fixed_type, text(stored, "ce_type")?, text(stored, "type")?) {
            (Some(fixed), _, _) => fixed.clone(),
            (None, Some(named), _) | (None, None, Some(named)) => named,
            (None, None, None) => UNNAMED.to_owned(),
        };
        names::check_new("type", &event_type).map_err(|wrong| wrong.message)?;
        let mut event = NewEvent::new(event_type, data);
        event.id = Some(self.id_of(partition, stored)?);
        event.event_time = time_of(stored)?;
        event.content_type = match text(stored, "content-type")? {
            Some(content_type) => content_type,
            None if is_json(&event.data) => JSON.to_owned(),
            None => BYTES.to_owned(),
        };
        event.correlation = text(stored, "correlation-id")?;
        event.causation = text(stored, "causation-id")?;
        for (_, value) in stored.record.headers.iter().filter(|(name, _)| *name == "tag") {
            let tag = std::str::from_utf8(value).ok().and_then(|tag| tag.split_once('='));
            let (key, value) = tag.ok_or("its header tag is not key=value")?;
            event.tags.push((key.to_owned(), value.to_owned()));
        }
        event.metadata = match stored.record.find_header(b"metadata") {
            Some(metadata) => metadata.clone(),
            None => origin_of(partition, stored),
        };
        Ok((stream, event))
    }

    fn stream_of(&self, partition: &Partition, stored: &StoredRecord) -> Result<String, String> {
        let number = partition.number.to_string();
        let key = match &stored.record.key {
            Some(key) => std::str::from_utf8(key)
                .map_err(|_| "its key is not UTF-8: a key is a part of the name of a stream")?
                .to_owned(),
            None => format!("p{number}"),
        };
        // The key comes last, since it may have braces.
        let stream = self.stream.replace("{topic}", &self.topic).replace("{partition}", &number);
        let stream = stream.replace("{key}", &key);
        names::check_new("stream", &stream).map_err(|wrong| wrong.message)?;
        // Those of Leftfold itself say which connectors there are, and more.
        if names::is_bookkeeping(&stream) {
            return Err(format!("the stream {stream} belongs to the store itself"));
        }
        Ok(stream)
    }

    /// Returns the id that the record names, or one of its place. So a record that is read twice is stored once.
    fn id_of(&self, partition: &Partition, stored: &StoredRecord) -> Result<Uuid, String> {
        let Some(named) = text(stored, "ce_id")? else {
            let place = format!("{}:{}", partition.number, stored.offset);
            return Ok(Uuid::new_v5(&self.namespace, place.as_bytes()));
        };
        if let Ok(id) = Uuid::parse_str(&named) {
            return Ok(id);
        }
        // An id of CloudEvents is unique among those of its source.
        let source = text(stored, "ce_source")?.unwrap_or_default();
        Ok(Uuid::new_v5(&super::NAMESPACE, format!("{source}\n{named}").as_bytes()))
    }
}

fn text(stored: &StoredRecord, name: &str) -> Result<Option<String>, String> {
    let Some(value) = stored.record.find_header(name.as_bytes()) else { return Ok(None) };
    match std::str::from_utf8(value) {
        Ok("") => Ok(None),
        Ok(text) => Ok(Some(text.to_owned())),
        Err(_) => Err(format!("its header {name} is not UTF-8")),
    }
}

/// Returns the time of CloudEvents, or the record's timestamp; `None` if it has neither.
fn time_of(stored: &StoredRecord) -> Result<Option<Timestamp>, String> {
    if let Some(time) = text(stored, "ce_time")?.and_then(|time| time.parse().ok()) {
        return Ok(Some(time));
    }
    if stored.timestamp < 0 {
        return Ok(None);
    }
    let time = Timestamp(stored.timestamp.saturating_mul(1_000)).checked();
    time.map(Some).map_err(|wrong| wrong.message)
}

fn is_json(data: &[u8]) -> bool {
    matches!(data.trim_ascii_start().first(), Some(b'{' | b'['))
        && serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok()
}

/// Returns where a record is from, as metadata.
fn origin_of(partition: &Partition, stored: &StoredRecord) -> Bytes {
    let (topic, number, offset) = (&*partition.topic, partition.number, stored.offset);
    let mut origin = json!({ "topic": topic, "partition": number, "offset": offset });
    if let (None, Value::Object(fields)) = (&stored.record.value, &mut origin) {
        fields.insert("tombstone".to_owned(), true.into());
    }
    json!({ "kafka": origin }).to_string().into()
}

#[cfg(test)]
mod tests {
    use leftfold_kafka::Record;

    use super::*;

    fn make(record: Record) -> Result<(String, NewEvent), String> {
        let maker = EventMaker {
            topic: "orders".to_owned(),
            stream: "{topic}-{key}".to_owned(),
            fixed_type: None,
            namespace: Uuid::nil(),
        };
        let stored = StoredRecord { offset: 7, timestamp: 1_500, record };
        maker.make(&Partition::new("orders", 2), &stored)
    }

    fn keyed(key: &'static str) -> Record {
        Record { key: Some(key.into()), ..Record::new("{}") }
    }

    #[test]
    fn headers_say_what_an_event_is() {
        let record = keyed("1")
            .header("ce_type", "Placed")
            .header("ce_id", "00000000-0000-0000-0000-000000000007")
            .header("tag", "shop=berlin")
            .header("correlation-id", "c-1");
        let (stream, event) = make(record).unwrap();
        assert_eq!((stream.as_str(), event.event_type.as_str()), ("orders-1", "Placed"));
        assert_eq!(event.id, Some(Uuid::from_u128(7)));
        assert_eq!(event.event_time, Some(Timestamp(1_500_000)));
        assert_eq!(event.tags, [("shop".to_owned(), "berlin".to_owned())]);
        assert_eq!(
            (event.content_type.as_str(), event.correlation.as_deref()),
            (JSON, Some("c-1"))
        );
    }

    #[test]
    fn a_key_names_no_stream_of_the_store_itself() {
        let maker = EventMaker {
            topic: "leftfold.connector".to_owned(),
            stream: "{topic}-{key}".to_owned(),
            fixed_type: None,
            namespace: Uuid::nil(),
        };
        let stored = StoredRecord { offset: 0, timestamp: 0, record: keyed("hook") };
        let refused = maker.make(&Partition::new("t", 0), &stored).unwrap_err();
        assert!(refused.contains("leftfold.connector-hook belongs to the store"), "{refused}");
    }

    #[test]
    fn a_record_without_headers_has_a_name_and_an_id_of_its_place() {
        let (stream, event) = make(Record::default()).unwrap();
        assert_eq!((stream.as_str(), event.event_type.as_str()), ("orders-p2", "Record"));
        assert_eq!(event.id, Some(Uuid::new_v5(&Uuid::nil(), b"2:7")));
        let metadata: Value = serde_json::from_slice(&event.metadata).unwrap();
        assert_eq!(metadata["kafka"]["offset"], 7);
        assert_eq!(metadata["kafka"]["tombstone"], true);
        // An id of another kind is that of its source.
        let of = |source: &'static str| {
            make(keyed("1").header("ce_id", "A7").header("ce_source", source)).unwrap().1.id
        };
        assert!(of("shop") == of("shop") && of("shop") != of("bank"));
    }

    #[test]
    fn what_is_no_event_is_refused_with_a_reason() {
        let bytes = Record { key: Some(vec![0xff].into()), ..Record::new("{}") };
        for (record, part) in [
            (bytes, "its key is not UTF-8"),
            (keyed("a\nb"), "not a name"),
            (keyed("1").header("tag", "berlin"), "not key=value"),
            (keyed("1").header("type", vec![0xff]), "header type is not UTF-8"),
        ] {
            let refused = make(record).unwrap_err();
            assert!(refused.contains(part), "{refused}");
        }
        assert!(check_stream("orders-{key}").is_ok());
        for wrong in ["{offset}", "x-{", "$x-{key}", ""] {
            assert!(check_stream(wrong).is_err(), "{wrong}");
        }
    }
}
