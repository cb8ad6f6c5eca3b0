//! What a command brings reaches all of its events, on every way.

use std::convert::Infallible;
use std::sync::Arc;

use leftfold::react::{Cause, HandlerError, Reaction, Reactor};
use leftfold::time::FakeTime;
use leftfold::timer::timers;
use leftfold::{
    Coded, Command, CommandContext, Commands, Decider, Embedded, Emit, Entities, Event, Execute,
    MAX_METADATA, NewEvent, Query, Read, Recorded, StreamState, Timestamp, given,
};
use pollster::block_on;
use serde::Serialize;
use uuid::Uuid;

use crate::bank::{Account, Bank, Deposit, deposit, store};

fn all(store: &Embedded, query: Query) -> Vec<Recorded> {
    store.blocking().read(Read::forward(query)).unwrap().events
}

fn metadata(event: &Recorded) -> serde_json::Value {
    serde_json::from_slice(&event.metadata()).unwrap()
}

fn issued(nth: u128) -> CommandContext {
    #[derive(Serialize)]
    struct Client {
        address: &'static str,
    }
    let client = Client { address: "192.0.2.7" };
    CommandContext::with_id(Uuid::from_u128(nth))
        .correlation("order-1")
        .causation("click-5")
        .metadata("user", "bob")
        .metadata("user", "ann")
        .metadata("client", client)
}

fn assert_marked(event: &Recorded) {
    let metadata = metadata(event);
    let what = event.event_type();
    assert_eq!(metadata["user"], "ann", "{what}");
    assert_eq!(metadata["client"]["address"], "192.0.2.7", "{what}");
    assert_eq!(event.correlation(), Some("order-1"), "{what}");
}

#[test]
fn metadata_reaches_the_events_of_every_way() {
    let store = store();
    let accounts = Entities::<Account, _>::new(Decider::new(store.clone()));
    let deposits = Commands::<Deposit, _>::new("deposits", store.clone()).unwrap();
    block_on(store.execute_as(issued(1), deposit("account-1", 1))).unwrap();
    block_on(accounts.execute_as(issued(2), deposit("account-1", 1))).unwrap();
    block_on(deposits.accept(issued(3), &deposit("account-1", 1))).unwrap();
    let decider = Decider::new(store.clone());
    let stop = async { drop(deposits.outcome(Uuid::from_u128(3)).await) };
    block_on(deposits.run_until(decider, Arc::new(FakeTime::at(Timestamp(0))), stop)).unwrap();
    let events = all(&store, Query::All);
    let types: Vec<_> = events.iter().map(Recorded::event_type).collect();
    assert_eq!(types, ["Deposited", "Deposited", "CommandAccepted", "Deposited", "CommandDone"]);
    events.iter().for_each(assert_marked);
    let causes: Vec<_> = events.iter().map(|event| event.causation().unwrap_or_default()).collect();
    let accepted = Uuid::from_u128(3).to_string();
    assert_eq!(causes, ["click-5", "click-5", "click-5", &accepted, &accepted]);
}

#[test]
fn metadata_is_bounded_and_checked() {
    struct Unwritable;
    impl Serialize for Unwritable {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }
    let store = store();
    let code = |context| {
        let answer = block_on(store.execute_as(context, deposit("account-1", 1)));
        answer.map_or_else(|error| error.code(), |_| "none")
    };
    let with = |bytes| CommandContext::new().metadata("a", "x".repeat(bytes));
    assert_eq!(code(with(MAX_METADATA - 8)), "none");
    assert_eq!(code(with(MAX_METADATA - 7)), "event_too_large");
    assert_eq!(code(CommandContext::new().metadata("$command_digest", "x")), "name_reserved");
    assert_eq!(code(CommandContext::new().metadata("a", Unwritable)), "event_unencodable");
    assert_eq!(all(&store, Query::All).len(), 1);
}

#[test]
fn a_command_without_metadata_writes_none() {
    let store = store();
    block_on(store.execute(deposit("account-1", 1))).unwrap();
    assert_eq!(all(&store, Query::All)[0].metadata().len(), 0);
}

