use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use leftfold_api::{Cursor, Timestamp};
use parking_lot::Mutex;

use super::core::Counts;
use super::place::{Place, merge_cursors};
use crate::time::{Time, time_until};

/// A view of a reactor while it runs: cheap to read, from any task. Made by
/// [`Reactor::status`](super::Reactor::status).
#[derive(Clone)]
pub struct StatusHandle {
    pub(super) shared: SharedGauges,
    pub(super) time: Arc<dyn Time>,
}

/// What a reactor does at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReactorStatus {
    /// What was done since the start of the run.
    pub counts: Counts,
    /// All events up to here are finished, except those of lanes that are held up. The positions
    /// from here to the store's [head](leftfold_api::EventStore::head) are the most that are
    /// missing.
    pub cursor: Cursor,
    /// Handlers that run.
    pub running: usize,
    /// Events that have arrived and are not finished, running ones included.
    pub queued: usize,
    /// Lanes that are held up: parked, waiting, to be retried, or behind.
    pub held_lanes: usize,
    /// How long ago the oldest unfinished event was committed, or zero if there is none. Events of
    /// lanes that are held up do not count.
    pub lag: Duration,
    /// Whether all events from before the start of the run have arrived.
    pub caught_up: bool,
}

/// The values that the engine updates.
#[derive(Debug, Clone)]
pub(super) struct Gauges {
    pub(super) counts: Counts,
    pub(super) cursor: Cursor,
    pub(super) running: usize,
    pub(super) queued: usize,
    pub(super) held_lanes: usize,
    /// When the oldest unfinished event was committed.
    pub(super) oldest: Option<Timestamp>,
    pub(super) caught_up: bool,
}

impl Default for Gauges {
    fn default() -> Self {
        Gauges {
            counts: Counts::default(),
            cursor: Cursor::START,
            running: 0,
            queued: 0,
            held_lanes: 0,
            oldest: None,
            caught_up: false,
        }
    }
}

/// The values of all runs of a reactor: one for each partition that is served.
#[derive(Clone, Default)]
pub(super) struct SharedGauges(Arc<Mutex<BTreeMap<u32, Gauges>>>);

impl SharedGauges {
    pub(super) fn set(&self, place: Option<Place>, gauges: Gauges) {
        self.0.lock().insert(place.map_or(0, |place| place.partition), gauges);
    }

    /// Forgets a partition that is served no more.
    pub(super) fn remove(&self, partition: u32) {
        self.0.lock().remove(&partition);
    }

    fn merged(&self) -> Gauges {
        let all = self.0.lock();
        let cursors = all.iter().map(|(partition, gauges)| (*partition, &gauges.cursor));
        let mut merged = Gauges { cursor: merge_cursors(cursors), ..Gauges::default() };
        merged.caught_up = !all.is_empty();
        for gauges in all.values() {
            merged.counts.add(gauges.counts);
            merged.running += gauges.running;
            merged.queued += gauges.queued;
            merged.held_lanes += gauges.held_lanes;
            merged.oldest = [merged.oldest, gauges.oldest].into_iter().flatten().min();
            merged.caught_up &= gauges.caught_up;
        }
        merged
    }
}

impl StatusHandle {
    /// Returns what the reactor does now. After the end of a run it shows that run's end.
    pub fn now(&self) -> ReactorStatus {
        let Gauges { counts, cursor, running, queued, held_lanes, oldest, caught_up } =
            self.shared.merged();
        let lag = oldest.map_or(Duration::ZERO, |oldest| time_until(oldest, self.time.now()));
        ReactorStatus { counts, cursor, running, queued, held_lanes, lag, caught_up }
    }
}
