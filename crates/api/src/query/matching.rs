use super::{Field, IndexPartition, Query, Span, Value};
use crate::names::category_of;
use crate::partitions::partition_of;
use crate::recorded::Recorded;

/// The facts of an event, stored or new, that queries match.
pub trait Facts {
    /// Returns the stream.
    fn stream(&self) -> &str;
    /// Returns the event type.
    fn event_type(&self) -> &str;
    /// Returns the correlation id.
    fn correlation(&self) -> Option<&str>;
    /// Whether a test of key and value holds for any tag.
    fn any_tag(&self, test: &dyn Fn(&str, &str) -> bool) -> bool;
    /// Visits the tags in order, as key and value.
    fn each_tag(&self, visit: &mut dyn FnMut(&str, &str));
    /// Returns the event time in microseconds since 1970.
    fn event_micros(&self) -> i64;
}

impl Facts for Recorded {
    fn stream(&self) -> &str {
        self.stream()
    }

    fn event_type(&self) -> &str {
        self.event_type()
    }

    fn correlation(&self) -> Option<&str> {
        self.correlation()
    }

    fn any_tag(&self, test: &dyn Fn(&str, &str) -> bool) -> bool {
        self.tags().any(|(key, value)| test(key, value))
    }

    fn each_tag(&self, visit: &mut dyn FnMut(&str, &str)) {
        self.tags().for_each(|(key, value)| visit(key, value));
    }

    fn event_micros(&self) -> i64 {
        self.event_time().0
    }
}

impl Query {
    /// Whether an event matches, and is shown if it is bookkeeping. A named index matches nothing, because
    /// only its store knows it: expand the query first.
    pub fn matches(&self, event: &impl Facts) -> bool {
        self.holds(event) && self.shows(event.stream())
    }

    pub(super) fn holds(&self, event: &impl Facts) -> bool {
        match self {
            Query::All | Query::System => true,
            Query::Is(field, values) => values.iter().any(|value| value.is_in(*field, event)),
            Query::During(span) => span.holds(event.event_micros()),
            Query::Index(_) => false,
            Query::Partition(IndexPartition { number, partitioning, .. }) => {
                let partition = partitioning.as_ref().map(|spread| spread.partition_of(event));
                partition == Some(*number)
            }
            Query::Within(within) => partition_of(event.stream(), within.of) == within.number,
            Query::And(queries) => queries.iter().all(|query| query.holds(event)),
            Query::Or(queries) => queries.iter().any(|query| query.holds(event)),
            Query::Not(query) => !query.holds(event),
        }
    }
}

impl Span {
    fn holds(&self, micros: i64) -> bool {
        self.from.is_none_or(|from| from.0 <= micros) && self.to.is_none_or(|to| micros < to.0)
    }
}

/// Returns the value in a tag `key=value`, if it has this key.
fn value_of<'a>(tag: &'a str, key: &str) -> Option<&'a str> {
    tag.strip_prefix(key)?.strip_prefix('=')
}

impl Value {
    fn is_in(&self, field: Field, event: &impl Facts) -> bool {
        match field {
            Field::Stream => self.is(event.stream()),
            Field::Category => self.is(category_of(event.stream())),
            Field::Type => self.is(event.event_type()),
            Field::Correlation => event.correlation().is_some_and(|id| self.is(id)),
            Field::Tag => event.any_tag(&|key, value| self.is_tag(key, value)),
        }
    }

    fn is(&self, text: &str) -> bool {
        match self {
            Value::Exactly(value) => text == value,
            Value::Prefix(prefix) => text.starts_with(prefix.as_str()),
        }
    }

    fn is_tag(&self, key: &str, value: &str) -> bool {
        match self {
            Value::Exactly(wanted) => value_of(wanted, key).is_some_and(|wanted| wanted == value),
            Value::Prefix(prefix) if prefix.contains('=') => {
                value_of(prefix, key).is_some_and(|prefix| value.starts_with(prefix))
            }
            Value::Prefix(prefix) => key.starts_with(prefix.as_str()),
        }
    }
}
