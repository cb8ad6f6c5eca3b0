use std::collections::VecDeque;
use std::sync::Arc;

use crate::event::NewEvent;
use crate::query::{Facts, Query};

/// So many of the last events are kept for checking conditions in memory. A draft that was
/// checked before the oldest of them goes back to its caller.
const KEPT: usize = 16_384;

/// And they take at most about so many bytes.
const KEPT_BYTES: usize = 32 << 20;

/// What a condition can look at of an event.
pub(crate) struct Described {
    stream: Arc<str>,
    event_type: String,
    correlation: Option<String>,
    tags: Vec<(String, String)>,
}

impl Described {
    pub(crate) fn new(stream: Arc<str>, event: NewEvent) -> Self {
        let NewEvent { event_type, correlation, tags, .. } = event;
        Described { stream, event_type, correlation, tags }
    }

    pub(crate) fn stream(&self) -> &str {
        &self.stream
    }

    /// About how many bytes it takes.
    fn size(&self) -> usize {
        const AROUND: usize = 100;
        let tags: usize =
            self.tags.iter().map(|(key, value)| AROUND + key.len() + value.len()).sum();
        let correlation = self.correlation.as_ref().map_or(0, String::len);
        AROUND + self.event_type.len() + correlation + tags
    }

    pub(crate) fn event_type(&self) -> &str {
        &self.event_type
    }
}

/// An event that was written lately, durable or not.
pub(crate) struct Recent {
    pub(crate) position: u64,
    pub(crate) micros: i64,
    pub(crate) described: Arc<Described>,
}

impl Facts for Recent {
    fn stream(&self) -> &str {
        &self.described.stream
    }

    fn event_type(&self) -> &str {
        &self.described.event_type
    }

    fn correlation(&self) -> Option<&str> {
        self.described.correlation.as_deref()
    }

    fn any_tag(&self, test: &dyn Fn(&str, &str) -> bool) -> bool {
        self.described.tags.iter().any(|(key, value)| test(key, value))
    }

    fn event_micros(&self) -> i64 {
        self.micros
    }
}

/// The last events, in the order of the log.
pub(crate) struct Recents {
    events: VecDeque<Recent>,
    bytes: usize,
    /// All events after this position are here.
    since: u64,
}

/// What the recent events say of a condition.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// None of them matches.
    Holds,
    /// One matches, or there are too many to look at now.
    Unsure,
}

impl Recents {
    pub(crate) fn since(position: u64) -> Self {
        Recents { events: VecDeque::new(), bytes: 0, since: position }
    }

    pub(crate) fn push(&mut self, event: Recent) {
        self.bytes += event.described.size();
        while (self.events.len() >= KEPT || self.bytes > KEPT_BYTES)
            && let Some(gone) = self.events.pop_front()
        {
            self.bytes -= gone.described.size();
            self.since = gone.position;
        }
        self.events.push_back(event);
    }

    /// Whether no event after a position matches, looking at no more than so many.
    pub(crate) fn none_after(&self, query: &Query, position: u64, budget: usize) -> Answer {
        if position < self.since {
            return Answer::Unsure;
        }
        let newer = self.events.iter().rev().take_while(|event| event.position > position);
        for (looked_at, event) in newer.enumerate() {
            if looked_at == budget || query.matches(event) {
                return Answer::Unsure;
            }
        }
        Answer::Holds
    }
}
