//! Folds over a store of many partitions: what lies in one of them works, the rest is refused.

use std::sync::Arc;

use leftfold::react::{Cause, HandlerError, Reaction, Reactor};
use leftfold::time::FakeTime;
use leftfold::view::{MemoryRows, RedbRows, Rows, View, ViewError, ViewRunner};
use leftfold::{
    Append, Coded, CommandContext, Commands, Decider, EventStore, Execute, NewEvent, Options,
    Query, Recorded, Timestamp,
};
use leftfold_partitioned::Partitioned;
use pollster::block_on;
use uuid::Uuid;

use crate::bank::{Deposit, Open, deposit, withdraw};

fn store() -> Arc<Partitioned> {
    Arc::new(leftfold_partitioned::create(4, 7, &Options::default()).unwrap())
}

async fn put(store: &Partitioned, stream: &str) {
    let event = NewEvent::json("Happened", "{}");
    store.append(Append::new().event(stream, event)).await.unwrap();
}

#[test]
fn commands_of_one_stream_are_executed_in_any_partition() {
    let store = store();
    block_on(async {
        for n in 0..8 {
            let account = format!("account-{n}");
            store.execute(deposit(&account, 10)).await.unwrap();
            store.execute(withdraw(&account, 4)).await.unwrap();
            let refused = store.execute(withdraw(&account, 7)).await.unwrap_err();
            assert!(refused.to_string().contains("only 6 cents are left"), "{refused}");
        }
    });
}

#[test]
fn a_command_that_reads_many_partitions_is_refused() {
    let store = store();
    let opened = block_on(store.execute(Open { account: "account-1", owner: "ada" }));
    let refused = opened.unwrap_err();
    assert!(refused.to_string().contains("must lie in one partition"), "{refused}");
}

/// How often each thing happened.
struct Counts;

impl View for Counts {
    fn name(&self) -> &str {
        "counts"
    }

    fn query(&self) -> Query {
        Query::category("order")
    }

    fn apply(&self, rows: &mut dyn Rows, event: &Recorded) -> Result<(), ViewError> {
        let key = event.stream().as_bytes();
        let count = rows.get(key)?.map_or(0, |value| value[0]);
        rows.put(key, &[count + 1])
    }
}

#[test]
fn a_view_of_many_partitions_goes_on_where_it_was() {
    let (store, dir) = (store(), tempfile::tempdir().unwrap());
    let file = dir.path().join("counts.redb");
    block_on(async {
        for round in 1..=3 {
            for n in 0..10 {
                put(&store, &format!("order-{n}")).await;
                put(&store, &format!("customer-{n}")).await;
            }
            let view = ViewRunner::new(Counts, store.clone(), RedbRows::open(&file).unwrap());
            view.catch_up().await.unwrap();
            let rows = view.at_least(store.head().await.unwrap()).await.unwrap();
            let counts = rows.range(b"order-", b"", 100).unwrap();
            assert_eq!(counts.len(), 10);
            assert!(counts.iter().all(|(_, count)| count[..] == [round]), "{counts:?}");
        }
        // Rows of another store are noticed, though no position tells.
        let view = ViewRunner::new(Counts, another(), RedbRows::open(&file).unwrap());
        assert_eq!(view.catch_up().await.unwrap_err().code(), "view_of_other_history");
    });
}

fn another() -> Arc<Partitioned> {
    Arc::new(leftfold_partitioned::create(4, 70, &Options::default()).unwrap())
}

#[test]
fn a_view_of_one_stream_follows_the_whole_store() {
    let store = store();
    block_on(async {
        let view = ViewRunner::new(Counts, store.clone(), MemoryRows::default());
        put(&store, "order-1").await;
        view.catch_up().await.unwrap();
        put(&store, "customer-2").await;
        view.at_least(store.head().await.unwrap()).await.unwrap();
    });
}

#[test]
fn a_reactor_of_many_partitions_is_refused() {
    let store = store();
    block_on(async {
        for n in 0..10 {
            put(&store, &format!("order-{n}")).await;
        }
        for name in ["mails", "a", "b", "c", "d", "e", "f"] {
            let handler = |_: Cause| async { Ok::<_, HandlerError>(Reaction::none()) };
            let reactor = Reactor::new(name, Query::category("order"), store.clone(), handler)
                .time(FakeTime::at(Timestamp(0)));
            let error = reactor.catch_up().await.unwrap_err();
            assert_eq!(error.code(), "crosses_partitions", "{name}");
        }
    });
}

#[test]
fn a_command_stream_of_many_partitions_is_refused() {
    let store = store();
    let deposits = Commands::<Deposit, _>::new("deposits", store.clone()).unwrap();
    block_on(deposits.accept(CommandContext::new(), &deposit("account-1", 3))).unwrap();
    // An id is one of all partitions.
    let issued = CommandContext::with_id(Uuid::from_u128(1));
    let refused = block_on(deposits.accept(issued, &deposit("account-1", 3))).unwrap_err();
    assert_eq!(refused.code(), "crosses_partitions");
    let time = Arc::new(FakeTime::at(Timestamp(0)));
    let ended = block_on(deposits.run(Decider::new(store.clone()), time)).unwrap_err();
    assert!(ended.to_string().contains("must lie in one partition"), "{ended}");
}
