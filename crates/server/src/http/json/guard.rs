//! Limits of a body, which apply while it is parsed. A part of three bytes becomes a struct of
//! hundreds, so counting after parsing would need many times the memory of the body.
//!
//! The limits are those of gRPC, whatever the store allows. No part of a body is buffered as a value
//! of any shape: nested values are refused by the parser, or kept as their text.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::http::problem::Problem;
use crate::http::wording;

/// Events of an append.
pub(super) const EVENTS: usize = 1 << 17;
/// Tags of all events of an append.
pub(super) const TAGS: usize = 1 << 20;
/// Tags of an event; a store's own limit is at most that.
const TAGS_OF_EVENT: usize = 10_000;
/// Expectations of an append; also its conditions, and its checkpoint moves.
pub(super) const CONDITIONS: usize = 1 << 17;
/// Bytes of the queries of an append.
const QUERY_BYTES: usize = 4 << 20;
/// Encloses the code of an error that passes through the parser. None of the parser's own errors
/// begins with it.
const MARK: char = '\0';

/// Parses a body.
///
/// # Errors
/// `too_many_events`, `too_many_tags`, `too_many_conditions`, `query_too_large`, `body_invalid`.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map(|Object(body)| body).map_err(|error| {
        let text = error.to_string();
        match text.strip_prefix(MARK).and_then(|text| text.split_once(MARK)) {
            Some((code, message)) => Problem::new(code, message),
            None => Problem::new("body_invalid", format!("the body: {}", wording::plain(&text))),
        }
    })
}

fn too_many<E: Error>(code: &str, what: &str, most: usize) -> E {
    E::custom(format_args!("{MARK}{code}{MARK}{what}: more than {most}, which is the limit"))
}

/// What the elements of a list hold together.
#[derive(Default)]
pub(super) struct Totals {
    pub(super) tags: usize,
    pub(super) query_bytes: usize,
}

/// An element of a list in a body.
pub(super) trait Element: Sized {
    /// Adds what it holds.
    fn add_to(&self, _: &mut Totals) {}

    /// Parses the next element of a list. Elements are objects, unless they say otherwise.
    fn next_of<'de, A: SeqAccess<'de>>(list: &mut A) -> Result<Option<Self>, A::Error>
    where
        Self: Deserialize<'de>,
    {
        Ok(list.next_element::<Object<Self>>()?.map(|Object(element)| element))
    }
}

/// A struct that is written as an object: derived code also accepts its fields in an array.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(ObjectVisitor(PhantomData)).map(Object)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object, {...}")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields))
    }
}

struct List<T> {
    code: &'static str,
    what: &'static str,
    most: usize,
    element: PhantomData<T>,
}

impl<'de, T: Deserialize<'de> + Element> Visitor<'de> for List<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of {}", self.what)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let (mut elements, mut totals) = (Vec::new(), Totals::default());
        while let Some(element) = T::next_of(&mut list)? {
            if elements.len() == self.most {
                return Err(too_many(self.code, self.what, self.most));
            }
            element.add_to(&mut totals);
            if totals.tags > TAGS {
                return Err(too_many("too_many_tags", "tags in one append", TAGS));
            }
            if totals.query_bytes > QUERY_BYTES {
                let what = "bytes in an append's queries";
                return Err(too_many("query_too_large", what, QUERY_BYTES));
            }
            elements.push(element);
        }
        Ok(elements)
    }
}

fn list<'de, D, T>(
    from: D,
    code: &'static str,
    what: &'static str,
    most: usize,
) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Element,
{
    from.deserialize_seq(List { code, what, most, element: PhantomData })
}

/// Parses the events of an append.
pub(super) fn events<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Element,
{
    list(from, "too_many_events", "events in one append", EVENTS)
}

/// Parses expectations, conditions or checkpoint moves of an append.
pub(super) fn conditions<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Element,
{
    list(from, "too_many_conditions", "conditions in one append", CONDITIONS)
}

/// Parses the tags of an event.
pub(super) fn tags<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Element,
{
    list(from, "too_many_tags", "tags of one event", TAGS_OF_EVENT)
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
