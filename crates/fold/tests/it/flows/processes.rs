use std::time::Duration;

use leftfold::process::{self, Process, processes};
use leftfold::react::{Cause, Lanes, Parked, Reaction};
use leftfold::timer::{Timer, timers};
use leftfold::{Append, Command, Event, NewEvent, Query, State, StreamState, Timestamp};
use uuid::Uuid;

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

#[derive(Debug, Clone, PartialEq, Event)]
enum Big {
    Begun,
    Made { n: u32 },
    Asked,
    Counted { made: u32 },
}

#[derive(Default)]
struct Counting {
    made: u32,
}

impl State for Counting {
    type Event = Big;

    fn apply(&mut self, event: &Big) {
        if let Big::Made { .. } = event {
            self.made += 1;
        }
    }
}

impl Process for Counting {
    fn react(&self, event: &Big, cause: &Cause) -> Reaction {
        let stream = cause.event.stream();
        match event {
            Big::Begun => (0..150)
                .fold(Reaction::none(), |reaction, n| reaction.emit(Big::Made { n }.to(stream))),
            Big::Asked => Reaction::none().emit(Big::Counted { made: self.made }.to(stream)),
            Big::Made { .. } | Big::Counted { .. } => Reaction::none(),
        }
    }
}

fn count(world: &World) {
    let big = Query::category("big");
    world.catch_up(processes::<Counting, _>("big", big, Lanes::ByStream, world.store.clone()));
}

fn counted(world: &World) -> Vec<Big> {
    let counted = world.read(Query::event_type("Counted"));
    counted.iter().filter_map(|event| leftfold::decode(event).unwrap()).collect()
}

/// Both events are there before the process runs, so its 150 results lie behind the second one.
#[test]
fn a_process_knows_all_results_of_an_event() {
    let world = World::new();
    let events = [Big::Begun, Big::Asked].map(|event| event.to_new().unwrap());
    world.append(events.into_iter().fold(Append::new(), |append, new| append.event("big-1", new)));
    count(&world);
    assert_eq!(counted(&world), [Big::Counted { made: 150 }]);
    let made = world.read(Query::event_type("Made"));
    assert!(made.iter().all(|event| event.id().get_version_num() == 8));
}

/// Earlier releases gave results ids of version 5.
#[test]
fn a_process_knows_results_of_earlier_releases() {
    let world = World::new();
    let begun = Big::Begun.to_new().unwrap().id(Uuid::from_u128(1));
    let asked = Big::Asked.to_new().unwrap();
    let made = Big::Made { n: 0 }.to_new().unwrap();
    let made = made.causation(Uuid::from_u128(1).to_string());
    // Computed by the last release that made such ids, for the process "big" and its event big-1@0.
    let id = "5dd9929d-df56-5e3d-9ecd-92bb365b9702".parse().unwrap();
    let append = Append::new().event("big-1", begun).event("big-1", asked);
    world.append(append.event("big-1", made.id(id)));
    // The process has handled the first event already.
    let reactor = processes::<Counting, _>(
        "big",
        Query::category("big"),
        Lanes::ByStream,
        world.store.clone(),
    );
    let first = world.store.blocking().read(leftfold::Read::forward(Query::All).limit(1)).unwrap();
    world.catch_up(reactor.starts_after(first.cursor));
    assert_eq!(counted(&world), [Big::Counted { made: 1 }]);
}

#[derive(Debug, Clone, PartialEq, Event)]
enum Order {
    Placed,
    Paid,
    DeadlinePassed,
    Cancelled,
    StayedPaid,
}

/// The state that a cancellation is decided on.
#[derive(Default)]
struct Payment {
    paid: bool,
}

impl State for Payment {
    type Event = Order;

    fn apply(&mut self, event: &Order) {
        self.paid |= *event == Order::Paid;
    }
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("it is paid")]
struct IsPaid;

#[derive(Debug, Clone, PartialEq)]
struct CancelUnpaid {
    order: String,
}

