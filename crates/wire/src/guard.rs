//! Checks a received message before it is decoded. A nested message of two bytes becomes a struct of
//! hundreds, so counting after decoding would be too late.
//!
//! The guard knows the messages by the numbers of their fields; a test holds these numbers against
//! the protocol's files.

use std::any::TypeId;

use leftfold_api::{Cursor, Invalid, MAX_NAME, NewEvent, Query};

use crate::received::Weight;
use crate::v1;

/// Bytes of a request that holds nothing large: a query has at most 64 KiB.
const MAX_SMALL_REQUEST: usize = 1 << 20;
/// Events of an append, whatever the store allows.
const MAX_EVENTS: usize = 1 << 17;
/// Tags of all events of an append.
const MAX_TAGS: usize = 1 << 20;
/// Conditions and checkpoint moves of an append.
const MAX_CONDITIONS: usize = 1 << 17;
/// Bytes of the queries of an append.
const MAX_QUERY_BYTES: usize = 4 << 20;

/// `NumberedAppend.append`.
const NUMBERED_APPEND: u64 = 2;
/// `AppendRequest.events`.
const APPEND_EVENTS: u64 = 1;
/// `AppendRequest.none_after`.
const APPEND_NONE_AFTER: u64 = 3;
/// `NewEvent.stream`.
const EVENT_STREAM: u64 = 1;
/// `NewEvent.tags`.
const EVENT_TAGS: u64 = 7;

/// A list that grows by pushes has at most twice the room that it needs; while it moves, half of that
/// again.
const GROWTH: usize = 3;
/// Bytes that the texts of a part take besides their own: each allocation is rounded up.
const SMALL_TEXTS: usize = 128;

/// Checks whether a message of this type may be decoded.
///
/// # Errors
/// `too_many_events`, `too_many_tags`, `too_many_conditions`, `query_too_large`.
pub(crate) fn check<U: 'static>(bytes: &[u8]) -> Result<(), Invalid> {
    let is = |id: TypeId| TypeId::of::<U>() == id;
    if is(TypeId::of::<v1::NumberedAppend>()) {
        let mut parts = Parts::default();
        return fields(bytes)
            .filter(|(field, _)| *field == NUMBERED_APPEND)
            .try_for_each(|(_, append)| parts.add(append));
    }
    if is(TypeId::of::<v1::AppendRequest>()) {
        return Parts::of(bytes).map(drop);
    }
    let small = [
        TypeId::of::<v1::ReadRequest>(),
        TypeId::of::<v1::SubscribeRequest>(),
        TypeId::of::<v1::DefineIndexRequest>(),
        TypeId::of::<v1::SetRuleRequest>(),
        TypeId::of::<v1::OrdinalRequest>(),
    ];
    if small.into_iter().any(is) && bytes.len() > MAX_SMALL_REQUEST {
        let (what, found) = ("bytes in the request", bytes.len());
        return Err(too_many("query_too_large", what, found, MAX_SMALL_REQUEST));
    }
    Ok(())
}

/// The counted parts of an append.
#[derive(Default)]
pub(crate) struct Parts {
    events: usize,
    tags: usize,
    conditions: usize,
    query_bytes: usize,
    /// The bytes of the stream of the last event: an event without one is in the stream before.
    stream: usize,
    /// The bytes of the streams of all events.
    streams: usize,
}

impl Parts {
    /// Counts the parts of an append.
    ///
    /// # Errors
    /// As [`check`].
    pub(crate) fn of(append: &[u8]) -> Result<Self, Invalid> {
        let mut parts = Parts::default();
        parts.add(append)?;
        Ok(parts)
    }

    /// Returns what they take, with the bytes of their message.
    pub(crate) fn weight(&self, bytes: usize) -> Weight {
        let small = |count: usize, size: usize| count * (size + SMALL_TEXTS);
        let decoded = bytes
            + self.streams
            + small(self.events, size_of::<(String, NewEvent)>())
            + small(self.tags, size_of::<(String, String)>())
            + small(self.conditions, size_of::<(Query, Cursor)>())
            // A query of two bytes may be part of another one.
            + self.query_bytes / 2 * size_of::<Query>() * GROWTH;
        let lists = self.events * size_of::<v1::NewEvent>()
            + self.tags * size_of::<v1::Tag>()
            + self.conditions * size_of::<v1::NoneAfter>().max(size_of::<v1::CheckpointMove>())
            + self.query_bytes / 2 * size_of::<v1::Query>();
        Weight { decoding: decoded + GROWTH * lists, decoded }
    }

