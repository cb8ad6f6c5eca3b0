use std::collections::VecDeque;

use leftfold_api::{Cursor, Recorded, Timestamp};

use super::journal::{HeadEvent, HoldState, LaneState, LowMark};

/// An event in memory, queued in its lane.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) event: Recorded,
    /// The cursor before the event, from which it can be read again.
    pub(crate) before: Cursor,
    /// The cursor after it.
    pub(crate) at: Cursor,
    /// Its number in the window; `None` if its lane tracks its own progress.
    pub(crate) number: Option<u64>,
}

impl Item {
    pub(crate) fn bytes(&self) -> usize {
        self.event.data().len() + self.event.metadata().len()
    }
}

/// Events that are handled one after the other. All unfinished events of a lane in step are in
/// memory, and the window tracks them. A lane that is held up tracks its own progress, and its
/// later events are read from the store when their turn comes.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    pub(crate) queue: VecDeque<Item>,
    pub(crate) hold: Option<Hold>,
    /// Whether its first event is being handled or about to be, or its next page is being read.
    pub(crate) busy: bool,
    /// Whether it is durable that the effect of its first event may have begun.
    pub(crate) begun: bool,
    /// The failed attempts of its first event.
    pub(crate) attempts: u32,
    /// How often the results of its first event met a condition that does not hold.
    pub(crate) conflicts: u32,
    /// The cursor of the event that ended the last wait of its first event.
    pub(crate) woken: Option<Cursor>,
    /// The time since when its first event is held up.
    pub(crate) since: Option<Timestamp>,
}

/// The state of a lane that is held up.
#[derive(Debug, Clone)]
pub(crate) struct Hold {
    pub(crate) held: LaneState,
    /// The last event of the lane that has arrived and is not in memory.
    pub(crate) upto: LowMark,
    /// The number of this hold, which tells it from later ones.
    pub(crate) hold_id: u64,
}

impl Lane {
    /// Returns what the journal must record about it, so that a restart finds it.
    pub(crate) fn fact(&self, now: Timestamp) -> Option<LaneState> {
        let front = self.queue.front();
        match (&self.hold, front) {
            (hold, Some(front)) if self.begun => {
                let after =
                    hold.as_ref().map_or(front.before.clone(), |hold| hold.held.after.clone());
                Some(LaneState {
                    after,
                    head: Some(self.head(front, now)),
                    state: HoldState::Begun,
                })
            }
            (Some(hold), _) => Some(hold.held.clone()),
            (None, _) => None,
        }
    }

    /// Returns what the journal records about its first event.
    pub(crate) fn head(&self, front: &Item, now: Timestamp) -> HeadEvent {
        let since = self.since.unwrap_or(now);
        HeadEvent {
            attempts: self.attempts,
            ..HeadEvent::of(&front.event, front.at.clone(), since)
        }
    }

    /// Returns what the journal records about it once its first event is finished.
    pub(crate) fn fact_when_finished(&self) -> Option<LaneState> {
        let hold = self.hold.as_ref()?;
        let after = self.queue.front().map_or(hold.held.after.clone(), |front| front.at.clone());
        Some(LaneState { after, head: None, state: HoldState::Behind })
    }

    /// Removes its first event, which is finished.
    pub(crate) fn pop(&mut self) -> Option<Item> {
        let item = self.queue.pop_front()?;
        if let Some(hold) = &mut self.hold {
            hold.held = LaneState { after: item.at.clone(), head: None, state: HoldState::Behind };
        }
        (self.begun, self.attempts, self.conflicts) = (false, 0, 0);
        (self.woken, self.since) = (None, None);
        Some(item)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.hold.is_none() && !self.busy
    }
}
