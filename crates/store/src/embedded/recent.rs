use std::collections::VecDeque;

use bytes::Bytes;
use smallvec::SmallVec;

use leftfold_api::record::{Field, Layout};
use leftfold_api::{Facts, Query};

/// The most recent events that are kept in memory to check conditions. A draft that was checked before
/// the oldest of them goes back to its caller.
const MAX_EVENTS: usize = 16_384;

/// About the most bytes that they take.
const MAX_BYTES: usize = 32 << 20;

/// A recent event, durable or not, as its caller encoded it: without its version, and perhaps without
/// its payload.
pub(crate) struct RecentEvent<'a> {
    micros: i64,
    layout: Layout<'a>,
}

impl<'a> RecentEvent<'a> {
    /// Returns the event at the start of these bytes, with its event time.
    pub(crate) fn of(bytes: &'a [u8], micros: i64) -> Self {
        RecentEvent { micros, layout: Layout::of(bytes) }
    }
}

impl Facts for RecentEvent<'_> {
    fn stream(&self) -> &str {
        self.layout.text(Field::Stream)
    }

    fn event_type(&self) -> &str {
        self.layout.text(Field::EventType)
    }

    fn correlation(&self) -> Option<&str> {
        Some(self.layout.text(Field::Correlation)).filter(|id| !id.is_empty())
    }

    fn any_tag(&self, test: &dyn Fn(&str, &str) -> bool) -> bool {
        let mut tags = self.layout.tags().filter_map(|tag| tag.split_once('='));
        tags.any(|(key, value)| test(key, value))
    }

    fn each_tag(&self, visit: &mut dyn FnMut(&str, &str)) {
        let tags = self.layout.tags().filter_map(|tag| tag.split_once('='));
        tags.for_each(|(key, value)| visit(key, value));
    }

    fn event_micros(&self) -> i64 {
        self.micros
    }
}

/// The events of a recent append.
pub(crate) struct RecentAppend {
    /// The position of its first event.
    pub(crate) first: u64,
    pub(crate) described: Bytes,
    /// The start of each event in `described`, and its event time.
    pub(crate) events: SmallVec<[(usize, i64); 1]>,
}

impl RecentAppend {
    /// Returns the events with their positions, from the last to the first.
    fn backward(&self) -> impl Iterator<Item = (u64, RecentEvent<'_>)> {
        self.events.iter().enumerate().rev().map(|(nth, (start, micros))| {
            let bytes = self.described.get(*start..).unwrap_or_default();
            (self.first + nth as u64, RecentEvent::of(bytes, *micros))
        })
    }

    fn last(&self) -> u64 {
        self.first + self.events.len() as u64 - 1
    }

    /// Returns about how many bytes the append takes in memory.
    fn size(&self) -> usize {
        const OVERHEAD: usize = 64;
        self.described.len() + OVERHEAD * (1 + self.events.len())
    }
}

/// The most recent events, in the order of the log.
pub(crate) struct RecentEvents {
    appends: VecDeque<RecentAppend>,
    events: usize,
    bytes: usize,
    /// All events after this position are in memory.
    since: u64,
}

/// The outcome of checking a condition against the recent events.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ConditionCheck {
    /// No event matches.
    Holds,
    /// An event matches, or there are too many to check.
    Unknown,
}

impl RecentEvents {
    /// Returns an empty list that begins after a position.
    pub(crate) fn since(position: u64) -> Self {
        RecentEvents { appends: VecDeque::new(), events: 0, bytes: 0, since: position }
    }

    /// Adds an append, and drops the oldest ones beyond the limits.
    pub(crate) fn push(&mut self, append: RecentAppend) {
        if append.events.is_empty() {
            return;
        }
        self.bytes += append.size();
        self.events += append.events.len();
        self.appends.push_back(append);
        while (self.events > MAX_EVENTS || self.bytes > MAX_BYTES)
            && let Some(oldest) = self.appends.pop_front()
        {
            self.bytes -= oldest.size();
            self.events -= oldest.events.len();
            self.since = oldest.last();
        }
    }

    /// Checks that no event after a position matches, with a limit on the number of events.
    pub(crate) fn none_after(&self, query: &Query, position: u64, budget: usize) -> ConditionCheck {
        if position < self.since {
            return ConditionCheck::Unknown;
        }
        let newest_first = self.appends.iter().rev().flat_map(RecentAppend::backward);
        let newer = newest_first.take_while(|(at, _)| *at > position);
        for (checked, (_, event)) in newer.enumerate() {
            if checked == budget || query.matches(&event) {
                return ConditionCheck::Unknown;
            }
        }
        ConditionCheck::Holds
    }
}
