//! Queries: as text, or as the tree of the text.

use leftfold_api::{Field, Invalid, Query, Span, Timestamp, Value};

use crate::invalid::{missing, request};
use crate::v1::{self, query::Is};

/// The largest depth of a tree. A deeper one is sent as text, because nested messages have a limit.
const MAX_DEPTH: usize = 32;
/// The largest number of bytes of a tree's texts and of its parts, together: that of a query's text.
const MAX_SIZE: usize = 64 << 10;

impl From<&Query> for v1::Query {
    fn from(query: &Query) -> Self {
        if depth(query) > MAX_DEPTH {
            return v1::Query { is: Some(Is::Text(query.to_string())) };
        }
        tree(query)
    }
}

fn depth(query: &Query) -> usize {
    1 + match query {
        Query::And(queries) | Query::Or(queries) => queries.iter().map(depth).max().unwrap_or(0),
        Query::Not(query) => depth(query),
        _ => 0,
    }
}

fn tree(query: &Query) -> v1::Query {
    let all = |queries: &[Query]| v1::Queries { queries: queries.iter().map(tree).collect() };
    let is = match query {
        Query::All => Is::All(v1::Everything {}),
        Query::Is(field, values) => {
            let values = values.iter().map(v1::Value::from).collect();
            Is::Compare(v1::Comparison { field: v1::Field::from(*field) as i32, values })
        }
        Query::During(Span { from, to }) => {
            let micros = |time: &Option<Timestamp>| time.map(|time| time.0);
            Is::During(v1::Span { from: micros(from), to: micros(to) })
        }
        Query::Index(name) => Is::Index(name.clone()),
        Query::System | Query::Partition(_) | Query::Within(_) => Is::Text(query.to_string()),
        Query::And(queries) => Is::And(all(queries)),
        Query::Or(queries) => Is::Or(all(queries)),
        Query::Not(query) => Is::Not(Box::new(tree(query))),
    };
    v1::Query { is: Some(is) }
}

impl From<&Value> for v1::Value {
    fn from(value: &Value) -> Self {
        let is = match value {
            Value::Exactly(text) => v1::value::Is::Exactly(text.clone()),
            Value::Prefix(text) => v1::value::Is::Prefix(text.clone()),
        };
        v1::Value { is: Some(is) }
    }
}

impl From<Field> for v1::Field {
    fn from(field: Field) -> Self {
        match field {
            Field::Stream => v1::Field::Stream,
            Field::Category => v1::Field::Category,
            Field::Type => v1::Field::Type,
            Field::Correlation => v1::Field::Correlation,
            Field::Tag => v1::Field::Tag,
        }
    }
}

/// Reads a query; an absent message is all events.
pub(crate) fn query(query: Option<v1::Query>) -> Result<Query, Invalid> {
    query.map_or(Ok(Query::All), |query| Reader { left: MAX_SIZE }.read(query, MAX_DEPTH))
}

/// Reads a tree of bounded size.
struct Reader {
    left: usize,
}

impl Reader {
    fn read(&mut self, query: v1::Query, depth: usize) -> Result<Query, Invalid> {
        let depth = depth.checked_sub(1).ok_or_else(too_large)?;
        self.take(1)?;
        Ok(match query.is {
            None | Some(Is::All(_)) => Query::All,
            Some(Is::Text(text)) => {
                self.take(text.len())?;
                text.parse()?
            }
            Some(Is::Compare(comparison)) => self.comparison(comparison)?,
            Some(Is::During(v1::Span { from, to })) => {
                Query::During(Span { from: from.map(Timestamp), to: to.map(Timestamp) })
            }
            Some(Is::Index(name)) => {
                self.take(name.len())?;
                Query::Index(name)
            }
            Some(Is::And(all)) => Query::And(self.all(all, depth)?),
            Some(Is::Or(any)) => Query::Or(self.all(any, depth)?),
            Some(Is::Not(query)) => Query::Not(Box::new(self.read(*query, depth)?)),
        })
    }

    fn all(&mut self, all: v1::Queries, depth: usize) -> Result<Vec<Query>, Invalid> {
        all.queries.into_iter().map(|query| self.read(query, depth)).collect()
    }

    fn comparison(&mut self, comparison: v1::Comparison) -> Result<Query, Invalid> {
        let field = match v1::Field::try_from(comparison.field) {
            Ok(v1::Field::Stream) => Field::Stream,
            Ok(v1::Field::Category) => Field::Category,
            Ok(v1::Field::Type) => Field::Type,
            Ok(v1::Field::Correlation) => Field::Correlation,
            Ok(v1::Field::Tag) => Field::Tag,
            Ok(v1::Field::Unspecified) => return Err(missing("field to compare")),
            Err(_) => {
                return Err(request(
                    "expected a field of an event to compare, found an unknown number; see the protocol",
                ));
            }
        };
        let values = comparison.values.into_iter().map(|value| self.value(value));
        Ok(Query::Is(field, values.collect::<Result<_, _>>()?))
    }

    fn value(&mut self, value: v1::Value) -> Result<Value, Invalid> {
        use v1::value::Is;
        let value = match value.is.ok_or_else(|| missing("value to compare with"))? {
            Is::Exactly(text) => Value::Exactly(text),
            Is::Prefix(text) => Value::Prefix(text),
        };
        let (Value::Exactly(text) | Value::Prefix(text)) = &value;
        self.take(1 + text.len())?;
        Ok(value)
    }

    fn take(&mut self, size: usize) -> Result<(), Invalid> {
        self.left = self.left.checked_sub(size).ok_or_else(too_large)?;
        Ok(())
    }
}

fn too_large() -> Invalid {
    let message = format!(
        "the query is too large: at most {MAX_SIZE} bytes and parts, {MAX_DEPTH} deep, are allowed"
    );
    Invalid::new("query_too_large", message)
}
