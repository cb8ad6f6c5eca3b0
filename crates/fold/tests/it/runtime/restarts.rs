//! What fails is restarted, unless that can't help.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use leftfold::runtime::{PartState, Runtime, RuntimeStatus};
use leftfold::time::Time;
use leftfold::view::{
    MemoryRows, Row, RowReader, RowStore, Rows, Saved, View, ViewError, ViewRunner,
};
use leftfold::{CommandContext, Commands, Embedded, NewEvent, Query, Recorded, Timestamp};

use super::support::{Process, World, poll_often, run_until};
use crate::bank::withdraw;

/// Counts the events of each order; does not know what to do with nonsense, and panics at a bomb.
pub(crate) struct Counts;

impl View for Counts {
    fn name(&self) -> &str {
        "counts"
    }

    fn query(&self) -> Query {
        Query::category("order")
    }

    fn apply(&self, rows: &mut dyn Rows, event: &Recorded) -> Result<(), ViewError> {
        match event.event_type() {
            "Nonsense" => return Err(ViewError::event("it makes no sense")),
            "Bomb" => panic!("boom"),
            _ => {}
        }
        let key = event.stream().as_bytes();
        let count = rows.get(key)?.map_or(0, |value| value[0]);
        rows.put(key, &[count + 1])
    }
}

/// Rows whose first commits fail.
struct FailingRows {
    rows: MemoryRows,
    failures: AtomicU32,
}

impl RowReader for FailingRows {
    fn saved(&self) -> Result<Option<Saved>, ViewError> {
        self.rows.saved()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        self.rows.get(key)
    }

    fn range(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Row>, ViewError> {
        self.rows.range(prefix, from, limit)
    }
}

impl RowStore for FailingRows {
    fn commit(
        &self,
        expected: Option<&Saved>,
        to: &Saved,
        change: &mut dyn FnMut(&mut dyn Rows) -> Result<(), ViewError>,
    ) -> Result<bool, ViewError> {
        let count_down = |left: u32| left.checked_sub(1);
        match self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count_down) {
            Ok(_) => Err(ViewError::Rows { message: "the disk is gone".to_owned() }),
            Err(_) => self.rows.commit(expected, to, change),
        }
    }

    fn snapshot(&self) -> Result<Arc<dyn RowReader>, ViewError> {
        self.rows.snapshot()
    }
}

/// Makes a view whose first commits fail.
pub(crate) fn counts(world: &World, failures: u32) -> Arc<ViewRunner<Counts, Embedded>> {
    let rows = FailingRows { rows: MemoryRows::default(), failures: AtomicU32::new(failures) };
    Arc::new(ViewRunner::new(Counts, world.store.clone(), rows).time(world.time.clone()))
}

fn with_view(world: &World, failures: u32) -> Runtime<Embedded> {
    world.runtime().alone().view(counts(world, failures))
}

#[test]
fn a_part_that_fails_is_restarted_after_pauses() {
    let world = World::new();
    world.append("order-1", "Placed");
    let mut process = Process::start(with_view(&world, 2));
    run_until([&mut process], "it backs off", |[it]| it.is("counts", PartState::BackingOff));
    poll_often([&mut process]);
    assert!(process.is("counts", PartState::BackingOff), "no time has passed");
    assert!(!process.status.get().is_healthy());
    let mut polls = 0;
    run_until([&mut process], "it runs again", |[it]| {
        polls += 1;
        if polls % 100 == 0 {
            world.advance(10);
        }
        it.is("counts", PartState::Running) && it.part("counts").restarts == 2
    });
    let error = process.part("counts").last_error.unwrap();
    assert_eq!(error.code, "view_rows_failed");
    // The bounds of the pauses are half a second and a second.
    assert!(world.time.now() <= Timestamp(1_600_000), "{}", world.time.now());
}

