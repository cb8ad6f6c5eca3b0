use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;

use leftfold::{
    Command, CommandContext, Decider, Embedded, Entities, Execute, ExecuteError, MemorySnapshots,
    Options, StreamState,
};
use leftfold_io::fake::{FakeDisk, ManualClock, SeededRandom};
use pollster::block_on;
use uuid::Uuid;

use crate::bank::{
    Account, Bank, Deposit, FOLDED, Refused, Withdraw, deposit, put, store, withdraw,
};

fn accounts(store: &Arc<Embedded>) -> Entities<Account, Arc<Embedded>> {
    Entities::new(Decider::new(store.clone()))
}

fn state(store: &Arc<Embedded>, stream: &str) -> Account {
    block_on(Decider::new(store).load(&StreamState::of(stream))).unwrap()
}

/// Polls once.
fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_command_for_a_hot_entity_reads_nothing() {
    let store = store();
    let accounts = accounts(&store);
    for nth in 0..50 {
        let before = FOLDED.get();
        let done = block_on(accounts.execute(deposit("account-1", 1))).unwrap();
        assert_eq!((done.events[0].version, done.attempts), (nth, 1));
        // The command folds its own event and reads nothing from the store.
        assert_eq!(FOLDED.get() - before, 1);
    }
    assert_eq!(state(&store, "account-1").cents, 50);
}

#[test]
fn queued_commands_share_an_append_in_order() {
    let store = store();
    let accounts = accounts(&store);
    let commands: Vec<_> =
        (1..=20).map(|cents| accounts.execute(deposit("account-1", cents))).collect();
    let refused = accounts.execute(withdraw("account-1", 211));
    let emptied = accounts.execute(withdraw("account-1", 210));
    let empty = accounts.execute(withdraw("account-1", 1));
    // The last command is awaited first: its caller runs the batch for all.
    assert_eq!(block_on(empty), Err(ExecuteError::Refused(Refused::Insufficient { cents: 0 })));
    let last = block_on(emptied).unwrap();
    assert_eq!(last.events[0].version, 20);
    for (nth, done) in (0..).zip(commands) {
        let done = block_on(done).unwrap();
        assert_eq!(done.cursor, last.cursor);
        assert_eq!((done.events[0].position, done.events[0].version), (nth + 1, nth));
    }
    let refused = block_on(refused).unwrap_err();
    assert_eq!(refused, ExecuteError::Refused(Refused::Insufficient { cents: 210 }));
}

#[test]
fn concurrent_callers_lose_and_duplicate_nothing() {
    let store = store();
    let accounts = accounts(&store).mailbox(4);
    thread::scope(|scope| {
        for caller in 0..8 {
            let accounts = accounts.clone();
            scope.spawn(move || {
                for nth in 0..50 {
                    let account = format!("account-{}", (caller + nth) % 5);
                    block_on(accounts.execute(deposit(account, 1))).unwrap();
                }
            });
        }
    });
    let all: u64 = (0..5).map(|nth| state(&store, &format!("account-{nth}")).cents).sum();
    assert_eq!(all, 400);
}

#[test]
fn decisions_take_other_writers_into_account() {
    let store = store();
    let accounts = accounts(&store);
    block_on(accounts.execute(deposit("account-1", 10))).unwrap();
    // A deposit by another writer, which a refusal must take into account.
    block_on(store.execute(deposit("account-1", 5))).unwrap();
    block_on(accounts.execute(withdraw("account-1", 15))).unwrap();
    // A withdrawal by another writer, which a decision must take into account.
    block_on(accounts.execute(deposit("account-1", 10))).unwrap();
    block_on(store.execute(withdraw("account-1", 6))).unwrap();
    let refused = block_on(accounts.execute(withdraw("account-1", 5))).unwrap_err();
    assert_eq!(refused, ExecuteError::Refused(Refused::Insufficient { cents: 4 }));
    block_on(store.execute(deposit("account-1", 1))).unwrap();
    // A batch whose state ran ahead of the log, and which was overtaken.
    let (a, b) = (withdraw("account-1", 3), withdraw("account-1", 2));
    let (a, b) = (accounts.execute(a), accounts.execute(b));
    block_on(store.execute(deposit("account-1", 1))).unwrap();
    assert_eq!(block_on(a).unwrap().attempts, 2);
    assert_eq!(block_on(b).unwrap().attempts, 2);
    assert_eq!(state(&store, "account-1").cents, 1);
}

