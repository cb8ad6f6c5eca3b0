//! Process managers: state over several streams, and what follows from it.
//!
//! A [`Process`] is a fold over the events of one key (a correlation id or a tag), in whatever
//! streams they are. For each event it returns what follows: events, timers and commands. It is pure
//! and synchronous, and [`given`] tests it without a store. A command is decided by the reactor, on what has
//! happened until then; so what a process wants to change should be a command. Its results are appended together with the reactor's progress, so they happen once,
//! also if the process crashes at any point.
//!
//! If the query yields the process's own results, they are part of its state. They are folded right
//! after their cause, wherever they are in the log. So what follows from an event depends only on
//! what came before it, not on what was appended in between by chance.

mod given;
mod history;

use std::sync::Arc;

use leftfold_api::{EventStore, Query, Read, Recorded};

use crate::event::decode;
use crate::react::{Cause, Handler, HandlerError, Lanes, Reaction, Reactor};
use crate::state::State;
pub use given::{GivenProcess, given};
use history::History;

/// The maximum number of events of one process. All of them are read for each event: a process
/// should have tens of events.
const LONGEST: usize = 10_000;

/// The state of one process, and its reactions.
pub trait Process: State {
    /// Returns what follows from an event, given the fold of all events up to it, itself included.
    fn react(&self, event: &Self::Event, cause: &Cause) -> Reaction;
}

/// Makes a reactor that runs all processes of a kind: one for each key of the events of a query.
/// Run it like any reactor. Events of types that the process does not know are skipped. Events
/// without the key belong to the process of their stream. A process of more than 10,000 events is
/// parked.
pub fn processes<P, S>(
    name: impl Into<String>,
    query: impl Into<Query>,
    key: Lanes,
    store: Arc<S>,
) -> Reactor<S, impl Handler>
where
    P: Process,
    S: EventStore + 'static,
{
    let (name, query) = (name.into(), query.into());
    let runner = Arc::new(ProcessRunner {
        reactor: name.clone(),
        store: store.clone(),
        query: query.clone(),
        key: key.clone(),
    });
    let handler = move |cause: Cause| {
        let runner = runner.clone();
        async move { runner.react::<P>(cause).await }
    };
    Reactor::new(name, query, store, handler).lanes(key)
}

struct ProcessRunner<S> {
    reactor: String,
    store: Arc<S>,
    query: Query,
    key: Lanes,
}

impl<S: EventStore> ProcessRunner<S> {
    async fn react<P: Process>(&self, cause: Cause) -> Result<Reaction, HandlerError> {
        let Some(event) = decode::<P::Event>(&cause.event)? else { return Ok(Reaction::none()) };
        let mut state = P::default();
        let events = self.events(&self.key.of(&cause.event)).await?;
        if events.iter().any(|event| !cause.is_beside(event.stream())) {
            return Err(HandlerError::park(
                "crosses_partitions: the events of a process have an order only in one partition; use streams with \
                 the same text behind their category or in braces",
            ));
        }
        for known in History::of(&self.reactor, &events).known_at(cause.event.position()) {
            if let Some(known) = decode::<P::Event>(known)? {
                state.apply(&known);
            }
        }
        Ok(state.react(&event, &cause))
    }

    /// Reads all events of a process.
    async fn events(&self, lane: &str) -> Result<Vec<Recorded>, HandlerError> {
        let query = self.query.clone().and(self.key.query(lane));
        let (mut events, mut read) = (Vec::new(), Read::forward(query.clone()));
        loop {
            let page = self.store.read(read).await?;
            events.extend(page.events.into_iter().filter(|event| self.key.of(event) == lane));
            if events.len() > LONGEST {
                let reason = format!("the process has more than {LONGEST} events");
                return Err(HandlerError::park(reason));
            }
            if !page.more {
                return Ok(events);
            }
            read = Read::forward(query.clone()).after(page.cursor);
        }
    }
}
