//! Executing commands: load, decide, append on condition, retry.

use std::sync::atomic::{AtomicU64, Ordering};

use leftfold::{
    Coded, Command, CommandContext, Decider, Event, Execute, ExecuteError, Expected, FoldError,
    Query, Read, Retention, StreamState, WrittenEvent, given,
};
use pollster::block_on;
use uuid::Uuid;

use crate::bank::{Account, After, Bank, Open, Refused, deposit, put, store, withdraw};

#[test]
fn a_decision_can_be_tested_without_a_store() {
    let opened = Bank::Opened { owner: "ann".into() };
    let deposited = Bank::Deposited { cents: 10 };
    assert_eq!(
        given([opened, deposited]).when(withdraw("account-1", 11)),
        Err(Refused::Insufficient { cents: 10 })
    );
    let two = ["account-1", "account-2"].map(|it| Bank::Opened { owner: "ann".into() }.to(it));
    let third = || Open { account: "account-3", owner: "ann" };
    assert_eq!(given(two.clone()).when(third()), Err(Refused::Enough));
    assert_eq!(given(two.clone()).when(Open { account: "account-2", owner: "ann" }), Ok(vec![]));
    let opened = Bank::Opened { owner: "ann".into() }.to("account-3");
    assert_eq!(given(two.into_iter().take(1)).when(third()), Ok(vec![opened]));
}

#[test]
fn a_commands_events_go_to_the_stream_that_it_reads() {
    let store = store();
    let first = block_on(store.execute(deposit("account-1", 10))).unwrap();
    let second = block_on(store.execute(withdraw("account-1", 4))).unwrap();
    let event = Bank::Withdrawn { cents: 4 };
    let done = WrittenEvent::new(2, "account-1", 1, event);
    assert_eq!(second.events, [done]);
    assert_eq!((first.attempts, second.attempts, second.repeated), (1, 1, false));
    let left =
        block_on(Decider::new(&store).load(&StreamState::<Account>::of("account-1"))).unwrap();
    assert_eq!(left.cents, 6);
}

#[test]
fn a_refusal_writes_nothing() {
    let store = store();
    block_on(store.execute(deposit("account-1", 10))).unwrap();
    let refused = block_on(store.execute(withdraw("account-1", 11))).unwrap_err();
    assert_eq!(refused, ExecuteError::Refused(Refused::Insufficient { cents: 10 }));
    assert_eq!((refused.code(), refused.can_retry()), ("command_refused", false));
    assert_eq!(store.blocking().stream("account-1").unwrap().unwrap().version, 0);
}

#[test]
fn an_overtaken_decision_is_made_again_on_the_new_state() {
    let store = store();
    block_on(store.execute(deposit("account-1", 10))).unwrap();
    let times = AtomicU64::new(0);
    let first = || {
        if times.fetch_add(1, Ordering::Relaxed) == 0 {
            block_on(store.execute(withdraw("account-1", 5))).unwrap();
        }
    };
    let answer = block_on(store.execute(After { command: withdraw("account-1", 6), first }));
    assert_eq!(answer, Err(ExecuteError::Refused(Refused::Insufficient { cents: 5 })));
    assert_eq!(times.into_inner(), 2);
}

#[test]
fn a_conflict_names_the_event_that_invalidated_the_decision() {
    let store = store();
    let first = || drop(block_on(store.execute(deposit("account-1", 1))).unwrap());
    let command = After { command: deposit("account-1", 10), first };
    let answer = block_on(Decider::new(&store).attempts(3).execute(command)).unwrap_err();
    assert_eq!((answer.code(), answer.can_retry()), ("command_overtaken", true));
    let ExecuteError::Conflict(overtaken) = answer else { panic!("{answer:?}") };
    assert_eq!(overtaken.attempts, 3);
    assert_eq!(overtaken.stream, "account-1");
    assert_eq!(overtaken.event, Some((3, "Deposited".to_owned())));
}