#[test]
fn a_command_with_an_id_is_handled_once_even_in_one_batch() {
    let store = store();
    let accounts = accounts(&store);
    let issued = || CommandContext::with_id(Uuid::from_u128(5));
    let first = accounts.execute_as(issued(), deposit("account-1", 10));
    let same = accounts.execute_as(issued(), deposit("account-1", 10));
    let other = accounts.execute(deposit("account-1", 1));
    let first = block_on(first).unwrap();
    let same = block_on(same).unwrap();
    assert_eq!(first.events, same.events);
    assert_eq!((first.repeated, same.repeated), (false, true));
    assert!(!block_on(other).unwrap().repeated);
    // This also holds when it would be refused now, and without the entity in memory.
    block_on(accounts.execute(withdraw("account-1", 11))).unwrap();
    let taken = || CommandContext::with_id(Uuid::from_u128(6));
    block_on(accounts.execute(deposit("account-1", 2))).unwrap();
    let first = block_on(accounts.execute_as(taken(), withdraw("account-1", 2))).unwrap();
    for accounts in [accounts, self::accounts(&store)] {
        let again = block_on(accounts.execute_as(taken(), withdraw("account-1", 2))).unwrap();
        assert_eq!(again.events, first.events);
        assert!(again.repeated);
    }
    assert_eq!(state(&store, "account-1").cents, 0);
}

#[test]
fn a_command_that_cannot_be_written_fails_alone() {
    /// Decides more events than one append may contain.
    struct Flood;
    impl Command for Flood {
        type Event = Bank;
        type Error = Refused;
        type Reads = StreamState<Account>;
        fn reads(&self) -> StreamState<Account> {
            StreamState::of("account-1")
        }
        fn decide(&self, _: &Account) -> Result<Vec<Bank>, Refused> {
            Ok(vec![Bank::Deposited { cents: 1 }; 10_001])
        }
    }
    let store = store();
    let accounts = accounts(&store);
    let before = accounts.execute(deposit("account-1", 1));
    let flood = accounts.execute(Flood);
    let after = accounts.execute(deposit("account-1", 2));
    assert_eq!(block_on(before).unwrap().events[0].version, 0);
    let flood = block_on(flood).unwrap_err();
    assert!(matches!(flood, ExecuteError::Store(_)), "{flood:?}");
    assert_eq!(block_on(after).unwrap().events[0].version, 1);
    assert_eq!(state(&store, "account-1").cents, 3);
}

#[test]
fn a_dropped_callers_batch_is_finished_by_the_next_caller() {
    let clock = Arc::new(ManualClock::at(1));
    let random = Arc::new(SeededRandom::new(1));
    let disk = Arc::new(FakeDisk::new());
    let (store, mut writer) =
        Embedded::open_manual(disk, clock, random, Options::default()).unwrap();
    let store = Arc::new(store);
    let accounts = accounts(&store);
    let mut first = Box::pin(accounts.execute(deposit("account-1", 5)));
    // The store's reader thread loads the state; then the append waits for the writer.
    let mut turns = 0;
    while !writer.write() {
        assert!(poll(first.as_mut()).is_pending());
        turns += 1;
        assert!(turns < 1_000_000, "nothing came to the writer");
        thread::yield_now();
    }
    // The caller drops its future; the next caller finishes the batch.
    drop(first);
    let mut second = pin!(accounts.execute(withdraw("account-1", 5)));
    let done = loop {
        match poll(second.as_mut()) {
            Poll::Ready(done) => break done.unwrap(),
            Poll::Pending => _ = writer.write(),
        }
    };
    assert_eq!(done.events[0].version, 1);
    assert_eq!(state(&store, "account-1").cents, 0);
    writer.close();
}

#[test]
fn a_command_whose_caller_is_gone_is_not_decided() {
    let store = store();
    let accounts = accounts(&store);
    let dropped = accounts.execute(deposit("account-1", 100));
    drop(dropped);
    block_on(accounts.execute(deposit("account-1", 1))).unwrap();
    assert_eq!(state(&store, "account-1").cents, 1);
}

