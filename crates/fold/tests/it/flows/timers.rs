use std::time::Duration;

use leftfold::timer::{Timer, timers};
use leftfold::{NewEvent, Query, Timestamp};

use crate::flows::support::World;

const HOUR: i64 = 3_600_000_000;

fn set(world: &World, name: &str, hours: i64) {
    let rings = NewEvent::json("Rang", format!("{{\"hours\":{hours}}}")).tag("bell", name);
    let (stream, event) = Timer::new(name, Timestamp(hours * HOUR), "bells", rings).set();
    world.event(&stream, event);
}

fn run(world: &World) {
    world.catch_up(timers(world.store.clone()));
}

fn rung(world: &World) -> Vec<String> {
    let events = world.read(Query::stream("bells"));
    events.iter().map(|event| String::from_utf8(event.data().to_vec()).unwrap()).collect()
}

#[test]
fn a_timer_fires_once_when_it_is_due_and_not_before() {
    let world = World::new();
    set(&world, "late", 5);
    set(&world, "early", 2);
    run(&world);
    world.time.advance(Duration::from_secs(2 * 3600 - 1));
    run(&world);
    assert_eq!(rung(&world), [""; 0]);
    world.time.advance(Duration::from_secs(1));
    run(&world);
    assert_eq!(rung(&world), ["{\"hours\":2}"]);
    world.time.advance(Duration::from_secs(100 * 3600));
    run(&world);
    run(&world);
    assert_eq!(rung(&world), ["{\"hours\":2}", "{\"hours\":5}"]);
    let rang = &world.read(Query::tag("bell", "early"))[0];
    assert_eq!(rang.event_time(), Timestamp(2 * HOUR));
    assert_eq!(world.types("leftfold.timer-late"), ["leftfold.TimerSet", "leftfold.TimerFired"]);
}

#[test]
fn a_running_timer_reactor_fires_on_time() {
    let world = World::new();
    set(&world, "bell", 1);
    let time = world.time.clone();
    let store = world.store.clone();
    let rings = async {
        let mut bells = leftfold::EventStore::subscribe(
            &*store,
            leftfold::Subscribe::to(Query::stream("bells")),
        )
        .await
        .unwrap();
        loop {
            let next = leftfold::Subscription::next(&mut bells).await.unwrap();
            match next {
                leftfold::Delivery::Event(..) => return,
                leftfold::Delivery::CaughtUp(_) => time.advance(Duration::from_secs(3600)),
            }
        }
    };
    let reactor = timers(world.store.clone()).time(world.time.clone());
    pollster::block_on(reactor.run_until(rings)).unwrap();
    assert_eq!(rung(&world), ["{\"hours\":1}"]);
}

#[test]
fn a_timer_that_is_set_again_fires_at_its_new_time_only() {
    let world = World::new();
    set(&world, "later", 1);
    set(&world, "sooner", 9);
    run(&world);
    set(&world, "later", 3);
    set(&world, "sooner", 2);
    run(&world);
    world.time.advance(Duration::from_secs(2 * 3600));
    run(&world);
    assert_eq!(rung(&world), ["{\"hours\":2}"]);
    world.time.advance(Duration::from_secs(3600));
    run(&world);
    world.time.advance(Duration::from_secs(50 * 3600));
    run(&world);
    assert_eq!(rung(&world), ["{\"hours\":2}", "{\"hours\":3}"]);
}

#[test]
fn a_cancelled_timer_never_fires() {
    let world = World::new();
    set(&world, "bell", 1);
    run(&world);
    let (stream, event) = Timer::cancel("bell");
    world.event(&stream, event);
    world.time.advance(Duration::from_secs(2 * 3600));
    run(&world);
    assert_eq!(rung(&world), [""; 0]);
    // It can be set again.
    set(&world, "bell", 3);
    run(&world);
    world.time.advance(Duration::from_secs(3600));
    run(&world);
    assert_eq!(rung(&world), ["{\"hours\":3}"]);
}

/// What the event was given wins over what the event that set the timer has.
#[test]
fn a_timers_event_has_correlation_causation_and_metadata() {
    let world = World::new();
    let given = NewEvent::json("Given", "{}").correlation("c-1").causation("click-1");
    let given = given.metadata("{\"user\":7}");
    for (name, event) in [("given", given), ("set", NewEvent::json("Set", "{}"))] {
        let (stream, mut set) = Timer::new(name, Timestamp(0), "rung", event).set();
        if name == "set" {
            set = set.correlation("c-2").causation("click-2").metadata(vec![0xff]);
        }
        world.event(&stream, set);
    }
    run(&world);
    let mut rung = world.read(Query::stream("rung"));
    rung.sort_by_key(|event| event.event_type().to_owned());
    let linked: Vec<_> = rung
        .iter()
        .map(|event| (event.event_type(), event.correlation(), event.causation(), event.metadata()))
        .collect();
    assert_eq!(
        linked,
        [
            ("Given", Some("c-1"), Some("click-1"), "{\"user\":7}".into()),
            ("Set", Some("c-2"), Some("click-2"), vec![0xff].into()),
        ]
    );
    let fired = &world.read(Query::stream("leftfold.timer-given"))[1];
    assert_eq!(fired.correlation(), Some("c-1"));
}

/// What an earlier release has written.
#[test]
fn a_timer_without_causation_and_metadata_can_be_read() {
    let world = World::new();
    let set = r#"{"due":"1970-01-01T00:00:00Z","stream":"bells","type":"Rang","schema_version":0,
        "content_type":"application/json","data":{"text":"1"}}"#;
    let set = NewEvent::json("leftfold.TimerSet", set).tag("leftfold.timer", "old@0");
    world.event("leftfold.timer-old", set);
    run(&world);
    assert_eq!(rung(&world), ["1"]);
}

#[test]
fn a_timers_event_can_have_any_bytes() {
    let world = World::new();
    let mut event = NewEvent::new("Raw", vec![0xff, 0, 1]).correlation("c-1");
    event.schema_version = 4;
    let (stream, event) = Timer::new("raw", Timestamp(0), "raw", event).set();
    world.event(&stream, event);
    run(&world);
    let raw = &world.read(Query::stream("raw"))[0];
    assert_eq!(raw.data(), vec![0xff, 0, 1]);
    assert_eq!((raw.schema_version(), raw.correlation()), (4, Some("c-1")));
    assert_eq!(raw.content_type(), leftfold::BYTES);
}

/// Who may append to a stream of orders must not be able to append anywhere by it.
#[test]
fn a_setting_in_another_stream_fires_nothing() {
    let world = World::new();
    let rings = NewEvent::json("Rang", "{}");
    let (_, event) = Timer::new("bell", Timestamp(0), "bells", rings).set();
    world.event("order-1", event);
    run(&world);
    assert_eq!(rung(&world), [""; 0]);
}
