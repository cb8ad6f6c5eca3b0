//! Queries: one language for reads, subscriptions, conditions of appends and definitions of indexes.
//!
//! ```
//! use leftfold_api::Query;
//!
//! let text = "category:order type:OrderPlaced,OrderPaid tag:customer=42 not stream:Integration*";
//! let query: Query = text.parse()?;
//! assert_eq!(query.to_string(), text);
//! # Ok::<(), leftfold_api::Invalid>(())
//! ```
//!
//! `docs/queries.md` describes the language and the cost of each part.

mod bookkeeping;
mod matching;
mod parse;
mod print;

pub use matching::Facts;
pub use parse::{MAX_QUERY_BYTES, MAX_QUERY_DEPTH, MAX_QUERY_PARTS};

use crate::index::{IndexDefinition, Partitioning};
use crate::time::Timestamp;

/// A query: selects events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Query {
    /// All events.
    #[default]
    All,
    /// All events, and the whole query shows bookkeeping too: see [`Query::shows`].
    System,
    /// Events whose field has one of the values.
    Is(Field, Vec<Value>),
    /// Events whose event time lies in a span.
    During(Span),
    /// Events that a named index lists.
    Index(String),
    /// Events that one partition of a named index lists.
    Partition(IndexPartition),
    /// Events whose streams lie in one partition of a store of many: see [`partition_of`](crate::partition_of).
    Within(StorePartition),
    /// Events that match all queries; all events if there are no queries.
    And(Vec<Query>),
    /// Events that match any query; no event if there are no queries.
    Or(Vec<Query>),
    /// Events that do not match the query.
    Not(Box<Query>),
}

/// One partition of a named index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexPartition {
    /// The index's name.
    pub index: String,
    /// The partition, from 0.
    pub number: u32,
    /// How the index spreads its events. The store sets it when it expands the query, so that the query can
    /// be matched against a single event.
    pub partitioning: Option<Box<Partitioning>>,
}

/// One partition of a store of many partitions. It filters by the names of streams, so every store can answer it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorePartition {
    /// The partition, from 0.
    pub number: u32,
    /// The number of partitions, at least 1.
    pub of: u32,
}

/// A field of an event that queries compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The stream's name.
    Stream,
    /// The stream's category.
    Category,
    /// The event type.
    Type,
    /// The correlation id.
    Correlation,
    /// A tag, as `key=value`.
    Tag,
}

/// The value with which a field is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Exactly this text. The index finds it.
    Exactly(String),
    /// Any text with this prefix. It filters the events that the rest of the query yields.
    Prefix(String),
}

/// A span of time: the start is included, the end is not. Each of them may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The start, included.
    pub from: Option<Timestamp>,
    /// The end, excluded.
    pub to: Option<Timestamp>,
}

impl Query {
    /// Selects the events of a stream.
    pub fn stream(name: impl Into<String>) -> Self {
        Query::is(Field::Stream, name)
    }

    /// Selects the events of a category.
    pub fn category(name: impl Into<String>) -> Self {
        Query::is(Field::Category, name)
    }

    /// Selects the events of a type.
    pub fn event_type(name: impl Into<String>) -> Self {
        Query::is(Field::Type, name)
    }

    /// Selects the events with a correlation id.
    pub fn correlation(id: impl Into<String>) -> Self {
        Query::is(Field::Correlation, id)
    }

    /// Selects the events with a tag.
    pub fn tag(key: &str, value: &str) -> Self {
        Query::is(Field::Tag, format!("{key}={value}"))
    }

    /// Selects the events of a named index.
    pub fn index(name: impl Into<String>) -> Self {
        Query::Index(name.into())
    }

    /// Selects the events of one partition of a named index.
    pub fn partition(index: impl Into<String>, partition: u32) -> Self {
        Query::Partition(IndexPartition {
            index: index.into(),
            number: partition,
            partitioning: None,
        })
    }

    /// Selects the events whose streams lie in one partition of a store with this number of partitions.
    pub fn within(number: u32, of: u32) -> Self {
        Query::Within(StorePartition { number, of })
    }

    fn is(field: Field, value: impl Into<String>) -> Self {
        Query::Is(field, vec![Value::Exactly(value.into())])
    }

