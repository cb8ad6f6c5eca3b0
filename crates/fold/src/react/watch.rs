use std::collections::HashMap;

use leftfold_api::{Field, Query, Recorded, Value};

use super::core::Wait;

/// The dependencies that lanes wait for. Each wait is indexed by a term that its query requires
/// exactly, if there is one, so that an event is matched against few waits.
#[derive(Default)]
pub(crate) struct WaitIndex {
    by_term: HashMap<(&'static str, String), Vec<Wait>>,
    others: Vec<Wait>,
    len: usize,
}

impl WaitIndex {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn add(&mut self, wait: Wait) {
        self.len += 1;
        match term(&wait.query) {
            Some((field, value)) => {
                let key = (field.name(), value.to_owned());
                self.by_term.entry(key).or_default().push(wait);
            }
            None => self.others.push(wait),
        }
    }

    /// Removes the waits that the event ends; returns their lanes and hold numbers.
    pub(crate) fn remove_matching(&mut self, event: &Recorded) -> Vec<(String, u64)> {
        let mut met = Vec::new();
        let mut take = |waits: &mut Vec<Wait>| {
            for wait in waits.extract_if(.., |wait| wait.query.matches(event)) {
                met.push((wait.lane, wait.hold_id));
            }
        };
        take(&mut self.others);
        for key in terms(event) {
            if let Some(waits) = self.by_term.get_mut(&key) {
                take(waits);
                if waits.is_empty() {
                    self.by_term.remove(&key);
                }
            }
        }
        self.len -= met.len();
        met
    }

    /// Removes and returns all waits.
    pub(crate) fn remove_all(&mut self) -> Vec<Wait> {
        let all = std::mem::take(self);
        let mut waits: Vec<Wait> = all.by_term.into_values().flatten().chain(all.others).collect();
        waits.sort_by_key(|wait| wait.hold_id);
        waits
    }

    /// Removes the waits that have ended otherwise.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Wait) -> bool) {
        self.others.retain(&keep);
        self.by_term.retain(|_, waits| {
            waits.retain(&keep);
            !waits.is_empty()
        });
        self.len = self.others.len() + self.by_term.values().map(Vec::len).sum::<usize>();
    }
}

/// Returns a term that every event of the query must have.
fn term(query: &Query) -> Option<(Field, &str)> {
    match query {
        Query::Is(field, values) => match &values[..] {
            [Value::Exactly(value)] => Some((*field, value)),
            _ => None,
        },
        Query::And(queries) => queries.iter().find_map(term),
        _ => None,
    }
}

/// Returns all terms under which waits for an event can be indexed.
fn terms(event: &Recorded) -> Vec<(&'static str, String)> {
    let mut terms = vec![
        (Field::Stream.name(), event.stream().to_owned()),
        (Field::Category.name(), leftfold_api::category_of(event.stream()).to_owned()),
        (Field::Type.name(), event.event_type().to_owned()),
    ];
    terms.extend(event.correlation().map(|id| (Field::Correlation.name(), id.to_owned())));
    terms.extend(event.tags().map(|(key, value)| (Field::Tag.name(), format!("{key}={value}"))));
    terms
}

/// Returns whether a query names an index, which only the store can resolve.
pub(crate) fn names_an_index(query: &Query) -> bool {
    match query {
        Query::Index(_) | Query::Partition(_) => true,
        Query::And(queries) | Query::Or(queries) => queries.iter().any(names_an_index),
        Query::Not(query) => names_an_index(query),
        _ => false,
    }
}
