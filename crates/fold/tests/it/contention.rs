//! Many commands of one boundary: all succeed, with pauses between the attempts, and are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use leftfold::time::{Time, Waiting};
use leftfold::{CommandContext, Decider, Entities, Execute, ExecuteError, Timestamp};
use leftfold_io::fake::SeededRandom;
use parking_lot::Mutex;
use pollster::block_on;
use uuid::Uuid;

use crate::bank::{Account, After, Open, deposit, store, withdraw};

/// A clock on which every moment comes at once; it records the pauses.
#[derive(Clone, Default)]
struct Pauses(Arc<Mutex<Vec<i64>>>);

impl Time for Pauses {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }

    fn until(&self, at: Timestamp) -> Waiting {
        self.0.lock().push(at.micros());
        Box::pin(async {})
    }
}

#[test]
fn sixty_four_concurrent_commands_of_one_boundary_all_succeed() {
    let store = store();
    let pauses = Pauses::default();
    let random = Arc::new(SeededRandom::new(1));
    let decider = Decider::new(&store).time(pauses.clone()).random(random);
    let commands = (0..64).map(|_| decider.execute(deposit("account-1", 1)));
    let answers = block_on(join_all(commands));
    let attempts =
        answers.into_iter().map(|answer| u64::from(answer.unwrap().attempts)).sum::<u64>();
    let counts = decider.counts();
    assert_eq!((counts.executed, counts.attempts), (64, attempts));
    assert_eq!(counts.conflicts, attempts - 64);
    assert_eq!(store.blocking().stream("account-1").unwrap().unwrap().version, 63);
}

#[test]
fn the_last_of_sixty_four_succeeds_even_if_all_others_overtake_it() {
    let store = store();
    let others = AtomicU64::new(0);
    let first = || {
        if others.fetch_add(1, Ordering::Relaxed) < 63 {
            block_on(store.execute(deposit("account-1", 1))).unwrap();
        }
    };
    let command = After { command: deposit("account-1", 1), first };
    let done = block_on(Decider::new(&store).time(Pauses::default()).execute(command)).unwrap();
    assert_eq!((done.attempts, done.events[0].version), (64, 63));
}

#[test]
fn pauses_are_random_and_grow_up_to_a_bound() {
    let store = store();
    let overtaken = |seed| {
        let pauses = Pauses::default();
        let random = Arc::new(SeededRandom::new(seed));
        let first = || drop(block_on(store.execute(deposit("account-1", 1))).unwrap());
        let command = After { command: deposit("account-1", 10), first };
        let decider = Decider::new(&store).attempts(14).time(pauses.clone()).random(random);
        let answer = block_on(decider.execute(command));
        assert!(matches!(answer, Err(ExecuteError::Conflict(_))), "{answer:?}");
        assert_eq!((decider.counts().attempts, decider.counts().conflicts), (14, 14));
        std::mem::take(&mut *pauses.0.lock())
    };
    let (one, other) = (overtaken(1), overtaken(2));
    assert_ne!(one, other);
    for pauses in [&one, &other] {
        // The first two attempts follow at once, and none follows the last one.
        assert_eq!(pauses.len(), 11);
        for (nth, pause) in pauses.iter().enumerate() {
            let bound = Duration::from_millis(1 << nth).min(Duration::from_millis(100));
            assert!(i128::from(*pause) <= bound.as_micros() as i128, "{pauses:?}");
        }
        assert!(pauses.iter().any(|pause| *pause > 20_000), "{pauses:?}");
    }
    assert_eq!(one, overtaken(1));
}

#[test]
fn an_entity_pauses_when_others_write() {
    let store = store();
    let pauses = Pauses::default();
    let decider = Decider::new(store.clone()).attempts(10).time(pauses.clone());
    let accounts = Entities::<Account, _>::new(decider.clone());
    let of_other = store.clone();
    let first = move || drop(block_on(of_other.execute(deposit("account-1", 1))).unwrap());
    let answer = block_on(accounts.execute(After { command: deposit("account-1", 10), first }));
    assert!(matches!(answer, Err(ExecuteError::Conflict(_))), "{answer:?}");
    assert_eq!(pauses.0.lock().len(), 7);
    assert_eq!((decider.counts().attempts, decider.counts().conflicts), (10, 10));
}

#[test]
fn commands_are_counted_by_their_answers() {
    let store = store();
    let decider = Decider::new(store.clone());
    let accounts = Entities::<Account, _>::new(decider.clone());
    let issued = || CommandContext::with_id(Uuid::from_u128(1));
    block_on(decider.clone().execute_as(issued(), deposit("account-1", 1))).unwrap();
    block_on(decider.execute_as(issued(), deposit("account-1", 1))).unwrap();
    block_on(accounts.execute_as(issued(), deposit("account-1", 1))).unwrap();
    block_on(accounts.execute(deposit("account-1", 1))).unwrap();
    block_on(accounts.execute(withdraw("account-1", 9))).unwrap_err();
    block_on(decider.execute(withdraw("account-1", 9))).unwrap_err();
    block_on(decider.execute(Open { account: "account-2", owner: "ann" })).unwrap();
    let counts = decider.counts();
    assert_eq!((counts.executed, counts.refused, counts.repeated), (3, 2, 2));
    assert_eq!((counts.attempts, counts.conflicts), (7, 0));
}

/// Collects the fields of all spans of this crate.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<String>>>);

impl tracing::field::Visit for Spans {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0.lock().push(format!("{field}={value:?}"));
    }
}

impl tracing::Subscriber for Spans {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("leftfold_fold::execute")
    }

    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        self.0.lock().push(span.metadata().name().to_owned());
        span.record(&mut self.clone());
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, values: &tracing::span::Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn a_span_names_the_command_its_attempts_and_its_conflicts() {
    let (store, spans) = (store(), Spans::default());
    let times = AtomicU64::new(0);
    let first = || {
        if times.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::new(), || {
                block_on(store.execute(deposit("account-1", 1))).unwrap();
            });
        }
    };
    tracing::subscriber::with_default(spans.clone(), || {
        block_on(store.execute(After { command: deposit("account-1", 1), first })).unwrap();
    });
    let recorded = spans.0.lock().join(" ");
    assert_eq!(recorded, "execute command=\"After\" attempts=2 conflicts=1");
}
