//! What requests bring.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use leftfold_api::{
    Append, BYTES, CheckpointMove, Cursor, Expected, JSON, NewEvent, Query, Retention, Timestamp,
    is_json_type,
};
use serde::de::{Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use super::guard::{self, Element, Totals};
use crate::http::problem::Problem;

/// Reads a value that is there, null among them.
fn there<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(from).map(Some)
}

macro_rules! event_to_append {
    ($(#[doc = $doc:literal])+ $name:ident $(, $stream:ident)?) => {
        $(#[doc = $doc])+
        #[derive(Debug, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            $(
                /// The stream.
                #[schema(min_length = 1, max_length = 1024, example = "order-1")]
                $stream: String,
            )?
            /// What kind of event it is.
            #[schema(min_length = 1, max_length = 1024, example = "OrderPlaced")]
            r#type: String,
            /// Names it within its stream for ever: the same id again changes nothing. Made by the
            /// server if not given.
            id: Option<Uuid>,
            /// The event's own JSON, kept as it is written.
            #[serde(default, deserialize_with = "there")]
            #[schema(value_type = Option<serde_json::Value>, example = json!({"total": "9.90"}))]
            data: Option<Box<RawValue>>,
            /// The event's own bytes in base64, instead of `data`.
            #[schema(example = "aGVsbG8=")]
            data_base64: Option<String>,
            /// The media type: `application/json` where there is `data`, else
            /// `application/octet-stream`, unless it is given.
            #[schema(max_length = 1024, example = "application/json")]
            content_type: Option<String>,
            /// JSON about the event.
            #[serde(default, deserialize_with = "there")]
            #[schema(value_type = Option<serde_json::Value>)]
            metadata: Option<Box<RawValue>>,
            /// Bytes about the event in base64, instead of `metadata`.
            metadata_base64: Option<String>,
            /// Pairs to find it by, each `key=value` or `[key, value]`.
            #[serde(default, deserialize_with = "guard::tags")]
            #[schema(max_items = 100, example = json!(["customer=42"]))]
            tags: Vec<Tag>,
            /// What it belongs to: a conversation, a process.
            #[schema(min_length = 1, max_length = 1024)]
            correlation: Option<String>,
            /// What caused it.
            #[schema(min_length = 1, max_length = 1024)]
            causation: Option<String>,
            /// When it happened, such as `2026-03-01T12:00:00Z`; if not given, when it is stored.
            #[schema(format = "date-time")]
            event_time: Option<String>,
            /// The version of the data's shape.
            #[serde(default)]
            schema_version: u16,
        }

        impl Element for $name {
            type Translated = (String, NewEvent);

            fn add_to(&self, totals: &mut Totals) {
                totals.tags += self.tags.len();
            }
        }

        impl $name {
            fn event(self) -> Result<NewEvent, Problem> {
                let has_json = self.data.is_some();
                let content_type = match self.content_type {
                    Some(other) if has_json && !is_json_type(&other) => {
                        let message =
                            format!("data is JSON: give what is {other} as data_base64");
                        return Err(Problem::new("body_invalid", message));
                    }
                    Some(given) => given,
                    None => if has_json { JSON } else { BYTES }.to_owned(),
                };
                let tags = self.tags.into_iter().map(Tag::pair).collect::<Result<_, _>>()?;
                Ok(NewEvent {
                    id: self.id,
                    event_type: self.r#type,
                    event_time: self.event_time.as_deref().map(str::parse::<Timestamp>).transpose()?,
                    correlation: self.correlation,
                    causation: self.causation,
                    tags,
                    content_type,
                    schema_version: self.schema_version,
                    metadata: content("metadata", self.metadata, self.metadata_base64)?,
                    data: content("data", self.data, self.data_base64)?,
                })
            }
        }
    };
}

event_to_append! {
    /// An event yet to be appended.
    EventToAppend, stream
}
event_to_append! {
    /// An event yet to be appended to the stream of the path.
    EventOfStream
}

/// A tag.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum Tag {
    /// As one text.
    #[schema(title = "text")]
    Text(String),
    /// Its key and its value.
    #[schema(title = "pair")]
    Pair([String; 2]),
}

impl Element for Tag {
    type Translated = (String, String);

    fn next_of<'de, A: SeqAccess<'de>>(list: &mut A) -> Result<Option<Self>, A::Error> {
        list.next_element()
    }
}

