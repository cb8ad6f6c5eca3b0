//! A command or a state that panics harms no other command.
#![expect(clippy::panic, reason = "states and commands that panic are what is tested")]

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::{Either, select};
use leftfold::commands::Handle;
use leftfold::time::SystemTime;
use leftfold::{
    Coded, Command, CommandContext, Commands, Decider, Embedded, Entities, Event, ExecuteError,
    Executed, Outcome, Recordable, State, StreamState,
};
use pollster::block_on;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::bank::store;

#[derive(Debug, Clone, PartialEq, Event)]
enum Number {
    Added { number: u64, bomb: usize },
}

/// How often `apply` panics for an event of each bomb.
static BOMBS: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];

#[derive(Debug, Default, PartialEq)]
struct Sum(u64);

impl State for Sum {
    type Event = Number;

    fn apply(&mut self, Number::Added { number, bomb }: &Number) {
        // A state that has panicked holds something wrong.
        self.0 += 1_000;
        let left = BOMBS[*bomb].load(Ordering::SeqCst);
        if left > 0 {
            BOMBS[*bomb].store(left - 1, Ordering::SeqCst);
            panic!("bomb {bomb} went off");
        }
        self.0 = self.0 - 1_000 + number;
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("the sum is {0}")]
struct Refused(u64);

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Do {
    Add(u64),
    /// Adds an event that makes `apply` panic.
    Plant(usize),
    Panic,
    Refuse,
}

impl Recordable for Do {}

impl Command for Do {
    type Event = Number;
    type Error = Refused;
    type Reads = StreamState<Sum>;

    fn reads(&self) -> StreamState<Sum> {
        StreamState::of("sum-1")
    }

    fn decide(&self, sum: &Sum) -> Result<Vec<Number>, Refused> {
        match self {
            Do::Add(number) => Ok(vec![Number::Added { number: *number, bomb: 0 }]),
            Do::Plant(bomb) => Ok(vec![Number::Added { number: 0, bomb: *bomb }]),
            Do::Panic => panic!("at {}", sum.0),
            Do::Refuse => Err(Refused(sum.0)),
        }
    }
}

type Answer = Result<Executed<Number>, ExecuteError<Refused>>;

fn sums(store: &Arc<Embedded>) -> Entities<Sum, Arc<Embedded>> {
    Entities::new(Decider::new(store.clone()))
}

fn panicked(answer: Answer, text: &str) {
    let error = answer.unwrap_err();
    assert_eq!(error.code(), "command_panicked");
    assert!(error.to_string().contains(text), "{error}");
    assert!(!error.can_retry());
}

#[test]
fn a_panicking_decision_fails_alone() {
    let sums = sums(&store());
    let (a, b, c) = (sums.execute(Do::Add(1)), sums.execute(Do::Panic), sums.execute(Do::Add(2)));
    assert_eq!(block_on(c).unwrap().events[0].version, 1);
    panicked(block_on(b), "at 1");
    assert_eq!(block_on(a).unwrap().events[0].version, 0);
    panicked(block_on(sums.execute(Do::Panic)), "at 3");
    assert_eq!(block_on(sums.execute(Do::Refuse)), Err(ExecuteError::Refused(Refused(3))));
}

#[test]
fn an_entity_that_has_panicked_is_evicted() {
    let store = store();
    let sums = Entities::<Sum, _>::new(Decider::new(store)).memory(0);
    panicked(block_on(sums.execute(Do::Panic)), "at 0");
    // Without memory an idle entity leaves at the next use of another.
    block_on(sums.execute(Strict)).unwrap();
    assert_eq!(sums.in_memory().0, 1);
}

/// Is decided by another entity.
struct Strict;

impl Command for Strict {
    type Event = Number;
    type Error = Refused;
    type Reads = StreamState<Sum>;

    fn reads(&self) -> StreamState<Sum> {
        StreamState::of("sum-2").strict()
    }

    fn decide(&self, _: &Sum) -> Result<Vec<Number>, Refused> {
        Ok(vec![Number::Added { number: 1, bomb: 0 }])
    }
}

#[test]
fn events_that_cannot_be_applied_are_not_written_before_others() {
    let sums = sums(&store());
    block_on(sums.execute(Do::Add(1))).unwrap();
    BOMBS[1].store(1, Ordering::SeqCst);
    let (a, b) = (sums.execute(Do::Add(2)), sums.execute(Do::Plant(1)));
    let (c, d) = (sums.execute(Do::Add(3)), sums.execute(Do::Refuse));
    // What was half applied is thrown away, and the others are decided on the state loaded again.
    assert_eq!(block_on(d), Err(ExecuteError::Refused(Refused(6))));
    panicked(block_on(b), "bomb 1 went off");
    assert_eq!(block_on(a).unwrap().events[0].version, 1);
    assert_eq!(block_on(c).unwrap().events[0].version, 2);
}

#[test]
fn a_state_that_panics_over_durable_events_is_loaded_again() {
    let sums = sums(&store());
    block_on(sums.execute(Do::Add(1))).unwrap();
    BOMBS[2].store(2, Ordering::SeqCst);
    // The event is durable when the state panics over it, so the command has succeeded.
    assert_eq!(block_on(sums.execute(Do::Plant(2))).unwrap().events[0].version, 1);
    // It panics once more while it is loaded.
    let (a, b) = (sums.execute(Do::Add(2)), sums.execute(Do::Refuse));
    panicked(block_on(a), "bomb 2 went off");
    panicked(block_on(b), "bomb 2 went off");
    assert_eq!(block_on(sums.execute(Do::Refuse)), Err(ExecuteError::Refused(Refused(1))));
    assert_eq!(block_on(sums.execute(Do::Add(2))).unwrap().events[0].version, 2);
}

/// Runs a command stream while commands are executed on it.
fn while_running(
    commands: &Commands<Do, Arc<Embedded>>,
    handler: impl Handle<Do>,
    execute: impl AsyncFnOnce(&Commands<Do, Arc<Embedded>>),
) {
    let run = pin!(commands.run(handler, Arc::new(SystemTime)));
    let execute = pin!(execute(commands));
    let ended = block_on(select(run, execute));
    assert!(matches!(ended, Either::Right(_)), "the runner ended");
}

#[test]
fn a_panicking_command_of_a_command_stream_fails_and_the_next_is_handled() {
    let execute = async |commands: &Commands<Do, Arc<Embedded>>| {
        let id = |nth| CommandContext::with_id(Uuid::from_u128(nth));
        let panicked = commands.execute(id(1), &Do::Panic).await.unwrap();
        let Outcome::Failed { code, message } = panicked else { panic!("{panicked:?}") };
        assert_eq!(code, "command_panicked");
        assert!(message.contains("at 0"), "{message}");
        let next = commands.execute(id(2), &Do::Add(1)).await.unwrap();
        assert!(matches!(next, Outcome::Done(_)), "{next:?}");
    };
    let commands = |store| Commands::<Do, _>::new("sums", store).unwrap();
    let (one, other) = (store(), store());
    while_running(&commands(one.clone()), Decider::new(one), execute);
    while_running(&commands(other.clone()), sums(&other), execute);
}
