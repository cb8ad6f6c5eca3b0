//! Snapshots only save time: every result is the same without them.

use std::sync::Arc;

use leftfold::{
    Decider, Embedded, Execute, MemorySnapshots, RedbSnapshots, SnapshotPolicy, State, StreamState,
};
use leftfold_io::fake::FakeDisk;
use pollster::block_on;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::bank::{Account, Bank, FOLDED, deposit, put, store, store_on, withdraw};

fn account(decider: &Decider<Arc<Embedded>>) -> (Account, u64) {
    let before = FOLDED.get();
    let state = block_on(decider.load(&StreamState::<Account>::of("account-1"))).unwrap();
    (state, FOLDED.get() - before)
}

fn fill(store: &Embedded, events: u64) {
    for _ in 0..events {
        put(store, "account-1", "Deposited", r#"{"cents":1}"#);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Put(u64),
    Withdraw(u64),
    Load,
    Damage(usize),
    Foreign,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u64..30).prop_map(Step::Put),
        2 => (1u64..20).prop_map(Step::Withdraw),
        3 => Just(Step::Load),
        1 => any::<usize>().prop_map(Step::Damage),
        1 => Just(Step::Foreign),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_load_from_a_snapshot_equals_a_full_replay(steps in prop::collection::vec(step(), 1..25)) {
        let store = store();
        let snapshots = Arc::new(MemorySnapshots::default());
        let with = Decider::new(store.clone()).snapshots(snapshots.clone());
        let without = Decider::new(store.clone());
        for step in steps {
            match step {
                Step::Put(events) => fill(&store, events),
                Step::Withdraw(cents) => {
                    _ = block_on(with.execute(withdraw("account-1", cents)));
                }
                Step::Load => {}
                Step::Damage(at) => snapshots.damage(|bytes| {
                    let at = at % bytes.len();
                    bytes[at] ^= 1;
                }),
                Step::Foreign => put(&store, "account-1", "Audited", "{}"),
            }
            prop_assert_eq!(account(&with).0, account(&without).0);
        }
    }
}

#[test]
fn a_load_folds_only_events_after_the_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("snapshots.redb");
    let store = store();
    fill(&store, 95);
    {
        let decider = Decider::new(store.clone()).snapshots(RedbSnapshots::open(&path).unwrap());
        assert_eq!(account(&decider).1, 95);
        fill(&store, 3);
        let (state, folded) = account(&decider);
        assert_eq!((state.cents, state.events, folded), (98, 98, 3));
    }
    // The file was closed and opened again.
    let decider = Decider::new(store).snapshots(RedbSnapshots::open(&path).unwrap());
    assert_eq!(account(&decider).1, 3);
}

#[test]
fn damaged_snapshots_are_ignored_and_replaced() {
    let store = store();
    fill(&store, 50);
    let snapshots = Arc::new(MemorySnapshots::default());
    let decider = Decider::new(store).snapshots(snapshots.clone());
    account(&decider);
    snapshots.damage(|bytes| bytes.truncate(bytes.len() - 1));
    assert_eq!(account(&decider), (Account { open: false, cents: 50, events: 50 }, 50));
    assert_eq!(account(&decider).1, 0);
}

#[test]
fn another_logic_version_ignores_and_replaces_them() {
    /// `Account` with another logic: a bug fix.
    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    struct FixedAccount {
        cents: u64,
        events: u64,
        open: bool,
    }
    impl State for FixedAccount {
        type Event = Bank;
        const SNAPSHOTS: Option<SnapshotPolicy<Self>> =
            Some(SnapshotPolicy::json("account", 2).every_events(10));
        fn apply(&mut self, event: &Bank) {
            if let Bank::Deposited { cents } = event {
                self.cents += 2 * cents;
            }
        }
    }
    let store = store();
    fill(&store, 50);
    let snapshots = Arc::new(MemorySnapshots::default());
    let decider = Decider::new(store).snapshots(snapshots.clone());
    account(&decider);
    let fixed = block_on(decider.load(&StreamState::<FixedAccount>::of("account-1"))).unwrap();
    assert_eq!(fixed.cents, 100);
    assert_eq!(snapshots.count(), 1);
    // The older program replaces it with its own again.
    assert_eq!(account(&decider).1, 50);
}

#[test]
fn a_snapshot_of_another_history_is_ignored() {
    let snapshots = Arc::new(MemorySnapshots::default());
    let one = store_on(FakeDisk::new());
    fill(&one, 50);
    account(&Decider::new(one).snapshots(snapshots.clone()));
    // A store that was restored to an earlier state and has continued differently.
    let other = store_on(FakeDisk::new());
    for _ in 0..60 {
        block_on(other.execute(deposit("account-1", 2))).unwrap();
    }
    let (state, folded) = account(&Decider::new(other).snapshots(snapshots.clone()));
    assert_eq!((state.cents, folded), (120, 60));
    let shorter = store_on(FakeDisk::new());
    fill(&shorter, 5);
    assert_eq!(account(&Decider::new(shorter).snapshots(snapshots)).0.cents, 5);
}
