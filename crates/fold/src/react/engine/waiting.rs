//! The dependencies that lanes wait for: each is searched once in the past, and then in all new
//! events. The subscription to new events starts before the search, so no event is missed.

use std::collections::VecDeque;

use leftfold_api::{Cursor, Delivery, EventStore, Query, Read, ReadError};

use super::{Engine, Wakeup};
use crate::react::ReactorError;
use crate::react::core::Wait;
use crate::react::handler::Handler;
use crate::react::watch::{WaitIndex, names_an_index};

/// The maximum number of concurrent searches.
const SEARCHES: usize = 32;
/// Ended waits are removed when the waits exceed twice the held lanes by this number, or when half
/// of all are known to have ended. So the cost per wait is small.
const SPARE: usize = 1_024;

#[derive(Default)]
pub(super) struct WaitTracker {
    /// Waits whose search has not started.
    new: VecDeque<Wait>,
    watch: WaitIndex,
    /// Whether new events are followed.
    following: FollowState,
    searches: usize,
    /// The number of waits that a search has ended.
    ended: usize,
    /// The number of handled events at the last search for all waits.
    searched_at: u64,
}

/// Whether new events are followed. They are not while no lane waits.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum FollowState {
    #[default]
    Off,
    Starting,
    On,
}

/// The result of a search or of following new events.
pub(super) enum WatchResult {
    /// New events after this point are followed.
    Started(Result<(), ReadError>),
    /// A search has ended; the cursor after the event that it found.
    Searched(String, u64, Result<Option<Cursor>, ReadError>),
    /// The next new event.
    NewEvent(Result<Delivery, ReadError>),
}

impl WaitTracker {
    /// Returns whether no search is pending.
    pub(super) fn is_quiet(&self) -> bool {
        self.new.is_empty() && self.searches == 0 && self.following != FollowState::Starting
    }

    /// Searches again for all waits if more events were handled since; returns whether there are
    /// any.
    pub(super) fn search_again(&mut self, handled: u64) -> bool {
        if std::mem::replace(&mut self.searched_at, handled) == handled {
            return false;
        }
        self.ended = 0;
        self.new.extend(self.watch.remove_all());
        !self.new.is_empty()
    }
}

impl<S, H> Engine<S, H>
where
    S: EventStore + 'static,
    H: Handler,
{
    pub(super) fn start_waits(&mut self) {
        for wait in self.core.take_waits() {
            match names_an_index(&wait.query) {
                true => self.core.reject_wait(&wait.lane, wait.hold_id),
                false => self.waits.new.push_back(wait),
            }
        }
        self.remove_ended_waits();
        match self.waits.following {
            FollowState::Off if !self.waits.new.is_empty() => {
                self.waits.following = FollowState::Starting;
                self.sources.follow_new_events(self.store.clone());
            }
            FollowState::On if self.waits.is_quiet() && self.waits.watch.len() == 0 => {
                self.waits.following = FollowState::Off;
                self.sources.stop_following();
            }
            FollowState::On => {
                self.start_searches();
                self.sources.listen_to_new_events();
            }
            FollowState::Off | FollowState::Starting => {}
        }
    }

    fn remove_ended_waits(&mut self) {
        let (all, ended) = (self.waits.watch.len(), self.waits.ended);
        if all > 2 * self.core.held() + SPARE || (ended > 0 && ended * 2 >= all) {
            self.waits.watch.retain(|wait| self.core.is_waiting(&wait.lane, wait.hold_id));
            self.waits.ended = 0;
        }
    }

    fn start_searches(&mut self) {
        while self.waits.searches < SEARCHES
            && let Some(wait) = self.waits.new.pop_front()
        {
            if !self.core.is_waiting(&wait.lane, wait.hold_id) {
                continue;
            }
            let (store, query, after) =
                (self.store.clone(), wait.query.clone(), wait.after.clone());
            let (lane, hold_id) = (wait.lane.clone(), wait.hold_id);
            self.waits.watch.add(wait);
            self.waits.searches += 1;
            self.sources.push(async move {
                let found = search(&*store, query, after).await;
                Wakeup::WatchResult(WatchResult::Searched(lane, hold_id, found))
            });
        }
    }

    pub(super) fn handle_watch_result(&mut self, watched: WatchResult) -> Result<(), ReactorError> {
        match watched {
            WatchResult::Started(started) => {
                started?;
                self.waits.following = FollowState::On;
            }
            WatchResult::Searched(lane, hold_id, found) => {
                self.waits.searches -= 1;
                if let Some(at) = found? {
                    self.waits.ended += 1;
                    self.core.wake(&lane, hold_id, at);
                }
            }
            WatchResult::NewEvent(delivery) => {
                if let Delivery::Event(event, at) = delivery? {
                    for (lane, hold_id) in self.waits.watch.remove_matching(&event) {
                        self.core.wake(&lane, hold_id, at.clone());
                    }
                }
            }
        }
        Ok(())
    }
}

/// Returns the cursor after the first event of the query.
async fn search(
    store: &impl EventStore,
    query: Query,
    after: Cursor,
) -> Result<Option<Cursor>, ReadError> {
    let mut from = after;
    loop {
        let page = store.read(Read::forward(query.clone()).after(from).limit(1)).await?;
        if !page.events.is_empty() {
            return Ok(Some(page.cursor));
        }
        if !page.more {
            return Ok(None);
        }
        from = page.cursor;
    }
}
