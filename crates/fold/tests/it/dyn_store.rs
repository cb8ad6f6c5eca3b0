//! A program that chooses its store when it starts: everything works over `DynStore`.

use std::sync::Arc;

use leftfold::react::{Cause, HandlerError, Reaction, Reactor};
use leftfold::view::{MemoryRows, Rows, View, ViewError, ViewRunner};
use leftfold::{
    Decider, DynStore, Entities, Execute, ExecuteError, NewEvent, Query, Recorded, StreamState,
};
use pollster::block_on;

use crate::bank::{Account, Refused, deposit, store, withdraw};

struct Streams;

impl View for Streams {
    fn name(&self) -> &str {
        "streams"
    }

    fn query(&self) -> Query {
        Query::All
    }

    fn apply(&self, rows: &mut dyn Rows, event: &Recorded) -> Result<(), ViewError> {
        rows.put(event.stream().as_bytes(), event.event_type().as_bytes())
    }
}

#[test]
fn commands_entities_reactors_and_views_work_over_any_store() {
    let store: DynStore = store();
    // Commands.
    block_on(store.execute(deposit("account-1", 10))).unwrap();
    block_on(Decider::new(store.clone()).execute(withdraw("account-1", 4))).unwrap();
    let accounts = Entities::<Account, _>::new(Decider::new(store.clone()));
    let refused = block_on(accounts.execute(withdraw("account-1", 7))).unwrap_err();
    assert_eq!(refused, ExecuteError::Refused(Refused::Insufficient { cents: 6 }));
    let state: Account =
        block_on(Decider::new(&store).load(&StreamState::of("account-1"))).unwrap();
    assert_eq!(state.cents, 6);
    // A reactor.
    let copy = |cause: Cause| async move {
        let copied = NewEvent::json(cause.event.event_type(), cause.event.data());
        Ok::<_, HandlerError>(Reaction::none().event("copy-1", copied))
    };
    let shared = Arc::new(store.clone());
    let reactor = Reactor::new("copy", Query::stream("account-1"), shared.clone(), copy);
    block_on(reactor.catch_up()).unwrap();
    // A view, which sees what the reactor wrote.
    let streams = ViewRunner::new(Streams, shared, MemoryRows::default());
    block_on(streams.catch_up()).unwrap();
    let rows = streams.rows();
    assert_eq!(rows.get(b"copy-1").unwrap().as_deref(), Some(&b"Withdrawn"[..]));
    // A store of any kind is one again.
    let again: DynStore = Arc::new(store);
    block_on(again.execute(deposit("account-2", 1))).unwrap();
}
