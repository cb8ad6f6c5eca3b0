//! Limits of a body, which apply while it is parsed. A part of three bytes becomes a struct of
//! hundreds, so counting after parsing would need many times the memory of the body.
//!
//! The limits are those of gRPC, whatever the store allows. No part of a body is buffered as a value
//! of any shape: nested values are refused by the parser, or kept as their text.
//!
//! The memory that elements of lists take is reserved while they are parsed. Derived code has no place
//! for what is reserved, so it is the thread's own while a body is parsed.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::http::problem::Problem;
use crate::http::wording;
use crate::limits::{BODIES_FULL, MemoryFull, Reservation};

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
/// A list that grows by pushes has at most twice the room that it needs; while it moves, half of that
/// again.
const GROWTH: usize = 3;
/// Elements of a list that is worth to be moved to the room that it needs.
const MANY: usize = 64;
/// Bytes that the texts of an element take besides their own: each allocation is rounded up.
const SMALL_TEXTS: usize = 128;
/// Bytes that a byte of a query takes: a value of two bytes, in a list that grows.
const QUERY_GROWTH: usize = 64;

thread_local! {
    /// What the body takes that this thread parses.
    static BUDGET: RefCell<Option<Budget>> = const { RefCell::new(None) };
}

/// The memory that the parsed form of a body takes.
struct Budget {
    reservation: Reservation,
    bytes: usize,
}

/// Reserves memory for the body that this thread parses.
fn charge<E: Error>(bytes: usize) -> Result<(), E> {
    BUDGET.with_borrow_mut(|budget| {
        let Some(budget) = budget else { return Ok(()) };
        budget.bytes += bytes;
        budget.reservation.grow_to(budget.bytes).map_err(|MemoryFull| {
            E::custom(format_args!("{MARK}server_overloaded{MARK}{BODIES_FULL}; try again later"))
        })
    })
}

fn release(bytes: usize) {
    BUDGET.with_borrow_mut(|budget| {
        budget.iter_mut().for_each(|budget| budget.bytes = budget.bytes.saturating_sub(bytes));
    });
}

/// Parses a body, and reserves the memory that the lists of its parsed form take.
///
/// # Errors
/// `too_many_events`, `too_many_tags`, `too_many_conditions`, `query_too_large`, `body_invalid`,
/// `server_overloaded`.
pub(crate) fn parse<T: DeserializeOwned>(
    body: &[u8],
    reservation: Reservation,
) -> Result<(T, Reservation), Problem> {
    BUDGET.set(Some(Budget { reservation, bytes: 0 }));
    let parsed = parse_object(body);
    let budget = BUDGET.take();
    let parsed = parsed?;
    let Some(Budget { mut reservation, bytes }) = budget else {
        return Err(Problem::new("internal_error", "the memory of the body is not known"));
    };
    reservation.shrink_to(bytes);
    Ok((parsed, reservation))
}

fn parse_object<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
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
    /// What it is translated into.
    type Translated;

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

impl<T: Element> List<T> {
    /// Bytes that an element takes with what it is translated into.
    const ELEMENT: usize = size_of::<T>() + size_of::<T::Translated>() + SMALL_TEXTS;
    /// Bytes that it takes besides while the list grows.
    const SPARE: usize = (GROWTH - 1) * size_of::<T>();
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
            let query_bytes = totals.query_bytes;
            element.add_to(&mut totals);
            let query_bytes = totals.query_bytes - query_bytes;
            charge(Self::ELEMENT + Self::SPARE + query_bytes * QUERY_GROWTH)?;
            if totals.tags > TAGS {
                return Err(too_many("too_many_tags", "tags in one append", TAGS));
            }
            if totals.query_bytes > QUERY_BYTES {
                let what = "bytes in an append's queries";
                return Err(too_many("query_too_large", what, QUERY_BYTES));
            }
            elements.push(element);
        }
        if elements.len() > MANY {
            elements.shrink_to_fit();
            release(elements.len() * Self::SPARE);
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
