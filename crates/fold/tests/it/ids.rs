//! A command id belongs to one command: sent again it is answered as before, and another command
//! with it is an error, whichever way it was sent.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::thread;

use event_listener::Event as Signal;
use leftfold::time::FakeTime;
use leftfold::{
    Append, Coded, Command, CommandContext, Commands, Decider, Embedded, Emit, Entities, Event,
    Execute, ExecuteError, FoldError, NewEvent, Outcome, Query, QueryState, Read, StreamState,
    Timestamp,
};
use pollster::block_on;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::bank::{Account, Bank, Deposit, Open, Refused, Withdraw, deposit, store, withdraw};

const ID: Uuid = Uuid::from_u128(8);

fn id() -> CommandContext {
    CommandContext::with_id(ID)
}

/// Closes an empty account's books; decides nothing while it has money.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Sweep(String);

impl Command for Sweep {
    type Event = Bank;
    type Error = Refused;
    type Reads = StreamState<Account>;

    fn reads(&self) -> StreamState<Account> {
        StreamState::of(&self.0)
    }

    fn decide(&self, account: &Account) -> Result<Vec<Bank>, Refused> {
        Ok((account.cents > 0)
            .then_some(Bank::Withdrawn { cents: account.cents })
            .into_iter()
            .collect())
    }
}

impl leftfold::Recordable for Sweep {}

fn sweep() -> Sweep {
    Sweep("account-1".into())
}

fn count(store: &Embedded, query: Query) -> usize {
    store.blocking().read(Read::forward(query)).unwrap().events.len()
}

fn is_reused<T: std::fmt::Debug, R>(answer: Result<T, ExecuteError<R>>) -> bool
where
    R: std::error::Error + 'static,
{
    let error = answer.unwrap_err();
    assert_eq!((error.code(), error.can_retry()), ("command_id_reused", false));
    assert!(error.to_string().contains(&ID.to_string()), "{error}");
    matches!(error, ExecuteError::Store(FoldError::IdReused { id: ID }))
}

#[test]
fn an_id_of_another_command_is_an_error() {
    let store = store();
    let first = block_on(store.execute_as(id(), deposit("account-1", 10))).unwrap();
    // Another amount, another account, and another type with the same fields.
    assert!(is_reused(block_on(store.execute_as(id(), deposit("account-1", 11)))));
    assert!(is_reused(block_on(store.execute_as(id(), deposit("account-2", 10)))));
    assert!(is_reused(block_on(store.execute_as(id(), withdraw("account-1", 10)))));
    assert!(is_reused(block_on(store.execute_as(id(), sweep()))));
    assert!(is_reused(block_on(
        store.execute_as(id(), Open { account: "account-9", owner: "ann" })
    )));
    let again = block_on(store.execute_as(id(), deposit("account-1", 10))).unwrap();
    assert_eq!((again.repeated, again.events), (true, first.events));
    assert_eq!(count(&store, Query::All), 1);
}

#[test]
fn an_entity_refuses_the_id_of_another_command() {
    let store = store();
    let accounts = Entities::<Account, _>::new(Decider::new(store.clone()));
    // In one batch, and later.
    let first = accounts.execute_as(id(), deposit("account-1", 10));
    let other = accounts.execute_as(id(), deposit("account-1", 11));
    assert!(!block_on(first).unwrap().repeated);
    assert!(is_reused(block_on(other)));
    assert!(is_reused(block_on(accounts.execute_as(id(), withdraw("account-1", 10)))));
    assert!(is_reused(block_on(accounts.execute_as(id(), withdraw("account-2", 0)))));
    assert!(block_on(accounts.execute_as(id(), deposit("account-1", 10))).unwrap().repeated);
}

