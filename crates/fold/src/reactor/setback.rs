use std::fmt;

use leftfold_api::{Cursor, Query, Timestamp};

/// Why a handler could not do its work now, and what is to be done about it.
///
/// Every error turns into one with `?`: it is tried again, with backoff, until the attempts are
/// used up.
#[derive(Debug, Clone, PartialEq)]
pub struct Setback {
    pub(crate) reason: String,
    pub(crate) then: Then,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Then {
    Retry,
    Park,
    Later(Timestamp),
    Wait { query: Query, after: Option<Cursor>, until: Option<Timestamp> },
}

impl Setback {
    /// Try again, later and later, until the attempts are used up; then park.
    pub fn retry(reason: impl Into<String>) -> Self {
        Setback { reason: reason.into(), then: Then::Retry }
    }

    /// No attempt can help: park at once.
    pub fn park(reason: impl Into<String>) -> Self {
        Setback { reason: reason.into(), then: Then::Park }
    }

    /// Its time has not come: not before then. That uses up no attempt.
    pub fn later(when: Timestamp) -> Self {
        Setback { reason: format!("waits until {when}"), then: Then::Later(when) }
    }

    /// Something is missing: try again as soon as there is an event that matches the query. It may
    /// have come at any time; each one that matches wakes the handler once. Waiting uses up no
    /// attempt.
    ///
    /// A query that names an index can't be waited for.
    pub fn wait_for(query: Query) -> Self {
        let reason = format!("waits for {query}");
        Setback { reason, then: Then::Wait { query, after: None, until: None } }
    }

    /// Of a wait: only an event after this cursor wakes. Give where you looked for it.
    pub fn after(mut self, cursor: Cursor) -> Self {
        if let Then::Wait { after, .. } = &mut self.then {
            *after = Some(cursor);
        }
        self
    }

    /// Of a wait: park if it has not come by then.
    pub fn until(mut self, deadline: Timestamp) -> Self {
        if let Then::Wait { until, .. } = &mut self.then {
            *until = Some(deadline);
        }
        self
    }

    /// What is wrong.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Setback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl<E: std::error::Error> From<E> for Setback {
    fn from(error: E) -> Self {
        Setback::retry(error.to_string())
    }
}
