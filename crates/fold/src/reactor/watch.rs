use std::collections::HashMap;

use leftfold_api::{Field, Query, Recorded, Value};

use super::core::Wait;

/// What lanes wait for. An event is held against those only that it could match: each wait stands
/// under something that its query demands exactly, if it demands such a thing.
#[derive(Default)]
pub(crate) struct Watch {
    by_term: HashMap<(&'static str, String), Vec<Wait>>,
    others: Vec<Wait>,
    len: usize,
}

impl Watch {
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

    /// Takes out all that the event ends: their lanes and turns.
    pub(crate) fn met_by(&mut self, event: &Recorded) -> Vec<(String, u64)> {
        let mut met = Vec::new();
        let mut take = |waits: &mut Vec<Wait>| {
            for wait in waits.extract_if(.., |wait| wait.query.matches(event)) {
                met.push((wait.lane, wait.turn));
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

    /// Takes all out.
    pub(crate) fn take(&mut self) -> Vec<Wait> {
        let all = std::mem::take(self);
        let mut waits: Vec<Wait> = all.by_term.into_values().flatten().chain(all.others).collect();
        waits.sort_by_key(|wait| wait.turn);
        waits
    }

    /// Takes out those that have ended otherwise.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Wait) -> bool) {
        self.others.retain(&keep);
        self.by_term.retain(|_, waits| {
            waits.retain(&keep);
            !waits.is_empty()
        });
        self.len = self.others.len() + self.by_term.values().map(Vec::len).sum::<usize>();
    }
}

/// Something that every event must have that the query wants.
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

/// All that an event could be found under.
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

/// Whether a query asks for a named index, which only the store can.
pub(crate) fn asks_an_index(query: &Query) -> bool {
    match query {
        Query::Index(_) => true,
        Query::And(queries) | Query::Or(queries) => queries.iter().any(asks_an_index),
        Query::Not(query) => asks_an_index(query),
        _ => false,
    }
}
