//! Dependencies that lanes wait for: looked for once in what is there, and then in all that comes.
//! What comes is followed before what is there is searched, so nothing falls between.

use std::collections::VecDeque;

use leftfold_api::{Cursor, Delivery, EventStore, Query, Read, ReadError};

use super::{Engine, Happened};
use crate::reactor::ReactorError;
use crate::reactor::core::Wait;
use crate::reactor::handler::Handler;
use crate::reactor::watch::{Watch, asks_an_index};

/// Searches for dependencies at a time.
const SEARCHES: usize = 32;
/// Waits that have ended otherwise are cleared away when there are so many more than held lanes, or
/// when half of all are known to have ended: so that clearing costs little for each.
const SPARE: usize = 1_024;

#[derive(Default)]
pub(super) struct Watching {
    /// Not looked for yet.
    new: VecDeque<Wait>,
    watch: Watch,
    /// Whether what comes is looked at.
    following: Following,
    searches: usize,
    /// Waits that a search has ended.
    ended: usize,
    /// How much had been handled when all was looked for last.
    searched_at: u64,
}

/// Whether what comes is looked at. Nothing is while nobody waits.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Following {
    #[default]
    Off,
    Starting,
    On,
}

/// What a search or a look at what comes has come to.
pub(super) enum Watched {
    /// What comes after this is looked at from now on.
    Started(Result<(), ReadError>),
    /// A search; the cursor after what was found.
    Searched(String, u64, Result<Option<Cursor>, ReadError>),
    /// What has come.
    Came(Result<Delivery, ReadError>),
}

impl Watching {
    /// Whether all was looked for.
    pub(super) fn is_quiet(&self) -> bool {
        self.new.is_empty() && self.searches == 0 && self.following != Following::Starting
    }

    /// Looks for all again, if more has been handled since; says whether there is anything to do.
    pub(super) fn search_again(&mut self, handled: u64) -> bool {
        if std::mem::replace(&mut self.searched_at, handled) == handled {
            return false;
        }
        self.ended = 0;
        self.new.extend(self.watch.take());
        !self.new.is_empty()
    }
}

impl<S, H> Engine<S, H>
where
    S: EventStore<Subscription: 'static> + 'static,
    H: Handler,
{
    pub(super) fn begin_waits(&mut self) {
        for wait in self.core.take_waits() {
            match asks_an_index(&wait.query) {
                true => self.core.can_not_wait(&wait.lane, wait.turn),
                false => self.watching.new.push_back(wait),
            }
        }
        self.clear_away();
        match self.watching.following {
            Following::Off if !self.watching.new.is_empty() => {
                self.watching.following = Following::Starting;
                self.sources.follow_what_comes(self.store.clone());
            }
            Following::On if self.watching.is_quiet() && self.watching.watch.len() == 0 => {
                self.watching.following = Following::Off;
                self.sources.follow_no_more();
            }
            Following::On => {
                self.begin_searches();
                self.sources.listen_to_what_comes();
            }
            Following::Off | Following::Starting => {}
        }
    }

    fn clear_away(&mut self) {
        let (all, ended) = (self.watching.watch.len(), self.watching.ended);
        if all > 2 * self.core.held() + SPARE || (ended > 0 && ended * 2 >= all) {
            self.watching.watch.retain(|wait| self.core.is_waiting(&wait.lane, wait.turn));
            self.watching.ended = 0;
        }
    }

    fn begin_searches(&mut self) {
        while self.watching.searches < SEARCHES
            && let Some(wait) = self.watching.new.pop_front()
        {
            if !self.core.is_waiting(&wait.lane, wait.turn) {
                continue;
            }
            let (store, query, after) =
                (self.store.clone(), wait.query.clone(), wait.after.clone());
            let (lane, turn) = (wait.lane.clone(), wait.turn);
            self.watching.watch.add(wait);
            self.watching.searches += 1;
            self.sources.push(async move {
                let found = search(&*store, query, after).await;
                Happened::Watched(Watched::Searched(lane, turn, found))
            });
        }
    }

    pub(super) fn watched(&mut self, watched: Watched) -> Result<(), ReactorError> {
        match watched {
            Watched::Started(started) => {
                started?;
                self.watching.following = Following::On;
            }
            Watched::Searched(lane, turn, found) => {
                self.watching.searches -= 1;
                if let Some(at) = found? {
                    self.watching.ended += 1;
                    self.core.woken(&lane, turn, at);
                }
            }
            Watched::Came(delivery) => {
                if let Delivery::Event(event, at) = delivery? {
                    for (lane, turn) in self.watching.watch.met_by(&event) {
                        self.core.woken(&lane, turn, at.clone());
                    }
                }
            }
        }
        Ok(())
    }
}

/// The cursor after the first event that the query yields.
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
