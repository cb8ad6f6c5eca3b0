//! Batches that are confirmed elsewhere: no sync, marks at what is confirmed, and what an opening keeps.

use std::sync::Arc;

use leftfold_io::fake::{FakeDisk, ManualClock, SeededRandom};
use leftfold_log::{Direction, Keep, Log, LogOptions, OpenError, Opened, ScanRange};

use super::support::{EMPTY, Held, Remote, open_on};

fn held(opened: &Opened) -> Held {
    Held::pumped_with(opened, Remote::elsewhere())
}

/// Reopens the store as after a kill of its process, and returns its records.
fn reopened(disk: &Arc<FakeDisk>, keep: Keep) -> Vec<String> {
    let log = open_on(disk, 1 << 20, keep).log;
    let range = ScanRange { from: 1, to: u64::MAX, times: None };
    let mut scan = log.scan(range, Direction::Forward);
    let mut found = Vec::new();
    while let Some(record) = scan.next().unwrap() {
        found.push(String::from_utf8(record.bytes.to_vec()).unwrap());
    }
    assert_eq!(log.head().position, found.len() as u64);
    log.unlock();
    found
}

/// Ends the writer with batches in flight, as a kill does.
fn kill(held: Held) {
    held.log.unlock();
    drop(held);
}

#[test]
fn what_was_never_confirmed_is_gone_after_an_opening_that_keeps_what_is_marked() {
    for keep in [Keep::Whole, Keep::Marked] {
        let disk = Arc::new(FakeDisk::new());
        let mut held = held(&open_on(&disk, 1 << 20, keep));
        _ = ["a", "b"].map(|draft| held.batch(draft));
        held.remote.confirm(2);
        held.turn();
        // Its frame has the mark of the batches before.
        _ = ["c", "d"].map(|draft| held.batch(draft));
        assert_eq!(held.visible(), ["a", "b"]);
        kill(held);
        let kept = match keep {
            Keep::Whole => &["a", "b", "c", "d"][..],
            Keep::Marked => &["a", "b"],
        };
        assert_eq!(reopened(&disk, keep), kept);
        assert_eq!(reopened(&disk, Keep::Whole), kept, "what was cut off is zeros");
    }
}

/// A copy may lose bytes that were never synced: it ends there, and the rest is fetched again.
#[test]
fn a_copy_ends_at_its_first_hole_and_a_log_refuses() {
    let disk = Arc::new(FakeDisk::new());
    let opened = open_on(&disk, 1 << 20, Keep::Marked);
    let mut held = held(&opened);
    let drafts = ["first", "second", "third"];
    for (batch, draft) in (1..).zip(drafts) {
        _ = held.batch(draft);
        held.remote.confirm(batch);
        held.turn();
    }
    held.pump.as_mut().unwrap().rest();
    kill(held);
    drop(opened);
    let segment = disk.names().into_iter().find(|name| name.ends_with(".seg")).unwrap();
    let bytes = disk.bytes(&segment).unwrap();
    let at = bytes.windows(6).position(|bytes| bytes == b"second").unwrap();
    disk.rot(&segment, at as u64, 0x40);
    let whole = Log::open(
        disk.clone(),
        Arc::new(ManualClock::at(0)),
        Arc::new(SeededRandom::new(1)),
        LogOptions::default(),
        false,
    );
    assert!(matches!(whole, Err(OpenError::Damaged(_))));
    assert_eq!(reopened(&disk, Keep::Marked), ["first"]);
}

#[test]
fn an_idle_writer_marks_what_is_confirmed_and_nothing_else() {
    let disk = Arc::new(FakeDisk::new());
    let opened = open_on(&disk, 1 << 20, Keep::Marked);
    let mut held = held(&opened);
    _ = held.batch("a");
    held.pump.as_mut().unwrap().rest();
    held.remote.confirm(1);
    held.turn();
    _ = held.batch("b");
    held.pump.as_mut().unwrap().rest();
    held.remote.confirm(2);
    held.turn();
    held.pump.as_mut().unwrap().rest();
    _ = held.batch("c");
    assert_eq!(held.log.syncs().counts.iter().sum::<u64>(), 0, "no batch and no mark is synced");
    kill(held);
    for _ in 0..3 {
        assert_eq!(reopened(&disk, Keep::Marked), ["a", "b"]);
    }
}

#[test]
fn a_new_store_of_which_nothing_was_confirmed_is_empty_after_its_reopening() {
    let disk = Arc::new(FakeDisk::new());
    let mut held = held(&open_on(&disk, 1 << 20, Keep::Marked));
    _ = held.batch("a");
    kill(held);
    assert_eq!(reopened(&disk, Keep::Marked), [""; 0]);
}

#[test]
fn a_frame_without_a_record_takes_a_position_also_after_reopening() {
    let disk = Arc::new(FakeDisk::new());
    let mut held = held(&open_on(&disk, 1 << 20, Keep::Marked));
    let mut answers = ["a", EMPTY, EMPTY, "b", EMPTY].map(|draft| held.submit(draft));
    held.turn();
    assert_eq!(held.remote.submitted()[0].position, 5);
    held.remote.confirm(1);
    held.turn();
    (1..).zip(&mut answers).for_each(|(position, answer)| answer.assert_written(position));
    assert_eq!(held.log.head().position, 5);
    held.pump.take().unwrap().close();
    drop(held);
    let opened = open_on(&disk, 1 << 20, Keep::Marked);
    assert_eq!(opened.log.head().position, 5);
    opened.log.unlock();
}

#[test]
fn positions_that_are_passed_over_are_visible_once_all_before_them_is_confirmed() {
    let disk = Arc::new(FakeDisk::new());
    let mut held = held(&open_on(&disk, 1 << 20, Keep::Marked));
    let mut at_once = held.batch("pass over 2");
    at_once.assert_written(1);
    assert_eq!(held.log.head().position, 2);
    // One turn: a batch, the positions behind it, and another batch.
    let mut answers = ["a", "pass over 9", "b"].map(|draft| held.submit(draft));
    held.turn();
    let ends: Vec<_> = held.remote.submitted().iter().map(|batch| batch.position).collect();
    assert_eq!(ends, [3, 10]);
    assert!(answers.iter_mut().all(super::Answer::is_pending));
    held.remote.confirm(1);
    held.turn();
    assert_eq!(held.log.head().position, 9);
    answers[0].assert_written(3);
    held.remote.confirm(2);
    held.turn();
    assert_eq!(held.log.head().position, 10);
    answers[1].assert_written(4);
    answers[2].assert_written(10);
    let mut behind = held.batch("pass over 5");
    behind.assert_written(11);
    assert_eq!(held.log.head().position, 10, "a head never goes back");
    held.pump.take().unwrap().close();
    drop(held);
    let opened = open_on(&disk, 1 << 20, Keep::Marked);
    assert_eq!(opened.log.head().position, 10);
    opened.log.unlock();
}
