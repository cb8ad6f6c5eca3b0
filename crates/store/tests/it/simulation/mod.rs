//! Simulation: compares the store with a model, on a disk that loses power. A seed decides a whole run.
//!
//! A run opens a store on a fake disk. Several callers append at a time; the run reads, defines and drops
//! indexes, seals segments, closes, reopens, and cuts the power in the middle of any write or sync. It
//! sometimes backs up the store to a second disk, which loses power too, and cuts the power again while the
//! store recovers. At the end one byte is flipped, the store is repaired, and the last whole backup is restored,
//! after a restore that was cut off. Every answer is compared with the model, a
//! plain list of events.
//!
//! Other simulations cut off recovery at each of its writes (`recovery`), fill the disk and empty it while all
//! jobs run (`full_disk`), and show that lying disks are noticed (`lies`).
//!
//! `LEFTFOLD_SEED=n` replays one run; `LEFTFOLD_SEEDS=n` does n runs.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod backup;
mod chaos;
mod compare;
mod full_disk;
mod judge;
mod lies;
mod model;
mod raw;
mod recovery;
mod retention;
mod run;
mod script;
mod seeds;
mod subscriber;
mod tally;

use leftfold_io::fake::FakeDisk;

use seeds::{SEEDS, is_ci, run_seeds, seeds};

fn run_all(range: std::ops::Range<u64>) -> tally::Tally {
    let mut tally = tally::Tally::default();
    run_seeds(range, |seed| run::run(seed, [FakeDisk::new(), FakeDisk::new()], &mut tally));
    tally
}

#[test]
fn the_store_answers_like_the_model_after_any_failure() {
    let all = seeds(SEEDS);
    let middle = all.start + (all.end - all.start) / 2;
    // Two threads, for machines with two cores.
    let half = std::thread::spawn(move || run_all(all.start..middle));
    let other = run_all(middle..all.end);
    let tally = half.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).plus(other);
    println!("{tally:?}");
    if is_ci() {
        tally.assert_all_happened();
    }
}
