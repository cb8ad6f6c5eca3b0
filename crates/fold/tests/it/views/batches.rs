//! How events become commits, and on which thread.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use leftfold::view::{MemoryRows, RowStore, ViewRunner};
use leftfold_io::fake::FakeDisk;
use pollster::block_on;

use super::support::*;

#[test]
fn live_events_that_are_ready_are_committed_together_and_one_alone_at_once() {
    let store = open(&FakeDisk::new());
    let commits = Arc::new(AtomicUsize::new(0));
    let of_rows = commits.clone();
    let before_commit = move || _ = of_rows.fetch_add(1, Ordering::Relaxed);
    let rows = HookedRows { rows: MemoryRows::default(), before_commit };
    let view = ViewRunner::new(Counts::default(), store.clone(), rows);
    let live = async {
        view.at_least(append(&store, "order-1", "Happened").cursor).await.unwrap();
        let before = commits.load(Ordering::Relaxed);
        let many = append_all(&store, "order-1", &["Happened"; 200]);
        let rows = view.at_least(many.cursor).await.unwrap();
        assert_eq!(all(&*rows), [("order-1".to_owned(), 201)]);
        assert_eq!(commits.load(Ordering::Relaxed), before + 1);
        for more in 2..5 {
            view.at_least(append(&store, "order-1", "Happened").cursor).await.unwrap();
            assert_eq!(commits.load(Ordering::Relaxed), before + more);
        }
    };
    block_on(view.run_until(live)).unwrap();
}

/// Rows whose commits wait until they are released, and the number of commits that have begun.
fn slow_rows() -> (Arc<AtomicUsize>, mpsc::Sender<()>, impl RowStore) {
    let (begun, (release, released)) = (Arc::new(AtomicUsize::new(0)), mpsc::channel());
    let (released, count) = (Mutex::new(released), begun.clone());
    let before_commit = move || {
        count.fetch_add(1, Ordering::Relaxed);
        let patience = Duration::from_secs(30);
        released.lock().unwrap().recv_timeout(patience).unwrap();
    };
    (begun, release, HookedRows { rows: MemoryRows::default(), before_commit })
}

#[test]
fn a_commit_that_waits_for_a_disk_does_not_block_the_executor() {
    let store = open(&FakeDisk::new());
    let happened = append(&store, "order-1", "Happened");
    let (_, release, rows) = slow_rows();
    let view = ViewRunner::new(Counts::default(), store, rows);
    let other_task = async {
        // This runs on the thread of the view's future, while the commit waits.
        release.send(()).unwrap();
        view.at_least(happened.cursor).await.unwrap();
    };
    block_on(view.run_until(other_task)).unwrap();
}

#[test]
fn a_run_that_follows_a_dropped_one_waits_for_its_commit() {
    let store = open(&FakeDisk::new());
    append(&store, "order-1", "Happened");
    let (begun, release, rows) = slow_rows();
    let view = ViewRunner::new(Counts::default(), store.clone(), rows);
    let mut run = Box::pin(view.run());
    let mut context = Context::from_waker(Waker::noop());
    while begun.load(Ordering::Relaxed) == 0 {
        assert!(run.poll_unpin(&mut context).is_pending());
        std::thread::yield_now();
    }
    drop(run);
    let mut next = pin!(view.catch_up());
    assert!(next.poll_unpin(&mut context).is_pending());
    append(&store, "order-1", "Happened");
    (0..2).for_each(|_| release.send(()).unwrap());
    block_on(next).unwrap();
    assert_eq!(all(&*view.rows()), [("order-1".to_owned(), 2)]);
}
