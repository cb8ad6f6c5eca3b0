//! Process managers: what several streams come to together, and what follows from it.
//!
//! A [`Process`] is a fold over the events of one key (a correlation id, or a tag), whatever streams
//! they are in, and says what follows from each: events, and timers. It is pure and synchronous. What
//! it says is written together with the progress past its cause: once, also if the process dies at any
//! point.

use std::collections::HashMap;
use std::sync::Arc;

use leftfold_store::{EventStore, Point, Query, Read};
use parking_lot::Mutex;

use crate::event::decode;
use crate::reactor::{Cause, Handler, Lanes, Reactor, Results, Setback};
use crate::state::State;

/// States that are held in memory; when there are more, all are let go and read again.
const CACHED: usize = 10_000;
/// Events of a process that are read at a time.
const PAGE: usize = 64;

/// What is known of one process, and what follows.
pub trait Process: State + Clone {
    /// What follows from an event, given all of the process up to it, itself included.
    fn react(&self, event: &Self::Event, cause: &Cause) -> Results;
}

/// Runs all processes of a kind: one for each key of the events that a query yields. Run it as any
/// reactor. Events of other types than the process knows, and events without the key, are left alone.
pub fn processes<P, S>(
    name: impl Into<String>,
    query: Query,
    key: Lanes,
    store: Arc<S>,
) -> Reactor<S, impl Handler>
where
    P: Process,
    S: EventStore<Subscription: 'static> + 'static,
{
    let running = Arc::new(Running::<P, S> {
        store: store.clone(),
        query: query.clone(),
        key: key.clone(),
        states: Mutex::default(),
    });
    let handler = move |cause: Cause| {
        let running = running.clone();
        async move { running.react(cause).await }
    };
    Reactor::new(name, query, store, handler).lanes(key)
}

struct Running<P, S> {
    store: Arc<S>,
    query: Query,
    key: Lanes,
    /// States, and the position of the last event in each.
    states: Mutex<HashMap<String, (P, u64)>>,
}

impl<P: Process, S: EventStore> Running<P, S> {
    async fn react(&self, cause: Cause) -> Result<Results, Setback> {
        let Some(event) = decode::<P::Event>(&cause.event)? else { return Ok(Results::none()) };
        let lane = self.key.of(&cause.event);
        let position = cause.event.position();
        let known = self.states.lock().remove(&lane).filter(|(_, last)| *last < position);
        let state = self.load(&lane, known.unwrap_or_default(), position).await?;
        let results = state.react(&event, &cause);
        let mut states = self.states.lock();
        if states.len() >= CACHED {
            states.clear();
        }
        states.insert(lane, (state, position));
        Ok(results)
    }

    /// Folds the events of a process after the last that is known, up to a position.
    async fn load(
        &self,
        lane: &str,
        (mut state, mut last): (P, u64),
        upto: u64,
    ) -> Result<P, Setback> {
        let query = self.query.clone().and(self.key.query(lane));
        let mut read = Read::forward(query.clone()).excluding(Point::Position(last));
        while last < upto {
            let page = self.store.read(read.limit(PAGE)).await?;
            for stored in page.events.iter().filter(|event| event.position() <= upto) {
                if self.key.of(stored) == lane
                    && let Some(event) = decode::<P::Event>(stored)?
                {
                    state.apply(&event);
                }
            }
            last = page.events.last().map_or(last, |event| event.position());
            if !page.more {
                break;
            }
            read = Read::forward(query.clone()).after(page.cursor);
        }
        Ok(state)
    }
}