    fn add(&mut self, append: &[u8]) -> Result<(), Invalid> {
        for (field, content) in fields(append) {
            match field {
                APPEND_EVENTS => {
                    self.events += 1;
                    self.add_event(content);
                }
                APPEND_NONE_AFTER => {
                    self.conditions += 1;
                    self.query_bytes += content.len();
                }
                // Whatever else an append has counts as a condition.
                _ => self.conditions += 1,
            }
            self.check()?;
        }
        Ok(())
    }

    fn add_event(&mut self, event: &[u8]) {
        for (field, content) in fields(event) {
            match field {
                EVENT_TAGS => self.tags += 1,
                // A longer name is refused.
                EVENT_STREAM => self.stream = content.len().min(MAX_NAME),
                _ => {}
            }
        }
        self.streams += self.stream;
    }

    fn check(&self) -> Result<(), Invalid> {
        let limits = [
            ("too_many_events", "events in one append", self.events, MAX_EVENTS),
            ("too_many_tags", "tags in one append", self.tags, MAX_TAGS),
            ("too_many_conditions", "conditions in one append", self.conditions, MAX_CONDITIONS),
            ("query_too_large", "bytes in an append's queries", self.query_bytes, MAX_QUERY_BYTES),
        ];
        match limits.into_iter().find(|(_, _, found, allowed)| found > allowed) {
            Some((code, what, found, allowed)) => Err(too_many(code, what, found, allowed)),
            None => Ok(()),
        }
    }
}

fn too_many(code: &'static str, what: &str, found: usize, allowed: usize) -> Invalid {
    Invalid::new(code, format!("{what}: {found}; at most {allowed} are allowed over gRPC"))
}