#[test]
fn a_command_executed_in_a_handler_is_linked_to_its_cause() {
    let store = store();
    let wanted = NewEvent::json("Wanted", "{}")
        .correlation("trip-7")
        .metadata(r#"{"traceparent":"00-1-2-01","tracestate":"a=b","user":"ann"}"#);
    store.blocking().append(leftfold::Append::new().event("x-1", wanted)).unwrap();
    let of_handler = store.clone();
    let handler = move |cause: Cause| {
        let store = of_handler.clone();
        async move {
            let context = cause.context().id(cause.id(0));
            store.execute_as(context, deposit("account-1", 1)).await?;
            Ok::<_, HandlerError>(Reaction::none())
        }
    };
    let reactor = Reactor::new("x", Query::event_type("Wanted"), store.clone(), handler)
        .time(FakeTime::at(Timestamp(0)));
    block_on(reactor.catch_up()).unwrap();
    let [cause, done] =
        ["Wanted", "Deposited"].map(|it| all(&store, Query::event_type(it)).remove(0));
    assert_eq!(done.correlation(), Some("trip-7"));
    assert_eq!(done.causation(), Some(&*cause.id().to_string()));
    let metadata = metadata(&done);
    assert_eq!(
        (&metadata["traceparent"], &metadata["tracestate"]),
        (&"00-1-2-01".into(), &"a=b".into())
    );
    assert_eq!(metadata.get("user"), None);
}

/// Reminds an account's owner unless the timer is cancelled.
#[derive(Serialize)]
struct Remind {
    due: Option<i64>,
}

impl Command for Remind {
    type Event = Bank;
    type Error = Infallible;
    type Reads = (StreamState<Account>,);

    fn reads(&self) -> Self::Reads {
        (StreamState::of("account-1"),)
    }

    fn decide(&self, _: &(Account,)) -> Result<Vec<Emit<Bank>>, Infallible> {
        let timer = match self.due {
            Some(due) => Emit::timer(
                "account-1/reminder",
                Timestamp(due),
                "account-1",
                Bank::Withdrawn { cents: 1 },
            ),
            None => Emit::cancel_timer("account-1/reminder"),
        };
        let deposited = |cents| Bank::Deposited { cents }.to("account-1");
        Ok(vec![deposited(1), timer, deposited(2)])
    }
}

#[test]
fn a_decision_sets_and_cancels_timers_with_its_events() {
    let [one, timer, two] = [
        Bank::Deposited { cents: 1 }.to("account-1"),
        Emit::timer("account-1/reminder", Timestamp(50), "account-1", Bank::Withdrawn { cents: 1 }),
        Bank::Deposited { cents: 2 }.to("account-1"),
    ];
    let none = given::<Bank>([]);
    assert_eq!(
        none.when(Remind { due: Some(50) }),
        Ok(vec![one.clone(), timer.clone(), two.clone()])
    );
    let cancel = Emit::cancel_timer("account-1/reminder");
    assert_eq!(none.when(Remind { due: None }), Ok(vec![one, cancel, two]));
    assert!(given([timer]).when(Remind { due: None }).is_ok());

    let store = store();
    let done = block_on(store.execute_as(issued(1), Remind { due: Some(50) })).unwrap();
    let written: Vec<_> = done.events.iter().map(|it| (it.position, it.version)).collect();
    assert_eq!(written, [(1, 0), (3, 1)]);
    let reactor = |at| timers(store.clone()).time(FakeTime::at(Timestamp(at)));
    block_on(reactor(50).catch_up()).unwrap();
    let fired = all(&store, Query::event_type("Withdrawn")).remove(0);
    assert_marked(&fired);
    assert_eq!(metadata(&fired).get("$command_digest"), None);
    // Set again and cancelled, it does not fire.
    block_on(store.execute(Remind { due: Some(60) })).unwrap();
    block_on(store.execute(Remind { due: None })).unwrap();
    block_on(reactor(70).catch_up()).unwrap();
    assert_eq!(all(&store, Query::event_type("Withdrawn")).len(), 1);
    // The timer is a part of what the id remembers.
    let again = block_on(store.execute_as(issued(1), Remind { due: Some(50) })).unwrap();
    assert_eq!((again.repeated, again.events), (true, done.events));
}

/// A command is accepted without a digest and handled with one, which must not make it too large.
#[test]
fn a_command_with_as_much_metadata_as_there_may_be_is_handled() {
    let store = store();
    let deposits = Commands::<Deposit, _>::new("deposits", store.clone()).unwrap();
    let note = "x".repeat(MAX_METADATA - r#"{"note":""}"#.len());
    let context = CommandContext::new().metadata("note", note);
    let accepted = block_on(deposits.accept(context, &deposit("account-1", 1))).unwrap();
    let stop = async { drop(deposits.outcome(accepted.id).await) };
    let time = Arc::new(FakeTime::at(Timestamp(0)));
    block_on(deposits.run_until(Decider::new(store.clone()), time, stop)).unwrap();
    assert_eq!(all(&store, Query::event_type("CommandDone")).len(), 1);
}

/// A command whose stream has no valid name is at fault itself, and stops no other.
#[test]
fn a_command_that_reads_an_invalid_stream_fails_alone() {
    let store = store();
    let deposits = Commands::<Deposit, _>::new("deposits", store.clone()).unwrap();
    let wrong = block_on(deposits.accept(CommandContext::new(), &deposit("", 1))).unwrap();
    let right = block_on(deposits.accept(CommandContext::new(), &deposit("account-1", 1))).unwrap();
    let stop = async {
        drop(deposits.outcome(wrong.id).await);
        drop(deposits.outcome(right.id).await);
    };
    let time = Arc::new(FakeTime::at(Timestamp(0)));
    block_on(deposits.run_until(Decider::new(store.clone()), time, stop)).unwrap();
    assert_eq!(all(&store, Query::event_type("CommandFailed")).len(), 1);
    assert_eq!(all(&store, Query::event_type("CommandDone")).len(), 1);
}
