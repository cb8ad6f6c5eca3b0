use std::time::Duration;

use leftfold_api::{Field, Query, Recorded, Value};
use leftfold_io::Random;

/// How often an effect may happen. Results are written exactly once in both cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Guarantee {
    /// The effect, then the progress. A crash in between repeats effects: at most those that were
    /// running or whose completion was not durable yet. Their handlers are called with the same
    /// [`key`](super::Cause::key).
    #[default]
    AtLeastOnce,
    /// The start is durable before the effect begins. An effect that fails or is interrupted by a
    /// crash is parked, not retried, because its outcome is unknown. A handler that waits for a
    /// dependency thereby declares that its effect has not begun.
    AtMostOnce,
}

/// What events must share to be handled one after the other, in the order of the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Lanes {
    /// The stream.
    #[default]
    ByStream,
    /// The correlation id. Events without one are ordered by their stream.
    ByCorrelation,
    /// The value of the tag of this key (the first, if there are several). Events without the tag
    /// are ordered by their stream.
    ByTag(String),
    /// Nothing: each event has a lane of its own, and events are handled in any order. For effects that are right in
    /// any order, such as writes of a document with its version.
    ByEvent,
}

impl Lanes {
    /// Returns the lane of an event.
    pub(crate) fn of(&self, event: &Recorded) -> String {
        let own = match self {
            Lanes::ByEvent => return format!("{}@{}", event.version(), event.stream()),
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

    /// Returns a query that yields all events of a lane, and perhaps others.
    pub(crate) fn query(&self, lane: &str) -> Query {
        let rest = || lane.get(1..).unwrap_or_default();
        match (self, lane.starts_with('=')) {
            (Lanes::ByEvent, _) => {
                Query::stream(lane.split_once('@').map_or(lane, |parts| parts.1))
            }
            (Lanes::ByStream, _) => Query::stream(lane),
            (Lanes::ByCorrelation, true) => Query::correlation(rest()),
            (Lanes::ByTag(key), true) => Query::tag(key, rest()),
            (_, false) => Query::stream(rest()),
        }
    }
}

/// When a failed attempt is retried: after a random time between zero and a bound. The bound is
/// `first` and doubles with every attempt up to `longest` (exponential back-off with full jitter,
/// so that concurrent failures do not retry together).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// The number of attempts after which the event is parked. At least 1.
    pub attempts: u32,
    /// The bound of the first back-off.
    pub first: Duration,
    /// The largest bound.
    pub longest: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(60));
        Retry { attempts: 10, first, longest }
    }
}

impl Retry {
    /// Returns how many microseconds to wait after this number of attempts.
    pub(crate) fn wait_micros(&self, attempts: u32, random: &dyn Random) -> i64 {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let doubled = 1u64.checked_shl(attempts.saturating_sub(1)).unwrap_or(u64::MAX);
        let bound = micros(self.first).saturating_mul(doubled).min(micros(self.longest));
        let part = (random.next_u128() % (u128::from(bound) + 1)) as u64;
        i64::try_from(part).unwrap_or(i64::MAX)
    }
}

/// The limits of a reactor's memory and concurrency. Each is at least 1.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReactorLimits {
    /// Handlers that run at a time.
    pub in_flight: usize,
    /// Events in memory, queued or being handled.
    pub queued: usize,
    /// Bytes of data and metadata of these; one event is accepted whatever its size.
    pub queued_bytes: usize,
    /// Events of one lane in memory. Later events of such a lane are read again when their turn
    /// comes, so that a slow lane does not stop the others.
    pub queued_per_lane: usize,
    /// Events between the first unfinished and the last started one.
    pub window: usize,
    /// Lanes that are held up: waiting, parked or behind. At the limit no new event is started until
    /// one of them is resolved; nothing is lost.
    pub held_lanes: usize,
    /// Finished events whose progress is appended at a time.
    pub batch: usize,
    /// How often results with a failed condition are made again before that counts as a failed
    /// attempt. The default exceeds `in_flight`, because all running handlers may append to the same
    /// stream, and then one succeeds at a time.
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
    /// Raises each limit to at least 1, because a reactor with 0 would do nothing.
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

/// Excludes the streams of reactors and of the store, so that reactors do not react to their own
/// progress.
pub(crate) fn without_bookkeeping(query: Query) -> Query {
    let own = [super::JOURNAL, super::CONTROL];
    let own = own.map(|category| Value::Exactly(category.to_owned())).to_vec();
    let store = Query::Is(Field::Stream, vec![Value::Prefix("$".to_owned())]);
    query.and(Query::Not(Box::new(Query::Is(Field::Category, own).or(store))))
}
