//! Several batches in flight: what is visible and answered, and when.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod elsewhere;
mod support;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use self::support::{Answer, Held, open};
use leftfold_io::fake::SeededRandom;
use leftfold_log::{Confirmation, Progress, WriteError};

fn lost() -> WriteError {
    WriteError::OwnershipLost { reason: "a newer claim is in the log".to_owned() }
}

#[test]
fn head_receipts_and_facts_move_batch_by_batch() {
    let mut held = Held::pumped();
    let mut answers: Vec<_> = ["a", "b", "c"].map(|draft| held.batch(draft)).into();
    assert_eq!(held.remote.submitted().len(), 3);
    assert_eq!(held.visible(), [""; 0]);
    for (n, visible) in [vec!["a"], vec!["a", "b"], vec!["a", "b", "c"]].into_iter().enumerate() {
        assert!(answers[n..].iter_mut().all(Answer::is_pending));
        held.remote.confirm(n + 1);
        assert_eq!(held.visible().len(), n, "nothing moves before the writer's turn");
        held.turn();
        assert_eq!(held.visible(), visible);
        answers[n].assert_written(n as u64 + 1);
    }
}

#[test]
fn one_confirmation_covers_all_batches_before_it() {
    let mut held = Held::pumped();
    let [mut first, mut second, mut third] = ["a", "b", "c"].map(|draft| held.batch(draft));
    held.remote.confirm(2);
    held.turn();
    assert_eq!(held.visible(), ["a", "b"]);
    first.assert_written(1);
    second.assert_written(2);
    assert!(third.is_pending());
    // Old news again, then the rest.
    held.remote.confirm(1);
    held.remote.confirm(2);
    held.remote.confirm(3);
    (0..3).for_each(|_| held.turn());
    assert_eq!(held.visible(), ["a", "b", "c"]);
    third.assert_written(3);
}

#[test]
fn drafts_wait_while_the_bound_of_batches_is_in_flight_and_then_share_a_batch() {
    let mut held = Held::pumped();
    let mut answers: Vec<_> = (1..=6).map(|n| held.batch(&n.to_string())).collect();
    assert_eq!(held.remote.submitted().len(), 3);
    held.turn();
    assert_eq!(held.remote.submitted().len(), 3);
    held.remote.confirm(1);
    // The draft that the turn before the bound took goes first; the queue follows.
    (0..3).for_each(|_| held.turn());
    assert_eq!(held.remote.submitted().len(), 4);
    held.remote.confirm(4);
    (0..3).for_each(|_| held.turn());
    let submitted = held.remote.submitted();
    assert_eq!(submitted.last().unwrap(), &Confirmation { batch: 5, position: 6 });
    held.remote.confirm(5);
    held.turn();
    assert_eq!(held.visible().len(), 6);
    (1..).zip(&mut answers).for_each(|(position, answer)| answer.assert_written(position));
}

#[test]
fn a_confirmation_from_another_thread_wakes_the_writer_which_does_not_spin() {
    let held = Held::threaded();
    for n in 1..=20 {
        let answer = held.submit(&n.to_string());
        std::thread::scope(|threads| {
            threads.spawn(|| {
                held.remote.wait_for_batches(n);
                held.remote.confirm(n);
            });
            assert_eq!(answer.wait().unwrap(), Ok(n as u64));
        });
    }
    assert_eq!(held.visible().len(), 20);
    // The idle time is an hour: each poll has a draft or a wake-up as its cause.
    assert!(held.remote.polls() <= 100, "{} polls", held.remote.polls());
}

