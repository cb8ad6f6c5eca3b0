use leftfold_index::Expr;

use crate::keys::Keys;
use leftfold_api::{Field, Query, Recorded, Value};

/// How a query is answered: the postings that lead to its events, and whether they are exact.
pub(crate) struct Plan {
    /// The postings to read; `None` means that the whole log is scanned.
    pub(crate) postings: Option<Expr>,
    /// Whether every posting is a match, so that no event needs to be checked.
    pub(crate) exact: bool,
}

impl Plan {
    /// Whether the query, expanded, selects an event to which its plan led.
    pub(crate) fn selects(&self, query: &Query, event: &Recorded) -> bool {
        match self.exact {
            // A query for one stream shows it, even if it is bookkeeping.
            true => query.as_stream().is_some() || query.shows(event.stream()),
            false => query.matches(event),
        }
    }
}

/// Plans a query; `index` returns the key of a named index or a partition.
pub(crate) fn plan(query: &Query, keys: &Keys, index: &impl Fn(&Query) -> Option<Expr>) -> Plan {
    match query {
        Query::All | Query::System => Plan { postings: None, exact: true },
        Query::During(_) | Query::Within(_) | Query::Not(_) => {
            Plan { postings: None, exact: false }
        }
        Query::Index(_) | Query::Partition(_) => {
            let postings = index(query);
            Plan { exact: postings.is_some(), postings }
        }
        Query::Is(field, values) => is(*field, values, keys),
        Query::And(queries) => {
            // The narrowest key leads: by it a named index or a subscription is found.
            let mut queries: Vec<_> = queries.iter().collect();
            queries.sort_by_key(|query| breadth(query));
            and(queries.into_iter().map(|query| plan(query, keys, index)))
        }
        Query::Or(queries) => or(queries.iter().map(|query| plan(query, keys, index))),
    }
}

/// Guesses how many events a part of a conjunction selects: the fewer, the smaller.
fn breadth(query: &Query) -> u8 {
    match query {
        Query::Is(Field::Stream | Field::Tag | Field::Correlation, _) => 0,
        Query::Index(_) | Query::Partition(_) => 1,
        Query::Is(Field::Type, _) => 2,
        Query::And(all) => all.iter().map(breadth).min().unwrap_or(4),
        Query::Or(any) => any.iter().map(breadth).max().unwrap_or(4),
        Query::Is(Field::Category, _) => 3,
        Query::All | Query::System | Query::Not(_) | Query::During(_) | Query::Within(_) => 4,
    }
}

fn is(field: Field, values: &[Value], keys: &Keys) -> Plan {
    let key = |value: &Value| match value {
        Value::Exactly(text) => Some(Expr::Key(keys.of(field, text))),
        Value::Prefix(_) => None,
    };
    let postings = match values {
        [value] => key(value),
        values => values.iter().map(key).collect::<Option<_>>().map(Expr::Or),
    };
    Plan { exact: postings.is_some(), postings }
}

/// Plans a conjunction. Parts with postings narrow the search; the others filter its events.
fn and(plans: impl Iterator<Item = Plan>) -> Plan {
    let (mut exact, mut all) = (true, Vec::new());
    for plan in plans {
        exact &= plan.exact;
        all.extend(plan.postings);
    }
    Plan { postings: (!all.is_empty()).then_some(Expr::And(all)), exact }
}

/// Plans a disjunction. If one part has no postings, the whole log is scanned.
fn or(plans: impl Iterator<Item = Plan>) -> Plan {
    let (mut exact, mut any) = (true, Some(Vec::new()));
    for plan in plans {
        exact &= plan.exact;
        any = any.zip(plan.postings).map(|(mut any, postings)| {
            any.push(postings);
            any
        });
    }
    let all_of_it = any.is_none();
    // Without postings, "exact" would mean that all events match. That holds only if one part
    // matches all, and then checking the others is cheap.
    Plan { postings: any.map(Expr::Or), exact: exact && !all_of_it }
}
