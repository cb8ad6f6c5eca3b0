//! The area of a grant, and whether a query stays within it.
//!
//! The structure of the query decides, never the events: a query is within an area if its form shows
//! that it yields nothing else. If the form does not show it, the query is refused, even if it would
//! yield nothing else. So the decision never depends on what is stored.

use leftfold_api::{Field, Invalid, Query, Value, category_of};

/// The first character of the names of the store's own streams.
const SYSTEM: char = '$';

/// One part of an area.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// All events but those of the store's own streams.
    All,
    Stream(String),
    /// Streams whose names have this prefix.
    Prefix(String),
    Category(String),
    /// Events with a tag, as `key=value`.
    Tag(String),
}

/// The events that a grant, or all grants of a user together, cover.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Area(Vec<Part>);

impl Area {
    /// Returns the area of a query as the scope of a grant.
    ///
    /// # Errors
    /// `grant_invalid`: it is not `*`, streams, prefixes, categories, tags, or an or of them.
    pub(crate) fn of(query: &Query) -> Result<Self, Invalid> {
        let mut area = Area::default();
        area.add(query)?;
        if area.0.is_empty() {
            return Err(wrong("it covers no events"));
        }
        Ok(area)
    }

    fn add(&mut self, query: &Query) -> Result<(), Invalid> {
        match query {
            Query::All => self.0.push(Part::All),
            Query::Or(queries) => queries.iter().try_for_each(|query| self.add(query))?,
            Query::Is(field, values) => {
                for value in values {
                    self.0.push(Part::of(*field, value)?);
                }
            }
            _ => return Err(wrong("it joins, excludes, or asks for a time or an index")),
        }
        Ok(())
    }

    /// Adds another area.
    pub(crate) fn extend(&mut self, other: &Area) {
        for part in &other.0 {
            if !self.0.contains(part) {
                self.0.push(part.clone());
            }
        }
    }

    /// Returns whether it covers all events of users.
    pub(crate) fn is_all(&self) -> bool {
        self.0.contains(&Part::All)
    }

    pub(crate) fn is_nothing(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether all events of a query are in the area, and none is in the store's own streams.
    pub(crate) fn holds(&self, query: &Query) -> bool {
        let hides = query.named_index().is_none() && !query.shows_bookkeeping();
        (hides || excludes_system(query)) && self.contains(query)
    }

    /// Returns whether all events of a query are in the area, apart from the store's own streams.
    pub(crate) fn contains(&self, query: &Query) -> bool {
        match query {
            _ if self.is_all() => true,
            Query::Is(field, values) => {
                let within = |value| self.0.iter().any(|part| part.contains(*field, value));
                values.iter().all(within)
            }
            Query::And(queries) => queries.iter().any(|query| self.contains(query)),
            Query::Or(queries) => queries.iter().all(|query| self.contains(query)),
            Query::All
            | Query::System
            | Query::During(_)
            | Query::Index(_)
            | Query::Partition(_)
            | Query::Within(_)
            | Query::Not(_) => false,
        }
    }

    /// Returns whether an event with these tags is in the area.
    pub(crate) fn takes(&self, stream: &str, has_tag: impl Fn(&str, &str) -> bool) -> bool {
        let has = |tag: &str| tag.split_once('=').is_some_and(|(key, value)| has_tag(key, value));
        !stream.starts_with(SYSTEM)
            && self.0.iter().any(|part| match part {
                Part::Tag(tag) => has(tag),
                part => part.takes_stream(stream),
            })
    }

    /// Returns whether all events of a stream are in the area, whatever their tags.
    pub(crate) fn takes_stream(&self, stream: &str) -> bool {
        !stream.starts_with(SYSTEM) && self.0.iter().any(|part| part.takes_stream(stream))
    }

    /// Returns a query for the events of the area.
    pub(crate) fn query(&self) -> Query {
        let parts = self.0.iter().map(Part::query);
        let mut parts: Vec<_> = parts.collect();
        match parts.pop() {
            Some(only) if parts.is_empty() => only,
            Some(last) => {
                parts.push(last);
                Query::Or(parts)
            }
            None => Query::Or(parts),
        }
    }
}

fn wrong(what: &str) -> Invalid {
    let message = format!(
        "the scope of a grant is not allowed: {what}; it can be *, a stream, a prefix of streams \
         (stream:order*), a category, a tag, or an or of them, none of them the store's own"
    );
    Invalid::new("grant_invalid", message)
}

impl Part {
    fn of(field: Field, value: &Value) -> Result<Self, Invalid> {
        let (Value::Exactly(text) | Value::Prefix(text)) = value;
        if text.starts_with(SYSTEM) && field != Field::Tag {
            return Err(wrong("names with $ are the store's own"));
        }
        Ok(match (field, value) {
            (Field::Stream, Value::Prefix(prefix)) if prefix.is_empty() => Part::All,
            (Field::Stream, Value::Prefix(prefix)) => Part::Prefix(prefix.clone()),
            (Field::Stream, Value::Exactly(stream)) => Part::Stream(stream.clone()),
            (Field::Category, Value::Exactly(category)) => Part::Category(category.clone()),
            (Field::Tag, Value::Exactly(tag)) => Part::Tag(tag.clone()),
            _ => return Err(wrong("it asks for a type, a correlation, or a prefix of no stream")),
        })
    }