#[test]
fn a_failure_fails_all_batches_in_flight_and_all_later_drafts() {
    let mut held = Held::pumped();
    let [mut first, second, third, waiting] = ["a", "b", "c", "d"].map(|draft| held.batch(draft));
    held.remote.confirm(1);
    let source = Arc::new(io::Error::other("the broker is gone"));
    held.remote.answer(Err(WriteError::Failed { what: "sending a batch".to_owned(), source }));
    held.turn();
    assert_eq!(held.visible(), ["a"]);
    first.assert_written(1);
    for mut answer in [second, third, waiting, held.batch("later")] {
        assert!(answer.error().starts_with("writing failed (sending a batch"));
    }
    assert!(held.log.is_closed());
    held.remote.confirm(3);
    held.turn();
    assert_eq!(held.visible(), ["a"], "a late confirmation moves nothing");
}

#[test]
fn a_loss_of_ownership_with_three_batches_in_flight_fails_all_of_them() {
    let mut held = Held::pumped();
    let answers = ["a", "b", "c"].map(|draft| held.batch(draft));
    held.remote.answer(Err(lost()));
    held.turn();
    assert_eq!(held.visible(), [""; 0]);
    for mut answer in answers.into_iter().chain([held.batch("later")]) {
        let error = answer.error();
        assert!(error.contains("another writer owns the log now (a newer claim"), "{error}");
        assert!(error.contains("send it again to the new owner"), "{error}");
    }
    assert!(matches!(held.log.failure(), Some(WriteError::OwnershipLost { .. })));
}

#[test]
fn a_confirmation_at_other_positions_or_of_an_unknown_batch_is_a_loss_of_ownership() {
    for (batch, position, reason) in [
        (2, 7, "batch 2 was expected to end at position 2, found 7"),
        (4, 4, "batch 4 was confirmed, but never submitted"),
    ] {
        let mut held = Held::pumped();
        let answers = ["a", "b", "c"].map(|draft| held.batch(draft));
        held.remote.answer(Ok(Progress::Confirmed(Confirmation { batch, position })));
        held.turn();
        assert_eq!(held.visible(), [""; 0]);
        for mut answer in answers {
            let error = answer.error();
            assert!(error.contains(reason), "{error}");
        }
    }
}

#[test]
fn a_refusal_waits_for_the_batches_that_it_may_rest_on() {
    let mut held = Held::pumped();
    let mut nothing_before = held.batch("");
    assert_eq!(nothing_before.now().unwrap().unwrap(), Err(()));
    let mut first = held.batch("a");
    let mut refused = held.batch("");
    let mut second = held.batch("b");
    assert!(refused.is_pending());
    held.remote.confirm(1);
    held.turn();
    first.assert_written(1);
    assert_eq!(refused.now().unwrap().unwrap(), Err(()));
    assert!(second.is_pending());
    // A failure does not turn a refusal into an error.
    let mut refused = held.batch("");
    held.remote.answer(Err(lost()));
    held.turn();
    assert!(second.now().unwrap().is_err());
    assert_eq!(refused.now().unwrap().unwrap(), Err(()));
}

#[test]
fn what_is_acknowledged_early_is_not_visible_and_counts_as_one_batch() {
    let mut held = Held::pumped();
    for n in 1..=10 {
        let mut answer = held.batch(&n.to_string());
        assert!(answer.is_pending());
        held.remote.answer(Ok(Progress::Acknowledged));
        held.turn();
        answer.assert_written(n);
    }
    assert_eq!(held.visible(), [""; 0]);
    let mut pending = held.batch("pending");
    // A part of what was acknowledged, then all of it.
    held.remote.confirm(4);
    held.turn();
    assert_eq!(held.visible(), [""; 0]);
    held.remote.confirm(10);
    held.turn();
    assert_eq!(held.visible().len(), 10);
    assert!(pending.is_pending());
    held.remote.confirm(11);
    held.turn();
    pending.assert_written(11);
    assert_eq!(held.visible().len(), 11);
}