impl<'de> Deserialize<'de> for Tag {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TagVisitor)
    }
}

/// Takes nothing in that is not a tag, as an untagged enum would.
struct TagVisitor;

impl<'de> Visitor<'de> for TagVisitor {
    type Value = Tag;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tag: \"key=value\" or [\"key\", \"value\"]")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Tag, E> {
        Ok(Tag::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Tag, A::Error> {
        let mut next = |length: usize| {
            pair.next_element()?.ok_or_else(|| Error::invalid_length(length, &self))
        };
        let both = [next(0)?, next(1)?];
        match pair.next_element::<String>()? {
            None => Ok(Tag::Pair(both)),
            Some(_) => Err(Error::invalid_length(3, &self)),
        }
    }
}

impl Tag {
    fn pair(self) -> Result<(String, String), Problem> {
        match self {
            Tag::Pair([key, value]) => Ok((key, value)),
            Tag::Text(tag) => match tag.split_once('=') {
                Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
                None => {
                    let message = format!("tag {tag:?}: a tag is written key=value");
                    Err(Problem::new("tag_invalid", message))
                }
            },
        }
    }
}

fn content(
    name: &str,
    json: Option<Box<RawValue>>,
    base64: Option<String>,
) -> Result<Bytes, Problem> {
    match (json, base64) {
        (None, None) => Ok(Bytes::new()),
        (Some(json), None) => Ok(Bytes::from(String::from(Box::<str>::from(json)))),
        (None, Some(text)) => STANDARD.decode(text).map(Bytes::from).map_err(|wrong| {
            Problem::new("body_invalid", format!("{name}_base64 is not base64: {wrong}"))
        }),
        (Some(_), Some(_)) => {
            let message = format!("give {name} or {name}_base64, not both");
            Err(Problem::new("body_invalid", message))
        }
    }
}

/// Where a stream is expected to be: `any`, `no-stream`, `exists`, or its last version.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Expectation {
    /// Its last version.
    #[schema(title = "version")]
    Version(u64),
    /// Without a version.
    #[schema(title = "word")]
    Word(ExpectationWord),
}

impl<'de> Deserialize<'de> for Expectation {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ExpectationVisitor)
    }
}

/// Takes nothing in that is not an expectation, as an untagged enum would.
struct ExpectationVisitor;

impl Visitor<'_> for ExpectationVisitor {
    type Value = Expectation;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any, no-stream, exists, or a version such as 3")
    }

    fn visit_u64<E: Error>(self, version: u64) -> Result<Expectation, E> {
        Ok(Expectation::Version(version))
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Expectation, E> {
        Ok(Expectation::Word(match word {
            "any" => ExpectationWord::Any,
            "no-stream" => ExpectationWord::NoStream,
            "exists" => ExpectationWord::Exists,
            _ => return Err(E::invalid_value(Unexpected::Str(word), &self)),
        }))
    }
}

/// Where a stream is expected to be, without a version.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ExpectationWord {
    /// Anywhere.
    Any,
    /// It has no events.
    NoStream,
    /// It has events.
    Exists,
}

impl From<Expectation> for Expected {
    fn from(expectation: Expectation) -> Self {
        match expectation {
            Expectation::Version(version) => Expected::Exactly(version),
            Expectation::Word(ExpectationWord::Any) => Expected::Any,
            Expectation::Word(ExpectationWord::NoStream) => Expected::NoStream,
            Expectation::Word(ExpectationWord::Exists) => Expected::Exists,
        }
    }
}

/// An expectation's text in a path's parameters.
pub(crate) fn expected(text: Option<&str>) -> Result<Expected, Problem> {
    Ok(match text {
        None | Some("any") => Expected::Any,
        Some("no-stream") => Expected::NoStream,
        Some("exists") => Expected::Exists,
        Some(version) => Expected::Exactly(version.parse().map_err(|_| {
            let message =
                format!("expected={version}: it takes any, no-stream, exists, or a version");
            Problem::new("parameter_invalid", message)
        })?),
    })
}

/// An expectation of a stream, whether or not events are added to it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamExpectation {
    /// The stream.
    #[schema(min_length = 1, max_length = 1024, example = "order-1")]
    stream: String,
    /// Where it is expected.
    expected: Expectation,
}

