//! Timers fire once and not early; waits for dependencies end; a view's rows match its events.

use std::collections::BTreeMap;
use std::sync::Arc;

use leftfold::react::{Cause, HandlerError, Reaction};
use leftfold::testing::{Domain, Running, World, running};
use leftfold::time::{FakeTime, Time};
use leftfold::timer::{Timer, timers};
use leftfold::view::{MemoryRows, Rows, View, ViewError, ViewRunner};
use leftfold::{Append, EventStore, NewEvent, Query, Recorded, Timestamp};

/// Children wait for their parents, who arrive before or after them; timers ring bells.
#[derive(Default)]
struct Families;

struct Rung;

impl View for Rung {
    fn name(&self) -> &str {
        "rung"
    }

    fn query(&self) -> Query {
        Query::event_type("Rang")
    }

    fn apply(&self, rows: &mut dyn Rows, event: &Recorded) -> Result<(), ViewError> {
        let count = rows.get(&event.data())?.map_or(0, |count| count[0]);
        rows.put(&event.data(), &[count + 1])
    }
}

async fn welcome(
    store: Arc<leftfold::testing::SimStore>,
    cause: Cause,
) -> Result<Reaction, HandlerError> {
    let parent = format!("parent-{}", String::from_utf8_lossy(&cause.event.data()));
    if store.stream(&parent).await?.is_none() {
        return Err(HandlerError::wait_for(Query::stream(parent)));
    }
    Ok(Reaction::none().event("welcome", NewEvent::json("Welcomed", cause.event.data())))
}

fn bell(turn: u64, due: Timestamp) -> Timer {
    let rang = NewEvent::json("Rang", turn.to_string());
    Timer::new(format!("bell-{turn}"), due, "bells", rang)
}

impl Domain for Families {
    fn runs(&self, world: &World) -> Vec<Running> {
        let store = world.store();
        let handler = move |cause: Cause| welcome(store.clone(), cause);
        let welcome = world.reactor("welcome", Query::category("child"), handler);
        let viewing = ViewRunner::new(Rung, world.store(), MemoryRows::default());
        vec![
            running(welcome.run()),
            running(world.equip(timers(world.store())).run()),
            running(async move { viewing.run().await }),
        ]
    }

    fn act(&self, world: &World, turn: u64) -> Running {
        let (store, random, time) = (world.store(), world.random(), world.time());
        running(async move {
            let family = random.below(12).to_string();
            let append = match random.below(4) {
                0 => Append::new()
                    .event(format!("parent-{family}"), NewEvent::json("Arrived", family)),
                1 => set(&time, turn, random.below(20_000_000_000)),
                _ => {
                    let stream = format!("child-{}", random.below(5));
                    Append::new().event(stream, NewEvent::json("Born", family))
                }
            };
            store.append(append).await
        })
    }

    fn check(&self, world: &World) -> Result<(), String> {
        let now = world.time().now();
        let early = world.read(Query::event_type("Rang")).into_iter();
        // The clock may have gone back a few seconds since.
        let early = early.filter(|rang| rang.event_time().micros() > now.micros() + 600_000_000);
        early.last().map_or(Ok(()), |rang| Err(format!("{rang:?} rang before its time")))
    }

    fn check_at_rest(&self, world: &World) -> Result<(), String> {
        let mut rang: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
        for event in world.read(Query::event_type("Rang")) {
            *rang.entry(event.data().to_vec()).or_default() += 1;
        }
        let set = world.read(Query::event_type("leftfold.TimerSet")).len();
        if rang.len() != set || rang.values().any(|times| *times != 1) {
            return Err(format!("{set} bells were set, and {rang:?} rang"));
        }
        let welcomed = world.read(Query::stream("welcome")).len();
        let expected = expected(world);
        match welcomed == expected {
            true => Ok(()),
            false => Err(format!("{welcomed} children were welcomed, not {expected}")),
        }
    }
}

/// Counts the children of each stream before the first whose parent never arrived.
fn expected(world: &World) -> usize {
    let streams = (0..5).map(|n| world.read(Query::stream(format!("child-{n}"))));
    let has_parent = |child: &Recorded| {
        let parent = format!("parent-{}", String::from_utf8_lossy(&child.data()));
        !world.read(Query::stream(parent)).is_empty()
    };
    streams.map(|children| children.iter().take_while(|child| has_parent(child)).count()).sum()
}

fn set(time: &FakeTime, turn: u64, micros: u64) -> Append {
    let due = Timestamp(time.now().micros() + i64::try_from(micros).unwrap());
    let (stream, event) = bell(turn, due).set();
    Append::new().event(stream, event)
}

#[test]
fn timers_fire_once_and_waits_end() {
    crate::simulation::simulate(Families::default);
}