#[test]
fn a_segment_is_closed_only_when_no_batch_is_in_flight() {
    let opened = open(1_000);
    let mut held = Held::pumped_on(&opened);
    let large = "x".repeat(700);
    let mut first = held.batch(&large);
    let mut second = held.batch(&large);
    assert_eq!((held.remote.submitted().len(), held.log.segments().len()), (1, 1));
    assert!(second.is_pending());
    held.remote.confirm(1);
    held.turn();
    first.assert_written(1);
    assert_eq!((held.remote.submitted().len(), held.log.segments().len()), (2, 2));
    // Told to close it, the writer waits as well.
    held.log.close_segment();
    held.pump.as_mut().unwrap().rest();
    assert_eq!(held.log.segments().len(), 2);
    held.remote.confirm(2);
    held.turn();
    second.assert_written(2);
    assert_eq!(held.log.segments().len(), 3);
    assert_eq!(held.visible().len(), 2);
    // A segment in which nothing is stays open.
    held.log.close_segment();
    held.pump.as_mut().unwrap().rest();
    assert_eq!(held.log.segments().len(), 3);
}

#[test]
fn closing_answers_every_draft_though_nothing_is_confirmed() {
    let mut held = Held::pumped();
    let mut answers: Vec<_> = (0..5).map(|n| held.batch(&n.to_string())).collect();
    answers.push(held.submit("still in the queue"));
    held.remote.confirm(1);
    held.pump.take().unwrap().close();
    answers[0].assert_written(1);
    for answer in &mut answers[1..] {
        let error = answer.error();
        assert!(error.contains("the append may or may not be found"), "{error}");
    }
    assert_eq!(held.visible(), ["0"]);
    assert!(pollster::block_on(held.sequencer.submit("late".to_owned(), 20)).is_err());
}

#[test]
fn closing_waits_for_the_confirmations_of_what_is_in_flight() {
    let held = Held::threaded();
    let mut answers = Vec::new();
    for n in 1..=3 {
        answers.push(held.submit(&n.to_string()));
        held.remote.wait_for_batches(n);
    }
    answers.push(held.submit("waits for room in flight"));
    std::thread::scope(|threads| {
        let closing = threads.spawn(|| held.sequencer.close());
        // An empty draft is refused; once the queue is closed it is not even taken.
        while pollster::block_on(held.sequencer.submit(String::new(), 1)).is_ok() {
            std::thread::yield_now();
        }
        assert!(!closing.is_finished());
        held.remote.confirm(1);
        held.remote.wait_for_batches(4);
        held.remote.confirm(4);
        closing.join().unwrap();
    });
    (1..).zip(&mut answers).for_each(|(position, answer)| answer.assert_written(position));
    assert_eq!(held.visible().len(), 4);
}

/// What is visible is what was confirmed, and each answer comes with its batch, in every order of
/// drafts, turns and confirmations.
#[test]
fn what_is_visible_and_answered_is_what_was_confirmed() {
    for seed in 0..200 {
        let random = SeededRandom::new(seed);
        let mut held = Held::pumped_on(&open(2_000));
        let mut answers = VecDeque::new();
        let (mut confirmed, mut answered) = (0, 0);
        for n in 0..100 {
            let submitted = held.remote.submitted();
            match random.below(4) {
                0 => answers.push_back(held.submit(&format!("{n:0100}"))),
                1 => answers.push_back(held.batch(&format!("{n:0100}"))),
                2 if confirmed < submitted.len() => {
                    confirmed += 1 + random.below((submitted.len() - confirmed) as u64) as usize;
                    held.remote.confirm(confirmed);
                    held.turn();
                }
                _ => held.turn(),
            }
            let durable = confirmed.checked_sub(1).map_or(0, |last| submitted[last].position);
            assert_eq!(held.visible().len() as u64, durable, "seed {seed}");
            while answered < durable {
                answered += 1;
                let mut answer: Answer = answers.pop_front().unwrap();
                assert_eq!(answer.now().unwrap().unwrap(), Ok(answered), "seed {seed}");
            }
            assert!(answers.iter_mut().all(Answer::is_pending), "seed {seed}");
        }
        assert!(held.log.segments().len() > 1, "seed {seed}");
    }
}
