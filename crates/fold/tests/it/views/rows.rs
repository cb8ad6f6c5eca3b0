//! Rows that are a function of the facts, with a cursor.

use std::sync::Arc;
use std::time::Duration;

use leftfold::time::FakeTime;
use leftfold::view::{Lag, MemoryRows, RedbRows, RowStore, Saved, ViewRunner};
use leftfold::{Coded, EventStore, Timestamp};
use leftfold_io::fake::{Crash, FakeDisk};

use super::support::*;

#[test]
fn rows_in_memory_and_in_a_file_are_equal_and_a_file_continues() {
    let store = open(&FakeDisk::new());
    three_orders(&store);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("counts.redb");
    let memory = ViewRunner::new(Counts::default(), store.clone(), MemoryRows::default());
    pollster::block_on(memory.catch_up()).unwrap();
    for first in [3, 4] {
        let view =
            ViewRunner::new(Counts::default(), store.clone(), RedbRows::open(&file).unwrap());
        pollster::block_on(view.catch_up()).unwrap();
        assert_eq!(all(&*view.rows()), expected(first));
        append(&store, "order-1", "Happened");
    }
    pollster::block_on(memory.catch_up()).unwrap();
    assert_eq!(all(&*memory.rows()), expected(5));
    let some = memory.rows().range(b"order-", b"order-2", 1).unwrap();
    assert_eq!(some, [(b"order-2".to_vec(), vec![1])]);
}

#[test]
fn at_least_waits_until_the_view_has_an_append() {
    let store = open(&FakeDisk::new());
    let time = FakeTime::at(Timestamp(0));
    let view =
        ViewRunner::new(Counts::default(), store.clone(), MemoryRows::default()).time(time.clone());
    let order = append(&store, "order-1", "Happened");
    // An event that is not of the view does not prolong the wait.
    let other = append(&store, "customer-1", "Happened");
    assert_eq!(pollster::block_on(view.lag()).unwrap(), Lag::Since(Duration::ZERO));
    let read = async {
        assert_eq!(all(&*view.at_least(order.cursor).await.unwrap()).len(), 1);
        view.at_least(other.cursor).await.unwrap();
        let live = append(&store, "order-2", "Happened");
        assert_eq!(all(&*view.at_least(live.cursor).await.unwrap()).len(), 2);
    };
    pollster::block_on(view.run_until(read)).unwrap();
    assert_eq!(pollster::block_on(view.lag()).unwrap(), Lag::None);
    // Another runner of the view was never run.
    let view = ViewRunner::new(Counts::default(), store.clone(), view.rows()).time(time.clone());
    let late = append(&store, "order-3", "Happened");
    time.advance(Duration::from_secs(7));
    let waited = view.at_least_until(late.cursor, Timestamp(7_000_000));
    assert_eq!(pollster::block_on(waited).err().unwrap().code(), "view_late");
    assert_eq!(pollster::block_on(view.lag()).unwrap(), Lag::Since(Duration::from_secs(7)));
}

#[test]
fn a_rebuilt_view_replaces_the_old_one_once_caught_up() {
    let store = open(&FakeDisk::new());
    three_orders(&store);
    let view = ViewRunner::new(Counts::default(), store.clone(), MemoryRows::default());
    let rebuilt = async {
        view.at_least(store.head().await.unwrap()).await.unwrap();
        let before = view.rows();
        view.rebuild(MemoryRows::default()).await.unwrap();
        assert!(!Arc::ptr_eq(&before, &view.rows()));
        assert_eq!(all(&*view.rows()), expected(3));
        // The running view continues with the new rows.
        let live = append(&store, "order-1", "Happened");
        assert_eq!(all(&*view.at_least(live.cursor).await.unwrap()), expected(4));
        assert_eq!(all(&*before), expected(3));
    };
    pollster::block_on(view.run_until(rebuilt)).unwrap();
}

#[test]
fn rows_of_another_logic_are_refused() {
    let store = open(&FakeDisk::new());
    three_orders(&store);
    let dir = tempfile::tempdir().unwrap();
    let [old, new] = ["1.redb", "2.redb"].map(|name| dir.path().join(name));
    let counts = ViewRunner::new(Counts::default(), store.clone(), RedbRows::open(&old).unwrap());
    pollster::block_on(counts.catch_up()).unwrap();
    drop(counts);
    let doubled = ViewRunner::new(doubled(), store.clone(), RedbRows::open(&old).unwrap());
    let error = pollster::block_on(doubled.catch_up()).unwrap_err();
    assert_eq!(error.code(), "view_of_other_logic");
    // The old rows answer while the new ones are built.
    assert_eq!(all(&*doubled.rows()), expected(3));
    pollster::block_on(doubled.rebuild(RedbRows::open(&new).unwrap())).unwrap();
    assert_eq!(all(&*doubled.rows())[0], ("order-1".to_owned(), 6));
}

