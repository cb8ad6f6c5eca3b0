use std::collections::VecDeque;

use leftfold_api::{Cursor, Recorded, Timestamp};

use super::journal::{Head, Held, Low, State};

/// An event in memory, on its way through its lane.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) event: Recorded,
    /// Before the event: from here it can be read again.
    pub(crate) before: Cursor,
    /// After it.
    pub(crate) at: Cursor,
    /// Its number in the window; none if its lane answers for it.
    pub(crate) number: Option<u64>,
}

impl Item {
    pub(crate) fn bytes(&self) -> usize {
        self.event.data().len() + self.event.metadata().len()
    }
}

/// Events that are handled one after the other. A lane that is in step has all of its unfinished
/// events in memory, and the window answers for them. One that is held up answers for itself: it
/// has a progress of its own, and what comes for it is read from the store when its turn comes.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    pub(crate) queue: VecDeque<Item>,
    pub(crate) hold: Option<Hold>,
    /// Whether its first event is at work, or about to be, or its next page is on its way.
    pub(crate) busy: bool,
    /// Whether it is durable that the effect of its first event may have begun.
    pub(crate) begun: bool,
    /// Failed attempts of its first event.
    pub(crate) attempts: u32,
    /// How often the results of its first event met a condition that does not hold.
    pub(crate) conflicts: u32,
    /// The event that ended its first event's last wait.
    pub(crate) woken: Option<Cursor>,
    /// Since when its first event is held up.
    pub(crate) since: Option<Timestamp>,
}

/// What a lane that is held up knows of itself.
#[derive(Debug, Clone)]
pub(crate) struct Hold {
    pub(crate) held: Held,
    /// The last event of the lane that has come and is not in memory.
    pub(crate) upto: Low,
    /// Tells this reason for waiting from later ones.
    pub(crate) turn: u64,
}

impl Lane {
    /// What is to be known of it after a restart.
    pub(crate) fn fact(&self, now: Timestamp) -> Option<Held> {
        let front = self.queue.front();
        match (&self.hold, front) {
            (hold, Some(front)) if self.begun => {
                let after =
                    hold.as_ref().map_or(front.before.clone(), |hold| hold.held.after.clone());
                Some(Held { after, head: Some(self.head(front, now)), state: State::Begun })
            }
            (Some(hold), _) => Some(hold.held.clone()),
            (None, _) => None,
        }
    }

    /// What is to be known of its first event.
    pub(crate) fn head(&self, front: &Item, now: Timestamp) -> Head {
        let since = self.since.unwrap_or(now);
        Head { attempts: self.attempts, ..Head::of(&front.event, front.at.clone(), since) }
    }

    /// What is said of it once its first event is finished.
    pub(crate) fn fact_when_done(&self) -> Option<Held> {
        let hold = self.hold.as_ref()?;
        let after = self.queue.front().map_or(hold.held.after.clone(), |front| front.at.clone());
        Some(Held { after, head: None, state: State::Behind })
    }

    /// Its first event is finished.
    pub(crate) fn pop(&mut self) -> Option<Item> {
        let item = self.queue.pop_front()?;
        if let Some(hold) = &mut self.hold {
            hold.held = Held { after: item.at.clone(), head: None, state: State::Behind };
        }
        (self.begun, self.attempts, self.conflicts) = (false, 0, 0);
        (self.woken, self.since) = (None, None);
        Some(item)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.hold.is_none() && !self.busy
    }
}