#[test]
fn a_failed_sync_is_answered_with_a_store_error() {
    let disk = FakeDisk::new();
    let store = crate::bank::store_on(disk.clone());
    let accounts = accounts(&store);
    block_on(accounts.execute(deposit("account-1", 1))).unwrap();
    disk.fail_syncs(1);
    let failed = block_on(accounts.execute(deposit("account-1", 1))).unwrap_err();
    assert!(matches!(failed, ExecuteError::Store(_)), "{failed:?}");
}

#[test]
fn memory_is_bounded_and_evicted_entities_are_loaded_again() {
    let store = store();
    let snapshots = Arc::new(MemorySnapshots::default());
    let decider = Decider::new(store.clone()).snapshots(snapshots);
    let accounts = Entities::<Account, _>::new(decider).memory(200_000);
    for round in 0..2 {
        for nth in 0..2_000 {
            let done = block_on(accounts.execute(deposit(format!("account-{nth}"), 1))).unwrap();
            assert_eq!(done.events[0].version, round);
            let (_, bytes) = accounts.in_memory();
            assert!(bytes <= 200_000, "{bytes}");
        }
    }
    let (count, _) = accounts.in_memory();
    assert!(count > 50, "{count} entities in memory");
    let refused = block_on(accounts.execute(withdraw("account-7", 3))).unwrap_err();
    assert_eq!(refused, ExecuteError::Refused(Refused::Insufficient { cents: 2 }));
}

#[test]
fn an_entity_is_loaded_from_its_snapshot() {
    let store = store();
    let decider = Decider::new(store.clone()).snapshots(Arc::new(MemorySnapshots::default()));
    let accounts = Entities::<Account, _>::new(decider.clone());
    for _ in 0..25 {
        block_on(accounts.execute(deposit("account-1", 1))).unwrap();
    }
    drop(accounts);
    let before = FOLDED.get();
    let again = Entities::<Account, _>::new(decider);
    block_on(again.execute(deposit("account-1", 1))).unwrap();
    // Snapshots are due every 10 events: five events since the last one, and the new one.
    assert_eq!(FOLDED.get() - before, 6);
}

#[test]
fn a_stream_with_hidden_events_can_be_appended_to() {
    let store = store();
    put(&store, "account-1", "Deposited", r#"{"cents":9}"#);
    store.blocking().delete_stream("account-1", leftfold::Expected::Any).unwrap();
    let accounts = accounts(&store);
    let (a, b): (Deposit, Withdraw) = (deposit("account-1", 2), withdraw("account-1", 2));
    let (a, b) = (accounts.execute(a), accounts.execute(b));
    assert_eq!(block_on(a).unwrap().events[0].version, 1);
    assert_eq!(block_on(b).unwrap().events[0].version, 2);
}

#[test]
fn a_repeated_command_is_not_applied_again() {
    let store = store();
    let accounts = accounts(&store);
    let issued = || CommandContext::with_id(Uuid::from_u128(5));
    block_on(accounts.execute_as(issued(), deposit("account-1", 10))).unwrap();
    let again = block_on(accounts.execute_as(issued(), deposit("account-1", 10))).unwrap();
    assert!(again.repeated);
    let refused = block_on(accounts.execute(withdraw("account-1", 20))).unwrap_err();
    assert_eq!(refused, ExecuteError::Refused(Refused::Insufficient { cents: 10 }));
    let done = block_on(accounts.execute(withdraw("account-1", 10))).unwrap();
    assert_eq!(done.events[0].version, 1);
}

#[test]
fn a_strict_command_fails_over_an_event_that_its_state_does_not_know() {
    struct Strict;
    impl Command for Strict {
        type Event = Bank;
        type Error = Refused;
        type Reads = StreamState<Account>;
        fn reads(&self) -> StreamState<Account> {
            StreamState::of("account-1").strict()
        }
        fn decide(&self, _: &Account) -> Result<Vec<Bank>, Refused> {
            Ok(vec![Bank::Deposited { cents: 1 }])
        }
    }
    let store = store();
    put(&store, "account-1", "Frozen", "{}");
    let accounts = accounts(&store);
    block_on(accounts.execute(deposit("account-1", 1))).unwrap();
    let error = block_on(accounts.execute(Strict)).unwrap_err();
    assert_eq!(leftfold::Coded::code(&error), "event_undecodable");
}
