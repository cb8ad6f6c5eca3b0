use std::time::Duration;

use leftfold::process::{Process, processes};
use leftfold::react::{Cause, Lanes, Reaction};
use leftfold::timer::{Timer, timers};
use leftfold::{Append, Event, NewEvent, State, Timestamp};

use crate::flows::support::World;

#[derive(Debug, Clone, PartialEq, Event)]
enum Trip {
    Booked,
    HotelConfirmed,
    FlightConfirmed,
    TimedOut,
}

/// A trip takes place if hotel and flight are confirmed within an hour.
#[derive(Default, Clone)]
struct Booking {
    hotel: bool,
    flight: bool,
    over: bool,
}

impl State for Booking {
    type Event = Trip;

    fn apply(&mut self, event: &Trip) {
        match event {
            Trip::Booked => {}
            Trip::HotelConfirmed => self.hotel = true,
            Trip::FlightConfirmed => self.flight = true,
            Trip::TimedOut => self.over = true,
        }
    }
}

impl Process for Booking {
    fn react(&self, event: &Trip, cause: &Cause) -> Reaction {
        let trip = cause.event.correlation().unwrap_or_default();
        let decided = |what: &str| {
            Reaction::none().event(format!("outcome-{trip}"), NewEvent::json(what, "{}"))
        };
        match event {
            Trip::Booked => {
                let timed_out = NewEvent::json("TimedOut", "{}").correlation(trip);
                let due = Timestamp(cause.now.micros() + 3_600_000_000);
                Reaction::none().timer(Timer::new(trip, due, format!("trip-{trip}"), timed_out))
            }
            Trip::TimedOut if !(self.hotel && self.flight) => decided("Off"),
            Trip::HotelConfirmed | Trip::FlightConfirmed
                if self.hotel && self.flight && !self.over =>
            {
                decided("On").cancel_timer(trip)
            }
            _ => Reaction::none(),
        }
    }
}

fn happen(world: &World, stream: &str, trip: &str, event_type: &str) {
    let event = NewEvent::json(event_type, "null").correlation(trip);
    world.append(Append::new().event(stream, event));
}

fn run(world: &World) {
    for _ in 0..2 {
        let key = Lanes::ByCorrelation;
        world.catch_up(processes::<Booking, _>("trips", Trip::query(), key, world.store.clone()));
        world.catch_up(timers(world.store.clone()));
    }
}

#[test]
fn a_process_combines_streams_and_reacts_once() {
    let world = World::new();
    for trip in ["x", "y", "z"] {
        happen(&world, &format!("trip-{trip}"), trip, "Booked");
        happen(&world, "hotel-1", trip, "HotelConfirmed");
        run(&world);
    }
    happen(&world, "flight-9", "y", "FlightConfirmed");
    run(&world);
    happen(&world, "flight-9", "y", "FlightConfirmed");
    happen(&world, "flight-9", "x", "FlightConfirmed");
    run(&world);
    world.time.advance(Duration::from_secs(7_200));
    run(&world);
    // The second confirmation leads to a second result: the process decides so.
    assert_eq!(world.types("outcome-y"), ["On", "On"]);
    assert_eq!(world.types("outcome-x"), ["On"]);
    assert_eq!(world.types("outcome-z"), ["Off"]);
}

#[test]
fn a_deadline_survives_restarts_and_late_events_change_nothing() {
    let world = World::new();
    happen(&world, "trip-x", "x", "Booked");
    run(&world);
    world.time.advance(Duration::from_secs(3_600));
    run(&world);
    happen(&world, "hotel-1", "x", "HotelConfirmed");
    happen(&world, "flight-1", "x", "FlightConfirmed");
    run(&world);
    assert_eq!(world.types("outcome-x"), ["Off"]);
    assert_eq!(world.types("trip-x"), ["Booked", "TimedOut"]);
}

/// The process reacts the same, whether all events are handled in one run or in several.
#[test]
fn a_process_reacts_the_same_in_one_run_or_several() {
    let outcomes = [false, true].map(|at_once| {
        let world = World::new();
        for n in 0..150 {
            happen(&world, "hotel-1", "x", "HotelConfirmed");
            if n == 149 {
                happen(&world, "flight-1", "x", "FlightConfirmed");
            }
            if !at_once && n % 50 == 0 {
                run(&world);
            }
        }
        run(&world);
        world.types("outcome-x")
    });
    assert_eq!(outcomes, [vec!["On"], vec!["On"]]);
}
