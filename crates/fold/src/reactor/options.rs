use std::time::Duration;

use leftfold_api::{Field, Query, Recorded, Value};
use leftfold_io::Random;

/// How often an effect may happen. Results are written exactly once either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Guarantee {
    /// The effect, then the progress. A crash in between repeats the effect: at most those that
    /// were at work, or whose completion was not durable yet. They are called with the same
    /// [`key`](super::Cause::key).
    #[default]
    AtLeastOnce,
    /// The progress is durable before the effect begins. An effect that fails, or is cut short by a
    /// crash, is not tried again by itself, because nobody knows what it has done: it is parked. A
    /// handler that waits for a dependency says with that that it has done nothing yet.
    AtMostOnce,
}

/// What events must have in common to be handled one after the other, in the order of the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Lanes {
    /// The stream.
    #[default]
    ByStream,
    /// The correlation id. Events without one are taken by their stream.
    ByCorrelation,
    /// The value of the tag of this key (the first, if there are several). Events without one are
    /// taken by their stream.
    ByTag(String),
}

impl Lanes {
    /// The lane of an event.
    pub(crate) fn of(&self, event: &Recorded) -> String {
        let own = match self {
            Lanes::ByStream => None,
            Lanes::ByCorrelation => event.correlation(),
            Lanes::ByTag(wanted) => event.tags().find(|tag| tag.0 == wanted).map(|tag| tag.1),
        };
        match (self, own) {
            (Lanes::ByStream, _) => event.stream().to_owned(),
            (_, Some(own)) => format!("={own}"),
            (_, None) => format!("/{}", event.stream()),
        }
    }

    /// What yields all events of a lane, and perhaps others.
    pub(crate) fn query(&self, lane: &str) -> Query {
        let rest = || lane.get(1..).unwrap_or_default();
        match (self, lane.starts_with('=')) {
            (Lanes::ByStream, _) => Query::stream(lane),
            (Lanes::ByCorrelation, true) => Query::correlation(rest()),
            (Lanes::ByTag(key), true) => Query::tag(key, rest()),
            (_, false) => Query::stream(rest()),
        }
    }
}

/// When a failed attempt is followed by the next: after a time between nothing and `first`, doubled
/// with every attempt up to `longest` (exponential backoff with full jitter, so that what failed
/// together does not come back together).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// As many attempts, then the event is parked. At least 1.
    pub attempts: u32,
    /// The bound of the first wait.
    pub first: Duration,
    /// The bound of any wait.
    pub longest: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(60));
        Retry { attempts: 10, first, longest }
    }
}

impl Retry {
    /// How many microseconds to wait after so many attempts.
    pub(crate) fn wait_micros(&self, attempts: u32, random: &dyn Random) -> i64 {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let doubled = 1u64.checked_shl(attempts.saturating_sub(1)).unwrap_or(u64::MAX);
        let bound = micros(self.first).saturating_mul(doubled).min(micros(self.longest));
        let part = (random.next_u128() % (u128::from(bound) + 1)) as u64;
        i64::try_from(part).unwrap_or(i64::MAX)
    }
}

/// What a reactor may hold in memory and do at a time. Each is at least 1.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReactorLimits {
    /// Handlers at work at a time.
    pub in_flight: usize,
    /// Events held in memory, waiting or at work.
    pub queued: usize,
    /// Bytes of data and metadata of these; one event is taken whatever its size.
    pub queued_bytes: usize,
    /// Events of one lane held in memory. What comes for a lane that is so far behind is read again
    /// later, so that a slow lane does not stop the others.
    pub queued_per_lane: usize,
    /// Events between the first that is not finished and the last that was begun.
    pub window: usize,
    /// Lanes that are held up: waiting, parked or behind. When there are so many, nothing new is
    /// begun until one of them is resolved; nothing is lost.
    pub held_lanes: usize,
    /// Finished events whose progress is written at a time.
    pub batch: usize,
    /// How often results whose condition does not hold are made anew before that counts as a failed
    /// attempt. More than there are handlers at work, since these may all be after the same stream
    /// and one of them gets through at a time.
    pub conflicts: u32,
}

impl Default for ReactorLimits {
    fn default() -> Self {
        ReactorLimits {
            in_flight: 64,
            queued: 1_024,
            queued_bytes: 64 << 20,
            queued_per_lane: 32,
            window: 10_000,
            held_lanes: 100_000,
            batch: 256,
            conflicts: 128,
        }
    }
}

impl ReactorLimits {
    /// With at least one of everything: with less nothing would ever be done.
    pub(crate) fn workable(mut self) -> Self {
        let counts = [
            &mut self.in_flight,
            &mut self.queued,
            &mut self.queued_per_lane,
            &mut self.window,
            &mut self.held_lanes,
            &mut self.batch,
        ];
        counts.into_iter().for_each(|count| *count = (*count).max(1));
        self
    }
}

/// All but the bookkeeping of reactors and of the store itself: reactors must not react to what
/// they cause by running.
pub(crate) fn without_bookkeeping(query: Query) -> Query {
    let own = [super::JOURNAL, super::CONTROL];
    let own = own.map(|category| Value::Exactly(category.to_owned())).to_vec();
    let store = Query::Is(Field::Stream, vec![Value::Prefix("$".to_owned())]);
    query.and(Query::Not(Box::new(Query::Is(Field::Category, own).or(store))))
}