/// A condition: no event after the cursor matches the query.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoneAfter {
    /// The query.
    #[schema(max_length = 65536, example = "tag:customer=42")]
    query: String,
    /// The cursor; not given means from the beginning.
    #[schema(pattern = "^([0-9a-f]{2}){13,}$")]
    cursor: Option<String>,
}

impl Element for StreamExpectation {
    type Translated = (String, Expected);
}

impl Element for Move {
    type Translated = CheckpointMove;
}

impl Element for NoneAfter {
    type Translated = (Query, Cursor);

    fn add_to(&self, totals: &mut Totals) {
        totals.query_bytes += self.query.len();
    }
}

/// A checkpoint's move from where it is expected.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Move {
    /// Its name.
    #[schema(min_length = 1, max_length = 1024)]
    name: String,
    /// Where it is expected; null, or not given, for not yet set.
    #[schema(pattern = "^([0-9a-f]{2}){13,}$")]
    expected: Option<String>,
    /// Where it goes.
    #[schema(pattern = "^([0-9a-f]{2}){13,}$")]
    to: String,
}

/// A checkpoint's move; its name is in the path.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoveTo {
    /// Where it is expected; null, or not given, for not yet set.
    #[schema(pattern = "^([0-9a-f]{2}){13,}$")]
    expected: Option<String>,
    /// Where it goes.
    #[schema(pattern = "^([0-9a-f]{2}){13,}$")]
    to: String,
}

impl MoveTo {
    pub(crate) fn of(self, name: String) -> Move {
        Move { name, expected: self.expected, to: self.to }
    }
}

/// What is to be written, and on what conditions: all of it happens, or none.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AppendRequest {
    /// The events, in the order in which they are written.
    #[serde(default, deserialize_with = "guard::events")]
    #[schema(max_items = 10000)]
    events: Vec<EventToAppend>,
    /// Where streams are expected. A stream that is not named is expected anywhere.
    #[serde(default, deserialize_with = "guard::conditions")]
    #[schema(max_items = 10000)]
    expect: Vec<StreamExpectation>,
    /// Queries that no event after a cursor may match.
    #[serde(default, deserialize_with = "guard::conditions")]
    #[schema(max_items = 10000)]
    none_after: Vec<NoneAfter>,
    /// Checkpoints that move along.
    #[serde(default, deserialize_with = "guard::conditions")]
    #[schema(max_items = 10000)]
    checkpoints: Vec<Move>,
    /// A named index: the answer has the ordinal of each event in it.
    #[schema(min_length = 1, max_length = 1024)]
    ordinals_in: Option<String>,
}

/// What is to be appended to one stream, and on what conditions.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamAppendRequest {
    /// The events, in the order in which they are written.
    #[serde(deserialize_with = "guard::events")]
    #[schema(max_items = 10000)]
    events: Vec<EventOfStream>,
    /// Where the stream is expected; anywhere, if not given.
    expected: Option<Expectation>,
    /// Queries that no event after a cursor may match.
    #[serde(default, deserialize_with = "guard::conditions")]
    #[schema(max_items = 10000)]
    none_after: Vec<NoneAfter>,
    /// Checkpoints that move along.
    #[serde(default, deserialize_with = "guard::conditions")]
    #[schema(max_items = 10000)]
    checkpoints: Vec<Move>,
    /// A named index: the answer has the ordinal of each event in it.
    #[schema(min_length = 1, max_length = 1024)]
    ordinals_in: Option<String>,
}

/// Adds what both kinds of appends have beside events and expectations.
fn complete(
    append: Append,
    none_after: Vec<NoneAfter>,
    checkpoints: Vec<Move>,
    ordinals_in: Option<String>,
) -> Result<Append, Problem> {
    let mut append = append;
    for condition in none_after {
        let cursor = condition.cursor.map(|text| text.parse()).transpose()?;
        let query: Query = condition.query.parse()?;
        append = append.none_after(query, cursor.unwrap_or(Cursor::START));
    }
    for to in checkpoints {
        append = append.checkpoint(to.checkpoint()?);
    }
    if let Some(index) = ordinals_in {
        append = append.ordinals_in(index);
    }
    Ok(append)
}

impl Move {
    pub(crate) fn checkpoint(self) -> Result<CheckpointMove, Problem> {
        let expected = self.expected.map(|text| text.parse()).transpose()?;
        Ok(CheckpointMove { name: self.name, expected, to: self.to.parse()? })
    }
}

