//! Many users at one account: the pauses between attempts follow the simulation's clock and seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use leftfold::testing::{Domain, Running, Simulation, World, running};
use leftfold::{Coded, Execute};
use parking_lot::Mutex;

use crate::bank::deposit;

/// The answers in the order in which they came: the user and the attempts, or an error code.
type Answers = Arc<Mutex<Vec<(u64, Result<u32, &'static str>)>>>;

#[derive(Default)]
struct Deposits {
    answers: Answers,
    waiting: Arc<AtomicI64>,
}

/// Counts a user as waiting until the answer has come or a crash has ended it.
struct Waits(Arc<AtomicI64>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Domain for Deposits {
    fn runs(&self, _: &World) -> Vec<Running> {
        // The simulator polls at least one task.
        vec![running(std::future::pending::<Result<(), String>>())]
    }

    fn act(&self, world: &World, turn: u64) -> Running {
        let (store, answers) = (world.store(), self.answers.clone());
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let waits = Waits(self.waiting.clone());
        running(async move {
            let _waits = waits;
            let answer = store.execute(deposit("account-1", 1)).await;
            let answer = answer.map(|done| done.attempts).map_err(|error| error.code());
            answers.lock().push((turn, answer));
            Ok::<_, String>(())
        })
    }

    fn check_at_rest(&self, _: &World) -> Result<(), String> {
        match self.waiting.load(Ordering::Relaxed) {
            0 => Ok(()),
            left => Err(format!("{left} commands have no answer")),
        }
    }
}

#[test]
fn the_seed_decides_the_pauses_between_attempts() {
    let run = || {
        let answers = Answers::default();
        let make =
            || Deposits { answers: answers.clone(), waiting: Arc::new(AtomicI64::default()) };
        let ended = Simulation::of(make).seeds(5).steps(100).turns(40).run();
        ended.unwrap_or_else(|failed| panic!("{failed}"));
        std::mem::take(&mut *answers.lock())
    };
    let (first, again) = (run(), run());
    assert_eq!(first, again);
    let most = first.iter().filter_map(|(_, answer)| answer.ok()).max();
    // The fourth attempt comes after a pause.
    assert!(most >= Some(4), "no command had to pause: {most:?}");
}
