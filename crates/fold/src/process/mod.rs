//! Process managers: what several streams come to together, and what follows from it.
//!
//! A [`Process`] is a fold over the events of one key (a correlation id, or a tag), whatever streams
//! they are in, and says what follows from each: events, and timers. It is pure and synchronous. What
//! it says is written together with the progress past its cause: once, also if the process dies at any
//! point.
//!
//! What it has said itself is a part of what it knows, if the query yields it: its events are folded
//! right behind their cause, wherever they stand in the log. So what follows from an event depends on
//! what came before it, and on nothing that came in between by chance.

mod history;

use std::sync::Arc;

use leftfold_api::{EventStore, Query, Read, Recorded};

use crate::event::decode;
use crate::reactor::{Cause, Handler, Lanes, Reactor, Results, Setback};
use crate::state::State;
use history::History;

/// Events of one process. All of them are read for each: a process is a matter of tens of events.
const LONGEST: usize = 10_000;

/// What is known of one process, and what follows.
pub trait Process: State {
    /// What follows from an event, given all of the process up to it, itself included.
    fn react(&self, event: &Self::Event, cause: &Cause) -> Results;
}

/// Runs all processes of a kind: one for each key of the events that a query yields. Run it as any
/// reactor. Events of other types than the process knows are left alone; those without the key belong
/// to the process of their stream. A process of more than 10,000 events is parked.
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
    let name = name.into();
    let running = Arc::new(Running {
        reactor: name.clone(),
        store: store.clone(),
        query: query.clone(),
        key: key.clone(),
    });
    let handler = move |cause: Cause| {
        let running = running.clone();
        async move { running.react::<P>(cause).await }
    };
    Reactor::new(name, query, store, handler).lanes(key)
}

struct Running<S> {
    reactor: String,
    store: Arc<S>,
    query: Query,
    key: Lanes,
}

impl<S: EventStore> Running<S> {
    async fn react<P: Process>(&self, cause: Cause) -> Result<Results, Setback> {
        let Some(event) = decode::<P::Event>(&cause.event)? else { return Ok(Results::none()) };
        let mut state = P::default();
        let events = self.events(&self.key.of(&cause.event)).await?;
        for known in History::of(&self.reactor, &events).upto(cause.event.position()) {
            if let Some(known) = decode::<P::Event>(known)? {
                state.apply(&known);
            }
        }
        Ok(state.react(&event, &cause))
    }

    /// All of a process that is there.
    async fn events(&self, lane: &str) -> Result<Vec<Recorded>, Setback> {
        let query = self.query.clone().and(self.key.query(lane));
        let (mut events, mut read) = (Vec::new(), Read::forward(query.clone()));
        loop {
            let page = self.store.read(read).await?;
            events.extend(page.events.into_iter().filter(|event| self.key.of(event) == lane));
            if events.len() > LONGEST {
                let reason = format!("the process has more than {LONGEST} events");
                return Err(Setback::park(reason));
            }
            if !page.more {
                return Ok(events);
            }
            read = Read::forward(query.clone()).after(page.cursor);
        }
    }
}