#[test]
fn a_panic_is_a_failure() {
    let world = World::new();
    world.append("order-1", "Bomb");
    let mut process = Process::start(with_view(&world, 0));
    // The same event would make it panic again.
    run_until([&mut process], "it has failed", |[it]| it.is("counts", PartState::Failed));
    let message = process.part("counts").last_error.unwrap().message;
    assert!(message.contains("event Bomb at position 1") && message.ends_with("boom"), "{message}");
}

#[test]
fn what_a_restart_cannot_help_stays_stopped_and_the_others_go_on() {
    let world = World::new();
    world.append("order-1", "Nonsense");
    let runtime = with_view(&world, 0).reactor(world.noting("it", Query::category("o")));
    let mut process = Process::start(runtime);
    run_until([&mut process], "the view has failed", |[it]| it.is("counts", PartState::Failed));
    world.advance(3_600_000);
    world.append("o-1", "Placed");
    run_until([&mut process], "the reactor goes on", |_| world.handled_by("it") == 1);
    assert_eq!(process.part("counts").restarts, 0);
    process.shut_down();
    run_until([&mut process], "it ends", |[it]| it.ended.is_some());
    assert!(process.is("counts", PartState::Failed), "also at the end");
}

#[test]
fn a_runtime_without_any_part_left_ends() {
    let world = World::new();
    world.append("order-1", "Nonsense");
    let mut process = Process::start(with_view(&world, 0));
    run_until([&mut process], "it ends", |[it]| it.ended.is_some());
    assert!(process.is("counts", PartState::Failed));
}

#[test]
fn the_status_is_json() {
    let world = World::new();
    world.append("order-1", "Nonsense");
    let runtime = with_view(&world, 0).reactor(world.noting("it", Query::category("o")));
    let mut process = Process::start(runtime);
    run_until([&mut process], "the view has failed", |[it]| it.is("counts", PartState::Failed));
    let json = serde_json::to_value(process.status.get()).unwrap();
    let expected = serde_json::json!({
        "name": "test",
        "lease": "alone",
        "parts": [
            {
                "name": "counts",
                "kind": "view",
                "state": "failed",
                "restarts": 0,
                "last_error": {"code": "view_event_unusable", "message": "view counts stopped before event Nonsense at position 1 in stream order-1, which can't be applied: it makes no sense"},
            },
            {"name": "note", "kind": "reactor", "state": "running", "restarts": 0},
        ],
    });
    assert_eq!(json, expected);
    assert_eq!(serde_json::from_value::<RuntimeStatus>(json).unwrap(), process.status.get());
}

#[test]
fn the_lag_of_views_is_known() {
    let world = World::new();
    world.time.set(Timestamp(0));
    world.append("order-1", "Nonsense");
    world.advance(7_000);
    let runtime = with_view(&world, 0).reactor(world.noting("it", Query::category("o")));
    let process = Process::start(runtime);
    let status = pollster::block_on(process.status.with_lag());
    let lags: Vec<_> = status.parts.iter().map(|part| part.lag_ms).collect();
    assert_eq!(lags, [Some(7_000), None]);
}

#[test]
fn timers_and_command_streams_run_beside_the_others() {
    let world = World::new();
    let stream = Commands::new("payments", world.store.clone()).unwrap();
    let command = withdraw("account-1", 1);
    pollster::block_on(stream.accept(CommandContext::new(), &command)).unwrap();
    let due = NewEvent::json("Due", "{}");
    let (timer, set) = leftfold::timer::Timer::new("t", Timestamp(5_000_000), "o-1", due).set();
    let append = leftfold::Append::new().event(timer, set);
    world.store.blocking().append(append).unwrap();
    let runtime = world
        .runtime()
        .timers()
        .commands(stream, leftfold::Decider::new(world.store.clone()))
        .reactor(world.noting("it", Query::category("o")));
    let mut process = Process::start(runtime);
    run_until([&mut process], "the command is refused", |_| {
        !world.read(Query::event_type("CommandRefused")).is_empty()
    });
    assert_eq!(world.handled_by("it"), 0);
    world.advance(5_000);
    run_until([&mut process], "the timer has fired", |_| world.handled_by("it") == 1);
}