    /// Selects events that match this query and another one.
    pub fn and(self, other: Query) -> Self {
        match self {
            Query::And(mut all) => {
                all.push(other);
                Query::And(all)
            }
            _ => Query::And(vec![self, other]),
        }
    }

    /// Selects events that match this query or another one.
    pub fn or(self, other: Query) -> Self {
        match self {
            Query::Or(mut any) => {
                any.push(other);
                Query::Or(any)
            }
            _ => Query::Or(vec![self, other]),
        }
    }

    /// Returns the stream, if the query selects exactly one stream.
    pub fn as_stream(&self) -> Option<&str> {
        match self {
            Query::Is(Field::Stream, values) => match &values[..] {
                [Value::Exactly(name)] => Some(name),
                _ => None,
            },
            _ => None,
        }
    }

    /// Replaces every named index by the query that defines it. Returns the name of an unknown index as an
    /// error.
    pub fn expand(
        &self,
        define: &impl Fn(&str) -> Option<IndexDefinition>,
    ) -> Result<Query, String> {
        let all = |queries: &[Query]| -> Result<Vec<Query>, String> {
            queries.iter().map(|query| query.expand(define)).collect()
        };
        Ok(match self {
            Query::Index(name) => define(name).ok_or_else(|| name.clone())?.query,
            Query::Partition(partition) => {
                let definition = define(&partition.index).ok_or_else(|| partition.index.clone())?;
                let partitioning = definition.partitioning.map(Box::new);
                let partition = IndexPartition { partitioning, ..partition.clone() };
                Query::And(vec![definition.query, Query::Partition(partition)])
            }
            Query::And(queries) => Query::And(all(queries)?),
            Query::Or(queries) => Query::Or(all(queries)?),
            Query::Not(query) => Query::Not(Box::new(query.expand(define)?)),
            Query::All | Query::System | Query::Is(..) | Query::During(_) | Query::Within(_) => {
                self.clone()
            }
        })
    }

    /// Returns the field and its value, if the query selects a single value of one field.
    pub fn one_key(&self) -> Option<(Field, &str)> {
        match self {
            Query::Is(field, values) => match &values[..] {
                [Value::Exactly(text)] => Some((*field, text)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Visits the query and all its parts.
    pub fn each(&self, visit: &mut impl FnMut(&Query)) {
        visit(self);
        match self {
            Query::And(queries) | Query::Or(queries) => {
                queries.iter().for_each(|query| query.each(visit));
            }
            Query::Not(query) => query.each(visit),
            Query::All
            | Query::System
            | Query::Is(..)
            | Query::During(_)
            | Query::Index(_)
            | Query::Partition(_)
            | Query::Within(_) => {}
        }
    }

    /// Returns the name of a named index in the query, if it has any.
    pub fn named_index(&self) -> Option<String> {
        let mut found = None;
        self.each(&mut |part| {
            if let Query::Index(name) | Query::Partition(IndexPartition { index: name, .. }) = part
            {
                found = Some(name.clone());
            }
        });
        found
    }

    /// Whether the query depends on the event time.
    pub fn asks_for_time(&self) -> bool {
        let mut asks = false;
        self.each(&mut |part| asks |= matches!(part, Query::During(_)));
        asks
    }

    /// Returns a span of time, in microseconds, that contains the event times of all matching events.
    pub fn span(&self) -> Option<(i64, i64)> {
        match self {
            Query::During(Span { from, to }) => {
                Some((from.map_or(i64::MIN, |time| time.0), to.map_or(i64::MAX, |time| time.0)))
            }
            Query::And(queries) => {
                queries.iter().filter_map(Query::span).reduce(|(a, b), (c, d)| (a.max(c), b.min(d)))
            }
            _ => None,
        }
    }
}

impl Field {
    /// All fields.
    pub const ALL: [Field; 5] =
        [Field::Stream, Field::Category, Field::Type, Field::Correlation, Field::Tag];

    /// Returns its name in the text of a query.
    pub fn name(self) -> &'static str {
        match self {
            Field::Stream => "stream",
            Field::Category => "category",
            Field::Type => "type",
            Field::Correlation => "correlation",
            Field::Tag => "tag",
        }
    }
}