#[test]
fn a_command_that_decided_nothing_is_remembered() {
    let store = store();
    let accounts = Entities::<Account, _>::new(Decider::new(store.clone()));
    let first = block_on(store.execute_as(id(), sweep())).unwrap();
    assert_eq!((first.events.len(), first.repeated), (0, false));
    let other = CommandContext::with_id(Uuid::from_u128(9));
    let first = block_on(accounts.execute_as(other.clone(), sweep())).unwrap();
    assert_eq!((first.events.len(), first.repeated), (0, false));
    // It would withdraw now.
    block_on(accounts.execute(deposit("account-1", 10))).unwrap();
    for issued in [id(), other] {
        let by_store = block_on(store.execute_as(issued.clone(), sweep())).unwrap();
        let by_entity = block_on(accounts.execute_as(issued, sweep())).unwrap();
        for again in [by_store, by_entity] {
            assert_eq!((again.events, again.repeated), (vec![], true));
        }
    }
    // Its id is taken, too.
    assert!(is_reused(block_on(store.execute_as(id(), deposit("account-1", 1)))));
    assert!(is_reused(block_on(accounts.execute_as(id(), deposit("account-1", 1)))));
    // The memory is bookkeeping, beside the stream; a command without an id needs none.
    block_on(store.execute(sweep())).unwrap();
    block_on(store.execute(sweep())).unwrap();
    assert_eq!(count(&store, Query::stream("leftfold.handled-1")), 2);
    assert_eq!(count(&store, Query::All), 2);
}

#[test]
fn concurrent_commands_that_decide_nothing_are_one() {
    let store = store();
    block_on(store.execute(Open { account: "account-1", owner: "ann" })).unwrap();
    let open = || Open { account: "account-1", owner: "ann" };
    let other = || {
        let command = crate::bank::After { command: open(), first: || {} };
        assert!(!block_on(store.execute_as(id(), command)).unwrap().repeated);
    };
    let command = crate::bank::After { command: open(), first: other };
    assert!(block_on(store.execute_as(id(), command)).unwrap().repeated);
}

#[test]
fn a_refused_command_is_not_remembered() {
    let store = store();
    let refused = block_on(store.execute_as(id(), withdraw("account-1", 1)));
    assert!(matches!(refused, Err(ExecuteError::Refused(_))));
    block_on(store.execute(deposit("account-1", 1))).unwrap();
    assert!(!block_on(store.execute_as(id(), withdraw("account-1", 1))).unwrap().repeated);
}

