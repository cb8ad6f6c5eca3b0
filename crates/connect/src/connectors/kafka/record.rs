//! The record of an event.

use std::collections::BTreeMap;

use bytes::Bytes;
use leftfold_api::names;
use leftfold_kafka::Record;
use serde::Deserialize;

use crate::connectors::template::{EventFields, Template};

/// The longest name of a topic.
const MOST_TOPIC: usize = 249;
/// The bytes of a record beside its key, value and headers, at most.
const OVERHEAD: usize = 40;
const OVERHEAD_OF_HEADER: usize = 10;

/// The headers that a record has by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Shape {
    /// Those of CloudEvents, as the store's own interface for clients of Kafka has them.
    #[default]
    CloudEvents,
    /// Those of Debezium's outbox event router.
    Debezium,
    /// None.
    Plain,
}

/// What a record is made of.
#[derive(Debug, Clone)]
pub(super) struct Composer {
    pub(super) topic: Template,
    pub(super) key: Template,
    pub(super) shape: Shape,
    pub(super) source: String,
    pub(super) headers: BTreeMap<String, Template>,
}

/// A record, and the topic to which it goes.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) topic: String,
    pub(super) record: Record,
}

impl Composer {
    /// Returns the record of an event; the error says what the event has not.
    pub(super) fn compose(&self, fields: &EventFields<'_>) -> Result<Outgoing, String> {
        let topic = self.topic.render(fields)?;
        check_topic(&topic)?;
        let key = self.key.render(fields)?;
        let mut record = Record::new(fields.event.data());
        record.key = Some(Bytes::from(key));
        record = match self.shape {
            Shape::CloudEvents => self.as_cloud_event(record, fields),
            Shape::Debezium => as_outbox(record, fields),
            Shape::Plain => record,
        };
        for (name, template) in &self.headers {
            record = record.header(name.clone(), template.render(fields)?);
        }
        Ok(Outgoing { topic, record })
    }

    fn as_cloud_event(&self, record: Record, fields: &EventFields<'_>) -> Record {
        let event = fields.event;
        let mut record = record
            .header("ce_specversion", "1.0")
            .header("ce_id", event.id().to_string())
            .header("ce_type", event.event_type().to_owned())
            .header("ce_source", self.source.clone())
            .header("ce_subject", event.stream().to_owned())
            .header("ce_time", event.event_time().to_string())
            .header("content-type", event.content_type().to_owned())
            .header("stream-version", event.version().to_string())
            .header("position", event.position().to_string());
        if let Some(id) = event.correlation() {
            record = record.header("correlation-id", id.to_owned());
        }
        if let Some(id) = event.causation() {
            record = record.header("causation-id", id.to_owned());
        }
        for tag in event.tag_texts() {
            record = record.header("tag", tag.to_owned());
        }
        record
    }
}

fn as_outbox(record: Record, fields: &EventFields<'_>) -> Record {
    let event = fields.event;
    record
        .header("id", event.id().to_string())
        .header("eventType", event.event_type().to_owned())
        .header("aggregateType", names::category_of(event.stream()).to_owned())
        .header("aggregateId", names::id_of(event.stream()).to_owned())
}

/// Checks the name of a topic.
pub(super) fn check_topic(name: &str) -> Result<(), String> {
    let is_fit = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    match (1..=MOST_TOPIC).contains(&name.len())
        && name.chars().all(is_fit)
        && !matches!(name, "." | "..")
    {
        true => Ok(()),
        false => Err(format!(
            "{name:?} is no name of a topic: expected 1 to {MOST_TOPIC} letters, digits, dots, - and _"
        )),
    }
}

/// Returns the bytes that a record takes in a batch, at most.
pub(super) fn room_of(record: &Record) -> usize {
    let bytes = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
    let headers = record.headers.iter();
    let headers = headers.map(|(name, value)| OVERHEAD_OF_HEADER + name.len() + value.len());
    OVERHEAD + bytes(&record.key) + bytes(&record.value) + headers.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use leftfold_api::NewEvent;
    use leftfold_fold::react::Cause;

    use super::*;

    fn compose(topic: &str, shape: Shape) -> Result<Outgoing, String> {
        let new =
            NewEvent::json("Paid", r#"{"user":"ada"}"#).tag("shop", "berlin").correlation("c-1");
        let event = Cause::of_new("order-7", new).event;
        let composer = Composer {
            topic: Template::parse(topic)?,
            key: Template::parse("{data.user}")?,
            shape,
            source: "shop".to_owned(),
            headers: [("x-kind".to_owned(), Template::parse("{category}/{type}")?)].into(),
        };
        composer.compose(&EventFields::new(&event))
    }

    fn header(record: &Record, name: &str) -> Option<String> {
        let value = record.find_header(name.as_bytes())?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    #[test]
    fn a_record_has_the_headers_of_its_shape_and_those_of_templates() {
        let Outgoing { topic, record } = compose("{category}.events", Shape::CloudEvents).unwrap();
        assert_eq!((topic.as_str(), record.key.as_deref()), ("order.events", Some(&b"ada"[..])));
        assert_eq!(record.value.as_deref(), Some(&br#"{"user":"ada"}"#[..]));
        for (name, value) in [
            ("ce_specversion", "1.0"),
            ("ce_type", "Paid"),
            ("ce_source", "shop"),
            ("ce_subject", "order-7"),
            ("content-type", "application/json"),
            ("stream-version", "0"),
            ("correlation-id", "c-1"),
            ("tag", "shop=berlin"),
            ("x-kind", "order/Paid"),
        ] {
            assert_eq!(header(&record, name).as_deref(), Some(value), "{name}");
        }
        assert_eq!(header(&record, "causation-id"), None);

        let Outgoing { record, .. } = compose("outbox", Shape::Debezium).unwrap();
        for (name, value) in
            [("eventType", "Paid"), ("aggregateType", "order"), ("aggregateId", "7")]
        {
            assert_eq!(header(&record, name).as_deref(), Some(value), "{name}");
        }
        assert_eq!(header(&record, "id").map(|id| id.len()), Some(36));

        let Outgoing { record, .. } = compose("plain", Shape::Plain).unwrap();
        assert_eq!(record.headers.len(), 1);
    }

    #[test]
    fn a_topic_whose_name_does_not_fit_is_refused() {
        for topic in ["{data.user} x", "{tag.shop}/x", "{data.none?}"] {
            let refused = compose(topic, Shape::Plain).unwrap_err();
            assert!(refused.contains("no name of a topic"), "{refused}");
        }
        assert!(compose("{data.none}", Shape::Plain).unwrap_err().contains("no data.none"));
    }
}
