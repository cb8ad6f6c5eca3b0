//! Which events are wanted: one language to read, to subscribe, to guard an append and to define
//! an index.
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
//! `docs/queries.md` describes the language and what each part of it costs.

mod matching;
mod parse;
mod print;

pub use matching::Facts;

use crate::index::{IndexDefinition, Partitioning};
use crate::time::Timestamp;

/// Which events are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Query {
    /// All.
    #[default]
    All,
    /// Those of which a field has one of some values.
    Is(Field, Vec<Value>),
    /// Those that happened in a stretch of time (event time).
    During(Span),
    /// Those that a named index lists.
    Index(String),
    /// Those that one partition of a named index lists.
    Partition(IndexPartition),
    /// Those that are wanted by all. Of nothing: all.
    And(Vec<Query>),
    /// Those that are wanted by any. Of nothing: none.
    Or(Vec<Query>),
    /// Those that are not wanted by it.
    Not(Box<Query>),
}

/// One partition of a named index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexPartition {
    /// The index's name.
    pub index: String,
    /// The partition, from 0.
    pub number: u32,
    /// How the index spreads its events. Its store sets it when it expands the query: then the query
    /// tells of an event at hand whether it is in the partition.
    pub partitioning: Option<Partitioning>,
}

/// What of an event a query looks at.
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

/// What a field is compared to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// This text. Found by the index.
    Exactly(String),
    /// Whatever begins so. Looked for in the events that the rest of the query yields.
    Prefix(String),
}

/// A stretch of time; its start is in it, its end is not. One of them may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first moment.
    pub from: Option<Timestamp>,
    /// The first moment after it.
    pub to: Option<Timestamp>,
}

impl Query {
    /// The events of a stream.
    pub fn stream(name: impl Into<String>) -> Self {
        Query::is(Field::Stream, name)
    }

    /// The events of a category.
    pub fn category(name: impl Into<String>) -> Self {
        Query::is(Field::Category, name)
    }

    /// The events of a type.
    pub fn event_type(name: impl Into<String>) -> Self {
        Query::is(Field::Type, name)
    }

    /// The events of a correlation.
    pub fn correlation(id: impl Into<String>) -> Self {
        Query::is(Field::Correlation, id)
    }

    /// The events with a tag.
    pub fn tag(key: &str, value: &str) -> Self {
        Query::is(Field::Tag, format!("{key}={value}"))
    }

    /// The events of a named index.
    pub fn index(name: impl Into<String>) -> Self {
        Query::Index(name.into())
    }

    /// The events of one partition of a named index.
    pub fn partition(index: impl Into<String>, partition: u32) -> Self {
        Query::Partition(IndexPartition {
            index: index.into(),
            number: partition,
            partitioning: None,
        })
    }

    fn is(field: Field, value: impl Into<String>) -> Self {
        Query::Is(field, vec![Value::Exactly(value.into())])
    }

    /// Those that another query wants too.
    pub fn and(self, other: Query) -> Self {
        match self {
            Query::And(mut all) => {
                all.push(other);
                Query::And(all)
            }
            _ => Query::And(vec![self, other]),
        }
    }

    /// Those, and those that another query wants.
    pub fn or(self, other: Query) -> Self {
        match self {
            Query::Or(mut any) => {
                any.push(other);
                Query::Or(any)
            }
            _ => Query::Or(vec![self, other]),
        }
    }

    /// The one stream that is asked for, if it is no more than that.
    pub fn as_stream(&self) -> Option<&str> {
        match self {
            Query::Is(Field::Stream, values) => match &values[..] {
                [Value::Exactly(name)] => Some(name),
                _ => None,
            },
            _ => None,
        }
    }

    /// With every named index replaced by the query that defines it.
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
                let partitioning = definition.partitioning;
                let partition = IndexPartition { partitioning, ..partition.clone() };
                Query::And(vec![definition.query, Query::Partition(partition)])
            }
            Query::And(queries) => Query::And(all(queries)?),
            Query::Or(queries) => Query::Or(all(queries)?),
            Query::Not(query) => Query::Not(Box::new(query.expand(define)?)),
            Query::All | Query::Is(..) | Query::During(_) => self.clone(),
        })
    }

    /// The field and the text, if it asks for what a single list of postings has.
    pub fn one_key(&self) -> Option<(Field, &str)> {
        match self {
            Query::Is(field, values) => match &values[..] {
                [Value::Exactly(text)] => Some((*field, text)),
                _ => None,
            },
            _ => None,
        }
    }

    /// The query and all that it is made of.
    pub fn each(&self, visit: &mut impl FnMut(&Query)) {
        visit(self);
        match self {
            Query::And(queries) | Query::Or(queries) => {
                queries.iter().for_each(|query| query.each(visit));
            }
            Query::Not(query) => query.each(visit),
            Query::All
            | Query::Is(..)
            | Query::During(_)
            | Query::Index(_)
            | Query::Partition(_) => {}
        }
    }

    /// Returns the name of a named index that the query asks for, if it asks for any.
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

    /// Whether it asks when an event happened.
    pub fn asks_for_time(&self) -> bool {
        let mut asks = false;
        self.each(&mut |part| asks |= matches!(part, Query::During(_)));
        asks
    }

    /// A stretch of time that all wanted events lie in.
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

    /// Its name in a query's text.
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