#[test]
fn events_of_earlier_releases_do_not_tell_their_command() {
    let store = store();
    let event = NewEvent::json("Deposited", r#"{"cents":7}"#).tag("$command", ID.to_string());
    store.blocking().append(Append::new().event("account-1", event)).unwrap();
    let again = block_on(store.execute_as(id(), withdraw("account-1", 3))).unwrap();
    assert_eq!((again.repeated, &again.events[0].event), (true, &Bank::Deposited { cents: 7 }));
}

#[test]
fn the_order_of_a_maps_keys_does_not_make_another_command() {
    #[derive(Serialize)]
    struct Pay(HashMap<String, u64>);
    impl Command for Pay {
        type Event = Bank;
        type Error = Infallible;
        type Reads = ();
        fn reads(&self) {}
        fn decide(&self, (): &()) -> Result<Vec<Emit<Bank>>, Infallible> {
            Ok(vec![Bank::Deposited { cents: self.0.values().sum() }.to("account-1")])
        }
    }
    let store = store();
    let pay = || Pay((0..100).map(|nth| (format!("item-{nth}"), nth)).collect());
    assert!(!block_on(store.execute_as(id(), pay())).unwrap().repeated);
    assert!(block_on(store.execute_as(id(), pay())).unwrap().repeated);
}

#[test]
fn a_boundary_that_grew_does_not_make_another_command() {
    #[derive(Serialize)]
    struct Audit {
        #[serde(skip)]
        query: Query,
    }
    impl Command for Audit {
        type Event = Bank;
        type Error = Infallible;
        type Reads = QueryState<crate::bank::Accounts>;
        fn reads(&self) -> Self::Reads {
            QueryState::untyped(self.query.clone())
        }
        fn decide(&self, _: &crate::bank::Accounts) -> Result<Vec<Emit<Bank>>, Infallible> {
            Ok(vec![])
        }
    }
    let store = store();
    let (old, new) = (Query::event_type("A"), Query::event_type("A").or(Query::event_type("B")));
    assert!(!block_on(store.execute_as(id(), Audit { query: old })).unwrap().repeated);
    assert!(block_on(store.execute_as(id(), Audit { query: new })).unwrap().repeated);
}

/// Runs a runner while `other` runs.
fn while_running<C: leftfold::Recordable, R: Send>(
    commands: &Commands<C, Arc<Embedded>>,
    other: impl FnOnce() -> R,
) -> R
where
    Decider<Arc<Embedded>>: leftfold::commands::Handle<C>,
{
    let (stop, time) = (Signal::new(), Arc::new(FakeTime::at(Timestamp(1_000_000))));
    let (stopped, decider) = (stop.listen(), Decider::new(commands.store().clone()));
    thread::scope(|scope| {
        let runner = scope.spawn(move || block_on(commands.run_until(decider, time, stopped)));
        let answer = other();
        stop.notify(usize::MAX);
        runner.join().unwrap().unwrap();
        answer
    })
}

#[test]
fn a_command_stream_refuses_the_id_of_another_command() {
    let store = store();
    let deposits = Commands::<Deposit, _>::new("deposits", store.clone()).unwrap();
    let withdrawals = Commands::<Withdraw, _>::new("withdrawals", store.clone()).unwrap();
    let first = block_on(deposits.accept(id(), &deposit("account-1", 5))).unwrap();
    let reused = |answer: Result<_, leftfold::commands::AcceptError>| {
        assert_eq!(answer.unwrap_err().code(), "command_id_reused");
    };
    // Another amount, another key, and another command stream.
    reused(block_on(deposits.accept(id(), &deposit("account-1", 6))));
    reused(block_on(deposits.accept(id(), &deposit("account-2", 5))));
    reused(block_on(withdrawals.accept(id(), &withdraw("account-1", 5))));
    // The same command again, with another trace.
    let again = id().metadata("traceparent", "00-1-2-01");
    let again = block_on(deposits.accept(again, &deposit("account-1", 5))).unwrap();
    assert_eq!((again.repeated, again.cursor), (true, first.cursor));
    assert_eq!(count(&store, Query::event_type("CommandAccepted")), 1);
}

#[test]
fn an_id_that_was_used_elsewhere_is_an_outcome() {
    let store = store();
    let deposits = Commands::<Deposit, _>::new("deposits", store.clone()).unwrap();
    block_on(store.execute_as(id(), deposit("account-1", 5))).unwrap();
    let same = while_running(&deposits, || {
        block_on(deposits.execute(id(), &deposit("account-1", 5))).unwrap()
    });
    let Outcome::Done(events) = same else { panic!("{same:?}") };
    assert_eq!(events[0].event, Bank::Deposited { cents: 5 });
    let other = CommandContext::with_id(Uuid::from_u128(9));
    block_on(store.execute_as(other.clone(), deposit("account-1", 5))).unwrap();
    let outcome = while_running(&deposits, || {
        block_on(deposits.execute(other, &deposit("account-1", 6))).unwrap()
    });
    let Outcome::Failed { code, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(code, "command_id_reused");
}

#[test]
fn a_command_refused_by_a_command_stream_keeps_its_id() {
    let store = store();
    let withdrawals = Commands::<Withdraw, _>::new("withdrawals", store.clone()).unwrap();
    let outcome = while_running(&withdrawals, || {
        block_on(withdrawals.execute(id(), &withdraw("account-1", 5))).unwrap()
    });
    assert_eq!(outcome, Outcome::Refused(Refused::Insufficient { cents: 0 }));
    assert!(is_reused(block_on(store.execute_as(id(), deposit("account-1", 5)))));
}
