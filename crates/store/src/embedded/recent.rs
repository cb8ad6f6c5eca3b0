use std::collections::VecDeque;

use bytes::Bytes;
use smallvec::SmallVec;

use leftfold_api::record::{Field, Layout};
use leftfold_api::{Facts, Query};

/// So many of the last events are kept for checking conditions in memory. A draft that was
/// checked before the oldest of them goes back to its caller.
const KEPT: usize = 16_384;

/// And they take at most about so many bytes.
const KEPT_BYTES: usize = 32 << 20;

/// An event that was written lately, durable or not, as its caller laid it out: perhaps without its
/// payload, and without its version.
pub(crate) struct Recent<'a> {
    micros: i64,
    layout: Layout<'a>,
}

impl<'a> Recent<'a> {
    /// An event by its bytes (more may follow) and its time.
    pub(crate) fn of(bytes: &'a [u8], micros: i64) -> Self {
        Recent { micros, layout: Layout::of(bytes) }
    }
}

impl Facts for Recent<'_> {
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

/// The events of an append that was written lately.
pub(crate) struct RecentAppend {
    /// The position of its first event.
    pub(crate) first: u64,
    pub(crate) described: Bytes,
    /// Where each event begins in `described`, and its time.
    pub(crate) events: SmallVec<[(usize, i64); 1]>,
}

impl RecentAppend {
    /// Its events with their positions, the last one first.
    fn backward(&self) -> impl Iterator<Item = (u64, Recent<'_>)> {
        self.events.iter().enumerate().rev().map(|(nth, (start, micros))| {
            let bytes = self.described.get(*start..).unwrap_or_default();
            (self.first + nth as u64, Recent::of(bytes, *micros))
        })
    }

    fn last(&self) -> u64 {
        self.first + self.events.len() as u64 - 1
    }

    /// About how many bytes it takes.
    fn size(&self) -> usize {
        const AROUND: usize = 64;
        self.described.len() + AROUND * (1 + self.events.len())
    }
}

/// The last events, in the order of the log.
pub(crate) struct Recents {
    appends: VecDeque<RecentAppend>,
    events: usize,
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
        Recents { appends: VecDeque::new(), events: 0, bytes: 0, since: position }
    }

    pub(crate) fn push(&mut self, append: RecentAppend) {
        if append.events.is_empty() {
            return;
        }
        self.bytes += append.size();
        self.events += append.events.len();
        self.appends.push_back(append);
        while (self.events > KEPT || self.bytes > KEPT_BYTES)
            && let Some(gone) = self.appends.pop_front()
        {
            self.bytes -= gone.size();
            self.events -= gone.events.len();
            self.since = gone.last();
        }
    }

    /// Whether no event after a position matches, looking at no more than so many.
    pub(crate) fn none_after(&self, query: &Query, position: u64, budget: usize) -> Answer {
        if position < self.since {
            return Answer::Unsure;
        }
        let newest_first = self.appends.iter().rev().flat_map(RecentAppend::backward);
        let newer = newest_first.take_while(|(at, _)| *at > position);
        for (looked_at, (_, event)) in newer.enumerate() {
            if looked_at == budget || query.matches(&event) {
                return Answer::Unsure;
            }
        }
        Answer::Holds
    }
}
