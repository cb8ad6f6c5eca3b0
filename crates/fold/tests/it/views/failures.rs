//! What those who wait are told when a view fails or stops, and what is in its rows then.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use futures_util::FutureExt;
use futures_util::future::join3;
use leftfold::Coded;
use leftfold::view::{MemoryRows, RedbRows, ViewError, ViewRunner};
use leftfold_io::fake::FakeDisk;
use pollster::block_on;

use super::support::*;

#[test]
fn a_view_stops_before_an_event_that_can_not_be_applied() {
    let dir = tempfile::tempdir().unwrap();
    for unusable in ["Nonsense", "Panic"] {
        for before in [0, 1, 2, 7, 20] {
            let store = open(&FakeDisk::new());
            let mut types = vec!["Happened"; 20];
            types.insert(before, unusable);
            append_all(&store, "order-1", &types);
            let file = dir.path().join(format!("{unusable}-{before}"));
            let on_disk =
                ViewRunner::new(Counts::default(), store.clone(), RedbRows::open(file).unwrap());
            let in_memory =
                ViewRunner::new(Counts::default(), store.clone(), MemoryRows::default());
            for view in [on_disk, in_memory] {
                for _ in 0..2 {
                    let error = block_on(view.catch_up()).unwrap_err();
                    assert_eq!(error.code(), "view_event_unusable");
                    let expected = format!("at position {} in stream order-1", before + 1);
                    assert!(error.to_string().contains(&expected), "{error}");
                    let count = view.rows().get(b"order-1").unwrap().map_or(0, |row| row[0]);
                    assert_eq!(usize::from(count), before);
                }
            }
        }
    }
}

#[test]
fn at_least_returns_the_failure_of_the_run_until_another_makes_progress() {
    let store = open(&FakeDisk::new());
    let broken = Arc::new(Mutex::new(false));
    let rows = FailingRows { rows: MemoryRows::default(), broken: broken.clone() };
    let view = ViewRunner::new(Counts::default(), store.clone(), rows);
    let first = append(&store, "order-1", "Happened");
    block_on(view.catch_up()).unwrap();
    *broken.lock().unwrap() = true;
    let second = append(&store, "order-1", "Happened");
    let code = |waited: Result<_, ViewError>| waited.err().unwrap().code();
    // Two who wait already, and one who comes later.
    let (ended, one, other) = block_on(join3(
        view.run(),
        view.at_least(second.cursor.clone()),
        view.at_least(second.cursor.clone()),
    ));
    assert_eq!([code(ended), code(one.map(drop)), code(other.map(drop))], ["view_rows_failed"; 3]);
    assert_eq!(code(block_on(view.at_least(second.cursor.clone())).map(drop)), "view_rows_failed");
    // What is there can be read.
    assert_eq!(all(&*block_on(view.at_least(first.cursor)).unwrap()), [("order-1".to_owned(), 1)]);
    *broken.lock().unwrap() = false;
    let third = append(&store, "order-1", "Happened");
    let read =
        async { assert_eq!(all(&*view.at_least(second.cursor.clone()).await.unwrap())[0].1, 3) };
    let mut read = pin!(read);
    // The run has not begun, so the old failure is still the answer.
    assert_eq!(code(block_on(view.at_least(third.cursor.clone())).map(drop)), "view_rows_failed");
    block_on(view.catch_up()).unwrap();
    block_on(&mut read);
    let fourth = append(&store, "order-1", "Happened");
    let run = view.run_until(async { drop(view.at_least(fourth.cursor).await.unwrap()) });
    block_on(run).unwrap();
}

#[test]
fn at_least_does_not_wait_for_a_run_that_has_ended() {
    let store = open(&FakeDisk::new());
    let view = ViewRunner::new(Counts::default(), store.clone(), MemoryRows::default());
    block_on(view.run_until(std::future::ready(()))).unwrap();
    let next = append(&store, "order-1", "Happened");
    let stopped = block_on(view.at_least(next.cursor.clone())).err().unwrap();
    assert_eq!((stopped.code(), stopped.can_retry()), ("view_stopped", true));
    // A run whose future is dropped, while one waits.
    let mut context = Context::from_waker(Waker::noop());
    let mut run = Box::pin(view.run());
    assert!(run.poll_unpin(&mut context).is_pending());
    let next = append(&store, "order-1", "Happened");
    let mut waiting = pin!(view.at_least(next.cursor.clone()));
    assert!(waiting.poll_unpin(&mut context).is_pending());
    drop(run);
    assert_eq!(block_on(waiting).err().unwrap().code(), "view_stopped");
    // Another run answers.
    let read = async { drop(view.at_least(next.cursor).await.unwrap()) };
    block_on(view.run_until(read)).unwrap();
}

#[test]
fn a_failed_rebuild_is_no_failure_of_the_view_and_a_rebuild_ends_a_failure() {
    let store = open(&FakeDisk::new());
    three_orders(&store);
    let broken = Arc::new(Mutex::new(true));
    let rows = FailingRows { rows: MemoryRows::default(), broken: broken.clone() };
    let view = ViewRunner::new(Counts::default(), store.clone(), rows);
    assert_eq!(block_on(view.catch_up()).unwrap_err().code(), "view_rows_failed");
    block_on(view.rebuild(MemoryRows::default())).unwrap();
    let happened = append(&store, "order-1", "Happened");
    let rows = FailingRows { rows: MemoryRows::default(), broken };
    let rebuilt = async {
        assert_eq!(view.rebuild(rows).await.err().unwrap().code(), "view_rows_failed");
        assert_eq!(all(&*view.at_least(happened.cursor).await.unwrap()), expected(4));
    };
    block_on(view.run_until(rebuilt)).unwrap();
}

/// While new rows are built, the old ones go on. Who has read from the old ones must not read older
/// rows afterwards.
#[test]
fn rebuilt_rows_have_all_that_the_old_ones_had() {
    let store = open(&FakeDisk::new());
    three_orders(&store);
    let view = Arc::new(ViewRunner::new(Counts::default(), store.clone(), MemoryRows::default()));
    block_on(view.catch_up()).unwrap();
    let (of_hook, once) = (view.clone(), Mutex::new(Some(())));
    let before_commit = move || {
        if once.lock().unwrap().take().is_some() {
            append(&store, "order-1", "Happened");
            append(&store, "customer-1", "Happened");
            block_on(of_hook.catch_up()).unwrap();
        }
    };
    block_on(view.rebuild(HookedRows { rows: MemoryRows::default(), before_commit })).unwrap();
    assert_eq!(all(&*view.rows()), expected(4));
}

#[test]
fn a_view_whose_file_is_opened_again_after_a_drop_goes_on() {
    let store = open(&FakeDisk::new());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("counts.redb");
    let mut context = Context::from_waker(Waker::noop());
    for count in 1..20 {
        append(&store, "order-1", "Happened");
        let view =
            ViewRunner::new(Counts::default(), store.clone(), RedbRows::open(&file).unwrap());
        // A run that is dropped, perhaps in the middle of its commit; another one follows.
        let mut run = Box::pin(view.run());
        (0..3).for_each(|_| drop(run.poll_unpin(&mut context)));
        drop(run);
        block_on(view.catch_up()).unwrap();
        assert_eq!(view.rows().get(b"order-1").unwrap().unwrap(), [count]);
        append(&store, "customer-1", "Happened");
        // And one that is dropped with its runner.
        drop(Box::pin(view.run()).poll_unpin(&mut context));
    }
}