#[test]
fn a_decision_over_a_query_is_invalidated_by_its_new_events() {
    let store = store();
    block_on(store.execute(Open { account: "account-1", owner: "ann" })).unwrap();
    let times = AtomicU64::new(0);
    // Another account of the same owner is opened in between, in another stream.
    let first = || {
        if times.fetch_add(1, Ordering::Relaxed) == 0 {
            block_on(store.execute(Open { account: "account-2", owner: "ann" })).unwrap();
        }
    };
    let command = After { command: Open { account: "account-3", owner: "ann" }, first };
    assert_eq!(block_on(store.execute(command)), Err(ExecuteError::Refused(Refused::Enough)));
    assert_eq!(store.blocking().stream("account-3").unwrap(), None);
}

#[test]
fn an_event_outside_the_boundary_causes_no_retry() {
    let store = store();
    let first = || drop(block_on(store.execute(Open { account: "account-9", owner: "bob" })));
    let command = After { command: Open { account: "account-1", owner: "ann" }, first };
    assert_eq!(block_on(store.execute(command)).unwrap().attempts, 1);
}

#[test]
fn a_refusal_after_several_reads_holds_at_one_moment() {
    let store = store();
    for account in ["account-1", "account-2"] {
        block_on(store.execute(Open { account, owner: "ann" })).unwrap();
    }
    // The account is opened between the read and the refusal: then the refusal is not valid.
    let first = || put(&store, "account-3", "Opened", r#"{"owner":"ann"}"#);
    let command = After { command: Open { account: "account-3", owner: "ann" }, first };
    let times = block_on(Decider::new(&store).attempts(2).execute(command));
    assert!(matches!(times, Err(ExecuteError::Conflict(_))), "{times:?}");
}

#[test]
fn a_command_with_an_id_is_handled_once() {
    let store = store();
    block_on(store.execute(deposit("account-1", 10))).unwrap();
    let issued =
        CommandContext::with_id(Uuid::from_u128(1)).correlation("night").causation("click");
    let first = block_on(store.execute_as(issued.clone(), withdraw("account-1", 6))).unwrap();
    // A new decision would be refused.
    let again = block_on(store.execute_as(issued.clone(), withdraw("account-1", 6))).unwrap();
    assert!(again.repeated);
    assert_eq!(again.events, first.events);
    let stored = store.blocking().read(Read::forward(Query::correlation("night"))).unwrap();
    assert_eq!(stored.events.len(), 1);
    assert_eq!(stored.events[0].causation(), Some("click"));
}

#[test]
fn two_concurrent_commands_with_one_id_are_handled_once() {
    let store = store();
    let issued = CommandContext::with_id(Uuid::from_u128(1));
    let other = || {
        let command = After { command: deposit("account-1", 10), first: || {} };
        let done = block_on(store.execute_as(issued.clone(), command)).unwrap();
        assert_eq!(done.events.len(), 1);
    };
    let command = After { command: deposit("account-1", 10), first: other };
    let done = block_on(store.execute_as(issued.clone(), command)).unwrap();
    assert!(done.repeated);
    assert_eq!(store.blocking().stream("account-1").unwrap().unwrap().version, 0);
}

#[test]
fn a_decision_may_have_no_events() {
    let store = store();
    let open = || Open { account: "account-1", owner: "ann" };
    let first = block_on(store.execute(open())).unwrap();
    let second = block_on(store.execute(open())).unwrap();
    assert_eq!(second.events, []);
    assert_eq!(second.cursor, first.cursor);
}

#[test]
fn unknown_types_are_skipped_unless_the_fold_is_strict() {
    struct Strict;
    impl Command for Strict {
        type Event = Bank;
        type Error = Refused;
        type Reads = StreamState<Account>;
        fn reads(&self) -> StreamState<Account> {
            StreamState::of("account-1").strict()
        }
        fn decide(&self, _: &Account) -> Result<Vec<Bank>, Refused> {
            Ok(vec![])
        }
    }
    let store = store();
    put(&store, "account-1", "Audited", "[]");
    assert_eq!(block_on(store.execute(deposit("account-1", 1))).unwrap().events[0].version, 1);
    let answer = block_on(store.execute(Strict)).unwrap_err();
    assert_eq!(answer.code(), "event_undecodable");
    let ExecuteError::Store(FoldError::Undecodable(event)) = answer else { panic!("{answer:?}") };
    assert_eq!((event.position, &*event.stream), (1, "account-1"));
}

#[test]
fn an_event_that_cannot_be_read_is_named() {
    let store = store();
    put(&store, "account-1", "Deposited", r#"{"cents":"many"}"#);
    let answer = block_on(store.execute(deposit("account-1", 1))).unwrap_err();
    let sentence = answer.to_string();
    for part in ["Deposited", "position 1", "account-1", "many"] {
        assert!(sentence.contains(part), "{sentence}");
    }
}

#[test]
fn an_event_that_cannot_be_written_is_an_error() {
    #[derive(Debug, Event)]
    enum Pairs {
        Paired { pairs: std::collections::BTreeMap<(u8, u8), u8> },
    }
    struct Pair;
    impl Command for Pair {
        type Event = Pairs;
        type Error = Refused;
        type Reads = ();
        fn reads(&self) {}
        fn decide(&self, (): &()) -> Result<Vec<leftfold::Emit<Pairs>>, Refused> {
            Ok(vec![Pairs::Paired { pairs: [((1, 2), 3)].into() }.to("pairs-1")])
        }
    }
    let store = store();
    let answer = block_on(store.execute(Pair)).unwrap_err();
    assert_eq!((answer.code(), answer.can_retry()), ("event_unencodable", false));
    assert_eq!(store.blocking().stream("pairs-1").unwrap(), None);
}

#[test]
fn a_stream_with_hidden_events_can_be_appended_to() {
    let store = store();
    for cents in [10, 20] {
        block_on(store.execute(deposit("account-1", cents))).unwrap();
    }
    store.blocking().delete_stream("account-1", Expected::Any).unwrap();
    let done = block_on(store.execute(deposit("account-1", 5))).unwrap();
    assert_eq!(done.events[0].version, 2);
    let keep_one = Retention { max_count: Some(1), ..Retention::default() };
    store.blocking().set_retention("account-1", keep_one).unwrap();
    let state =
        block_on(Decider::new(&store).load(&StreamState::<Account>::of("account-1"))).unwrap();
    assert_eq!(state.cents, 5);
}

#[test]
fn a_tombstoned_stream_is_not_retried() {
    let store = store();
    block_on(store.execute(deposit("account-1", 1))).unwrap();
    store.blocking().tombstone_stream("account-1", Expected::Any).unwrap();
    let answer = block_on(store.execute(deposit("account-1", 1))).unwrap_err();
    assert_eq!((answer.code(), answer.can_retry()), ("stream_tombstoned", false));
}

#[test]
fn a_refusal_can_be_taken_out_of_the_error_and_mapped() {
    let store = store();
    let refused = block_on(store.execute(withdraw("account-1", 1))).unwrap_err();
    let mapped = refused.clone().map_refusal(|refusal| std::io::Error::other(refusal.to_string()));
    assert_eq!(mapped.refusal().unwrap().to_string(), "only 0 cents are left");
    assert_eq!(refused.into_refusal(), Ok(Refused::Insufficient { cents: 0 }));
    put(&store, "account-1", "Deposited", "[]");
    let failed = block_on(store.execute(withdraw("account-1", 1))).unwrap_err();
    let failed = failed.map_refusal(|_| Refused::Enough).into_refusal().unwrap_err();
    assert_eq!(failed.code(), "event_undecodable");
}