/// Returns the fields of a message that have a length, with their contents. Ends at the first bytes
/// that are no field: decoding reports them.
fn fields(mut bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        loop {
            let key = varint(&mut bytes)?;
            let skipped = match key & 7 {
                0 => varint(&mut bytes).map(|_| 0)?,
                1 => 8,
                2 => {
                    let length = usize::try_from(varint(&mut bytes)?).ok()?;
                    let (content, rest) = bytes.split_at_checked(length)?;
                    bytes = rest;
                    return Some((key >> 3, content));
                }
                5 => 4,
                // A group can't be skipped without reading it; the messages have none.
                _ => return None,
            };
            bytes = bytes.get(skipped..)?;
        }
    })
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message;
    use prost_types::field_descriptor_proto::{Label, Type};
    use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};

    use super::*;

    /// The requests that the guard checks, by their names in the protocol.
    const GUARDED: [&str; 7] = [
        "AppendRequest",
        "NumberedAppend",
        "ReadRequest",
        "SubscribeRequest",
        "DefineIndexRequest",
        "SetRuleRequest",
        "OrdinalRequest",
    ];

    struct Protocol(FileDescriptorSet);

    impl Protocol {
        fn read() -> Self {
            let bytes = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
            Protocol(FileDescriptorSet::decode(&bytes[..]).unwrap())
        }

        fn message(&self, name: &str) -> &DescriptorProto {
            let mut messages = self.0.file.iter().flat_map(|file| &file.message_type);
            messages.find(|message| message.name() == name).unwrap()
        }

        fn requests(&self) -> BTreeSet<String> {
            let services = self.0.file.iter().flat_map(|file| &file.service);
            let methods = services.flat_map(|service| &service.method);
            methods.map(|method| short(method.input_type()).to_owned()).collect()
        }

        /// Whether decoding a message may take much more memory than it has bytes: whether it holds,
        /// at any depth, messages that are repeated or that hold themselves.
        fn can_grow(&self, name: &str, path: &mut Vec<String>) -> bool {
            if path.iter().any(|above| above == name) {
                return true;
            }
            path.push(name.to_owned());
            let grows = self.message(name).field.iter().any(|field| {
                let is_message = field.r#type() == Type::Message;
                let is_text = matches!(field.r#type(), Type::String | Type::Bytes);
                let is_repeated = field.label() == Label::Repeated;
                is_repeated && (is_message || is_text)
                    || is_message && self.can_grow(short(field.type_name()), path)
            });
            path.pop();
            grows
        }
    }

    fn short(type_name: &str) -> &str {
        type_name.rsplit('.').next().unwrap()
    }

    fn is_repeated_message(field: &FieldDescriptorProto) -> bool {
        field.r#type() == Type::Message && field.label() == Label::Repeated
    }

    #[test]
    fn the_numbers_of_fields_are_those_of_the_protocol() {
        let protocol = Protocol::read();
        for (message, field, number, content, label) in [
            ("NumberedAppend", "append", NUMBERED_APPEND, "AppendRequest", Label::Optional),
            ("AppendRequest", "events", APPEND_EVENTS, "NewEvent", Label::Repeated),
            ("AppendRequest", "none_after", APPEND_NONE_AFTER, "NoneAfter", Label::Repeated),
            ("NewEvent", "tags", EVENT_TAGS, "Tag", Label::Repeated),
            ("NewEvent", "stream", EVENT_STREAM, "", Label::Optional),
        ] {
            let fields = &protocol.message(message).field;
            let found = fields.iter().find(|found| found.name() == field);
            let found = found.unwrap_or_else(|| panic!("{message} has no field {field}"));
            assert_eq!(found.number() as u64, number, "{message}.{field}");
            let kind = if content.is_empty() { Type::String } else { Type::Message };
            assert_eq!(found.r#type(), kind, "{message}.{field}");
            assert_eq!(short(found.type_name()), content, "{message}.{field}");
            assert_eq!(found.label(), label, "{message}.{field}");
        }
    }

    #[test]
    fn tags_are_all_that_an_event_repeats() {
        let protocol = Protocol::read();
        let event = protocol.message("NewEvent");
        let repeated: Vec<_> =
            event.field.iter().filter(|field| is_repeated_message(field)).collect();
        assert_eq!(repeated.len(), 1, "the guard must count each kind of repeated message");
        assert!(!protocol.can_grow("Tag", &mut Vec::new()));
        for counted in ["Expectation", "CheckpointMove"] {
            assert!(!protocol.can_grow(counted, &mut Vec::new()), "{counted} must be counted");
        }
    }

    #[test]
    fn every_request_that_can_grow_is_guarded() {
        let protocol = Protocol::read();
        let requests = protocol.requests();
        let grow = requests.iter().filter(|name| protocol.can_grow(name, &mut Vec::new()));
        let grow: BTreeSet<&str> = grow.map(String::as_str).collect();
        assert_eq!(grow, BTreeSet::from(GUARDED));
    }

    #[test]
    fn every_guarded_request_is_refused_when_it_is_too_large() {
        fn refused<U: 'static>() -> &'static str {
            // Field 1 with two bytes of content, again and again: events, or anything else.
            let message = [0x0a, 2, 0x3a, 0].repeat(1 << 19);
            let numbered = [&[0x12, 0x80, 0x80, 0x80, 0x01][..], &message].concat();
            let is_numbered = TypeId::of::<U>() == TypeId::of::<v1::NumberedAppend>();
            check::<U>(if is_numbered { &numbered } else { &message }).unwrap_err().code
        }
        assert_eq!(refused::<v1::AppendRequest>(), "too_many_events");
        assert_eq!(refused::<v1::NumberedAppend>(), "too_many_events");
        assert_eq!(refused::<v1::ReadRequest>(), "query_too_large");
        assert_eq!(refused::<v1::SubscribeRequest>(), "query_too_large");
        assert_eq!(refused::<v1::DefineIndexRequest>(), "query_too_large");
        assert_eq!(refused::<v1::SetRuleRequest>(), "query_too_large");
        assert_eq!(refused::<v1::OrdinalRequest>(), "query_too_large");
    }
}