    fn takes_stream(&self, stream: &str) -> bool {
        match self {
            Part::All => true,
            Part::Stream(name) => name == stream,
            Part::Prefix(prefix) => stream.starts_with(prefix.as_str()),
            Part::Category(category) => category_of(stream) == category,
            Part::Tag(_) => false,
        }
    }

    /// Returns whether every event whose field has this value is in the part.
    fn contains(&self, field: Field, value: &Value) -> bool {
        match (self, field, value) {
            (Part::Tag(tag), Field::Tag, Value::Exactly(wanted)) => tag == wanted,
            (part, Field::Stream, Value::Exactly(stream)) => part.takes_stream(stream),
            (Part::Prefix(prefix), Field::Stream | Field::Category, value) => {
                // A category's streams are its name, or begin with it.
                let (Value::Exactly(text) | Value::Prefix(text)) = value;
                text.starts_with(prefix.as_str())
            }
            (Part::Category(category), Field::Stream, Value::Prefix(prefix)) => {
                // Only a prefix that goes past the first dash stays in one category.
                prefix.split_once('-').is_some_and(|(name, _)| name == category)
            }
            (Part::Category(category), Field::Category, Value::Exactly(name)) => category == name,
            _ => false,
        }
    }

    fn query(&self) -> Query {
        let tag = |tag: &str| Query::Is(Field::Tag, vec![Value::Exactly(tag.to_owned())]);
        match self {
            Part::All => Query::All.and(no_system()),
            Part::Stream(stream) => Query::stream(stream),
            Part::Prefix(prefix) => Query::Is(Field::Stream, vec![Value::Prefix(prefix.clone())]),
            Part::Category(category) => Query::category(category),
            Part::Tag(pair) => tag(pair),
        }
    }
}

/// Returns the query for all events outside of the store's own streams.
pub(crate) fn no_system() -> Query {
    let system = Query::Is(Field::Stream, vec![Value::Prefix(SYSTEM.to_string())]);
    Query::Not(Box::new(system))
}

/// Returns whether the form of a query shows that it yields no event of the store's own streams.
/// Only their names and types begin with `$`, and their events have no tags and no correlation.
fn excludes_system(query: &Query) -> bool {
    match query {
        Query::Is(Field::Correlation | Field::Tag, _) => true,
        Query::Is(_, values) => values.iter().all(|value| match value {
            Value::Exactly(text) => !text.starts_with(SYSTEM),
            Value::Prefix(text) => !text.is_empty() && !text.starts_with(SYSTEM),
        }),
        Query::And(queries) => queries.iter().any(excludes_system),
        Query::Or(queries) => queries.iter().all(excludes_system),
        Query::Not(query) => covers_system(query),
        Query::All
        | Query::System
        | Query::During(_)
        | Query::Index(_)
        | Query::Partition(_)
        | Query::Within(_) => false,
    }
}

/// Returns whether the form of a query shows that it yields all events of the store's own streams.
fn covers_system(query: &Query) -> bool {
    match query {
        Query::All | Query::System => true,
        Query::Is(Field::Stream | Field::Category | Field::Type, values) => {
            let all = |value: &Value| matches!(value, Value::Prefix(p) if p.is_empty() || p == "$");
            values.iter().any(all)
        }
        Query::And(queries) => queries.iter().all(covers_system),
        Query::Or(queries) => queries.iter().any(covers_system),
        Query::Not(query) => excludes_system(query),
        Query::Is(..)
        | Query::During(_)
        | Query::Index(_)
        | Query::Partition(_)
        | Query::Within(_) => false,
    }
}

#[cfg(test)]
#[path = "area_tests.rs"]
mod tests;
