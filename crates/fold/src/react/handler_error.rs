use std::fmt;
use std::time::Duration;

use leftfold_api::{Cursor, Query, Timestamp};

/// Why a handler could not handle its event now, and what to do about it.
///
/// Every error converts into one with `?`: then the event is retried with back-off until its
/// attempts are used up.
#[derive(Debug, Clone, PartialEq)]
pub struct HandlerError {
    pub(crate) reason: String,
    pub(crate) then: NextStep,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NextStep {
    Retry,
    /// Retry at a time of the handler's choice.
    RetryAt(Timestamp),
    Park,
    Later(Timestamp),
    /// Decide again at once: what a decision rests on has changed.
    Again,
    /// Finish what was decided before: the decision is in this partition.
    Decided(u32),
    Wait {
        query: Query,
        after: Option<Cursor>,
        until: Option<Timestamp>,
    },
}

impl HandlerError {
    /// Retries with back-off until the attempts are used up, then parks.
    pub fn retry(reason: impl Into<String>) -> Self {
        HandlerError { reason: reason.into(), then: NextStep::Retry }
    }

    /// Retries at a time, not before, until the attempts are used up, then parks: for a target that says when to come
    /// back, or a schedule of its own.
    pub fn retry_at(reason: impl Into<String>, when: Timestamp) -> Self {
        HandlerError { reason: reason.into(), then: NextStep::RetryAt(when) }
    }

    /// Parks at once, because no retry can help.
    pub fn park(reason: impl Into<String>) -> Self {
        HandlerError { reason: reason.into(), then: NextStep::Park }
    }

    /// Parks at once, because the domain has refused a command.
    pub fn refused(refusal: &impl std::error::Error) -> Self {
        HandlerError::park(format!("refused: {}", with_sources(refusal)))
    }

    /// Calls the handler again at once, because another writer has changed what a decision rests
    /// on. This uses up no attempt, unless it happens too often.
    pub(crate) fn overtaken(stream: &str) -> Self {
        let reason = format!("other writers have changed what was decided on, such as {stream}");
        HandlerError { reason, then: NextStep::Again }
    }

    /// Ends the call, because the event was decided on before, in this partition.
    pub(crate) fn decided(partition: u32) -> Self {
        let reason = format!("the event was decided on before, in partition {partition}");
        HandlerError { reason, then: NextStep::Decided(partition) }
    }

    /// Retries with back-off, because the handler has taken longer than its time limit.
    pub(crate) fn over_time(limit: Duration) -> Self {
        HandlerError::retry(format!("the handler has not ended within its time limit of {limit:?}"))
    }

    /// Retries at a time, not before. This uses up no attempt.
    pub fn later(when: Timestamp) -> Self {
        HandlerError { reason: format!("waits until {when}"), then: NextStep::Later(when) }
    }

    /// Waits for a missing dependency: retries as soon as there is an event that matches the query,
    /// in the past or the future. Each matching event wakes the handler once. Waiting uses up no
    /// attempt.
    ///
    /// A query that names an index can't be waited for.
    pub fn wait_for(query: impl Into<Query>) -> Self {
        let query = query.into();
        let reason = format!("waits for {query}");
        HandlerError { reason, then: NextStep::Wait { query, after: None, until: None } }
    }

    /// Restricts a wait to events after this cursor. Pass the cursor up to which the handler has
    /// looked.
    pub fn after(mut self, cursor: Cursor) -> Self {
        if let NextStep::Wait { after, .. } = &mut self.then {
            *after = Some(cursor);
        }
        self
    }

    /// Sets the deadline of a wait, after which the event is parked.
    pub fn until(mut self, deadline: Timestamp) -> Self {
        if let NextStep::Wait { until, .. } = &mut self.then {
            *until = Some(deadline);
        }
        self
    }

    /// Returns the reason.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for HandlerError {
    fn from(error: E) -> Self {
        HandlerError::retry(with_sources(&*error.into()))
    }
}

/// Returns the texts of an error and of what caused it.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        // Many errors say their cause already.
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}