impl Command for CancelUnpaid {
    type Event = Order;
    type Error = IsPaid;
    type Reads = StreamState<Payment>;

    fn reads(&self) -> StreamState<Payment> {
        StreamState::of(&self.order)
    }

    fn decide(&self, payment: &Payment) -> Result<Vec<Order>, IsPaid> {
        if payment.paid { Err(IsPaid) } else { Ok(vec![Order::Cancelled]) }
    }
}

/// Cancels what is not paid at the deadline. It knows no payment after the deadline's event.
#[derive(Default)]
struct Deadline;

impl State for Deadline {
    type Event = Order;

    fn apply(&mut self, _: &Order) {}
}

fn three_days_after(now: Timestamp) -> Timestamp {
    leftfold::time::later(now, Duration::from_secs(3 * 86_400))
}

impl Process for Deadline {
    fn react(&self, event: &Order, cause: &Cause) -> Reaction {
        let order = cause.event.stream().to_owned();
        match event {
            Order::Placed => {
                let passed = Order::DeadlinePassed.to(&order);
                Reaction::none().emit_at(&order, three_days_after(cause.now), passed)
            }
            Order::DeadlinePassed => {
                let stayed = order.clone();
                Reaction::none().command_or(CancelUnpaid { order }, move |IsPaid| {
                    Reaction::none().emit(Order::StayedPaid.to(&stayed))
                })
            }
            Order::Paid => Reaction::none().cancel_timer(&order),
            Order::Cancelled | Order::StayedPaid => Reaction::none(),
        }
    }
}

fn append_all(world: &World, events: &[Order]) {
    for event in events {
        world.append(Append::new().event("order-1", event.to_new().unwrap()));
    }
}

/// The payment comes after the deadline, and before the process looks.
#[test]
fn a_command_of_a_process_is_decided_on_what_has_happened_since() {
    for (payment, end) in [(None, "Cancelled"), (Some(Order::Paid), "StayedPaid")] {
        let world = World::new();
        append_all(&world, &[Order::Placed, Order::DeadlinePassed]);
        append_all(&world, payment.as_slice());
        let orders = Query::category("order");
        let store = world.store.clone();
        world.catch_up(processes::<Deadline, _>("deadlines", orders, Lanes::ByStream, store));
        assert_eq!(world.types("order-1").last().map(String::as_str), Some(end));
        let parked = pollster::block_on(Parked::of("deadlines", &*world.store).list()).unwrap();
        assert_eq!(parked, []);
    }
}

#[test]
fn a_process_is_tested_without_a_store() {
    let given = || process::given::<Deadline>([Order::Placed.to("order-1")]);
    let reaction = process::given::<Deadline>([Order::Paid; 0])
        .at(Timestamp(7))
        .when(Order::Placed.to("order-1"));
    let due = three_days_after(Timestamp(7));
    let timer = Timer::new("order-1", due, "order-1", Order::DeadlinePassed.to_new().unwrap());
    assert_eq!(reaction.timers(), std::slice::from_ref(&timer));
    assert_eq!(reaction, Reaction::none().timer(timer));

    let reaction = given().at(due).when(Order::DeadlinePassed.to("order-1"));
    let cancel = CancelUnpaid { order: "order-1".into() };
    assert_eq!(reaction.commands::<CancelUnpaid>(), [&cancel]);
    assert_eq!(reaction, Reaction::none().command(cancel));

    let reaction = given().when(Order::Paid.to("order-1"));
    assert_eq!(reaction.cancelled_timers(), ["order-1"]);
    assert_eq!(given().when(Order::Cancelled), Reaction::none());

    // The state is the fold of the events, the last one included.
    let made = [Big::Made { n: 0 }, Big::Made { n: 1 }];
    let counted = process::given::<Counting>(made).when(Big::Asked.to("big-1"));
    assert_eq!(counted.events::<Big>(), [Big::Counted { made: 2 }.to("big-1")]);
}