impl AppendRequest {
    pub(crate) fn append(self) -> Result<Append, Problem> {
        let mut append = Append::with_capacity(self.events.len());
        for mut event in self.events {
            let stream = std::mem::take(&mut event.stream);
            append = append.event(stream, event.event()?);
        }
        for expectation in self.expect {
            append = append.expect(expectation.stream, expectation.expected.into());
        }
        complete(append, self.none_after, self.checkpoints, self.ordinals_in)
    }
}

impl StreamAppendRequest {
    /// Returns the bytes that the stream's name takes, which each event has.
    pub(crate) fn name_bytes(&self, stream: &str) -> usize {
        self.events.len() * stream.len()
    }

    pub(crate) fn append(self, stream: &str) -> Result<Append, Problem> {
        let mut append = Append::with_capacity(self.events.len());
        for event in self.events {
            append = append.event(stream, event.event()?);
        }
        if let Some(expected) = self.expected {
            append = append.expect(stream, expected.into());
        }
        complete(append, self.none_after, self.checkpoints, self.ordinals_in)
    }
}

/// What is kept of a stream; what is not given is not limited.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamRetention {
    /// The number of newest events that are kept.
    #[schema(minimum = 1)]
    max_count: Option<u64>,
    /// The age up to which events are kept, in microseconds since they were stored.
    max_age_micros: Option<u64>,
    /// Events before this version are dropped.
    truncate_before: Option<u64>,
}

/// What is kept of all that a query yields.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// The query. With `max_count` it must select whole streams: by name, prefix or category.
    #[schema(max_length = 65536, example = "tag:level=debug")]
    pub(crate) query: String,
    /// The number of newest events that are kept of each stream.
    #[schema(minimum = 1)]
    max_count: Option<u64>,
    /// The age up to which events are kept, in microseconds since they were stored.
    max_age_micros: Option<u64>,
    /// Not for rules: versions are a stream's own. Refused, unless it is null.
    truncate_before: Option<u64>,
}

fn retention(count: Option<u64>, age_micros: Option<u64>, before: Option<u64>) -> Retention {
    Retention {
        max_count: count,
        max_age: age_micros.map(std::time::Duration::from_micros),
        truncate_before: before,
    }
}

impl StreamRetention {
    pub(crate) fn retention(&self) -> Retention {
        retention(self.max_count, self.max_age_micros, self.truncate_before)
    }
}

impl Rule {
    pub(crate) fn retention(&self) -> Retention {
        retention(self.max_count, self.max_age_micros, self.truncate_before)
    }
}

/// What defines a named index.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IndexDefinition {
    /// The query.
    #[schema(max_length = 65536, example = "type:OrderPaid")]
    query: String,
    /// How its events are spread over partitions; one list of all, if not given.
    partitions: Option<Partitions>,
}

/// How an index's events are spread over partitions, each with ordinals of its own.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Partitions {
    /// The number of partitions.
    #[schema(minimum = 1, maximum = 1024)]
    count: u32,
    /// What decides an event's partition: `stream`, `stream-id` (what stands behind the category),
    /// `store-key` (the text in braces, else what stands behind the category),
    /// `behind:PREFIX` (what stands behind a prefix of the stream's name) or `tag:KEY`.
    #[schema(pattern = "^(stream|stream-id|store-key|behind:.+|tag:.+)$", example = "stream-id")]
    by: String,
    /// How the partition is computed from it, as clients of Kafka do: `murmur2` (Java; if not given) or
    /// `crc32` (librdkafka).
    #[schema(pattern = "^(murmur2|crc32)$", example = "murmur2")]
    partitioner: Option<String>,
}

impl IndexDefinition {
    pub(crate) fn definition(self, name: String) -> Result<leftfold_api::IndexDefinition, Problem> {
        let definition = leftfold_api::IndexDefinition::new(name, self.query.parse()?);
        Ok(match self.partitions {
            Some(Partitions { count, by, partitioner }) => {
                let partitioner = partitioner.map(|text| text.parse()).transpose()?;
                let partitioned = definition.partitioned(count, by.parse()?);
                partitioned.partitioner(partitioner.unwrap_or_default())
            }
            None => definition,
        })
    }
}