/// The store was restored from an older state and has continued differently. Once it is as long as
/// before, the cursor does not show it.
#[test]
fn a_view_of_another_history_is_refused() {
    let disk = FakeDisk::new();
    let store = open(&disk);
    append(&store, "order-1", "Happened");
    let older = disk.after(Crash::Keeps);
    (0..3).for_each(|_| _ = append(&store, "order-1", "Happened"));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("counts.redb");
    let view = ViewRunner::new(Counts::default(), store, RedbRows::open(&file).unwrap());
    pollster::block_on(view.catch_up()).unwrap();
    drop(view);
    let restored = open(&older);
    for events in 0..5 {
        let view =
            ViewRunner::new(Counts::default(), restored.clone(), RedbRows::open(&file).unwrap());
        let error = pollster::block_on(view.catch_up()).unwrap_err();
        assert_eq!(error.code(), "view_of_other_history", "after {events} events");
        append(&restored, "order-2", "Happened");
    }
    let view = ViewRunner::new(Counts::default(), restored, MemoryRows::default());
    pollster::block_on(view.catch_up()).unwrap();
    assert_eq!(all(&*view.rows())[1], ("order-2".to_owned(), 5));
}

#[test]
fn of_two_writers_of_the_same_rows_one_stops() {
    let store = open(&FakeDisk::new());
    three_orders(&store);
    let rows = Arc::new(MemoryRows::default());
    let stopped = pollster::block_on(async {
        let one = ViewRunner::new(Counts::default(), store.clone(), rows.clone());
        let two = ViewRunner::new(Counts::default(), store.clone(), rows.clone());
        let (one, two) = (one.run(), two.run());
        let news = async {
            append(&store, "order-1", "Happened");
            std::future::pending::<()>().await;
        };
        let (one, two, news) = (std::pin::pin!(one), std::pin::pin!(two), std::pin::pin!(news));
        let both = futures_util::future::select(one, two);
        match futures_util::future::select(both, news).await {
            futures_util::future::Either::Left((ended, _)) => match ended {
                futures_util::future::Either::Left((ended, _)) => ended,
                futures_util::future::Either::Right((ended, _)) => ended,
            },
            futures_util::future::Either::Right(_) => Ok(()),
        }
    });
    assert_eq!(stopped.unwrap_err().code(), "view_overtaken");
    assert_eq!(all(&*rows)[1], ("order-2".to_owned(), 1));
}

#[test]
fn a_file_that_holds_no_rows_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("counts.redb");
    std::fs::write(&file, [7; 5_000]).unwrap();
    assert_eq!(RedbRows::open(&file).err().unwrap().code(), "view_rows_failed");
}

#[test]
fn all_reads_of_a_snapshot_see_the_same_rows() {
    let store = open(&FakeDisk::new());
    three_orders(&store);
    let dir = tempfile::tempdir().unwrap();
    let file = RedbRows::open(dir.path().join("counts.redb")).unwrap();
    let stores: [Arc<dyn RowStore>; 2] = [Arc::new(MemoryRows::default()), Arc::new(file)];
    for rows in stores {
        let view = ViewRunner::new(Counts::default(), store.clone(), rows);
        pollster::block_on(view.catch_up()).unwrap();
        let rows = view.rows();
        let (snapshot, before) = (rows.snapshot().unwrap(), all(&*rows));
        append_all(&store, "order-3", &["Happened"; 2]);
        append(&store, "order-1", "Happened");
        pollster::block_on(view.catch_up()).unwrap();
        assert_ne!(all(&*rows), before);
        assert_eq!(all(&*snapshot), before);
        assert_eq!(snapshot.get(b"order-3").unwrap().is_some(), before.len() == 3);
        let cursor = |saved: Option<Saved>| saved.unwrap().cursor();
        assert!(cursor(rows.saved().unwrap()).covers(&cursor(snapshot.saved().unwrap())));
        assert_ne!(snapshot.saved().unwrap(), rows.saved().unwrap());
    }
}
