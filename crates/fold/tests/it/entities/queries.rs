//! Commands that read a query, with its state in memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use leftfold::{
    Command, CommandContext, Decider, Embedded, Emit, Entities, Event, Execute, ExecuteError,
    MemorySnapshots, Query, QueryState, SnapshotPolicy, State,
};
use pollster::block_on;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::bank::{put, store};

#[derive(Debug, Clone, PartialEq, Event)]
enum Booking {
    Booked {
        #[event(tag)]
        room: String,
        night: u32,
    },
    /// Belongs to no room.
    Noted { text: String },
}

/// The booked nights of a room.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Occupancy {
    nights: BTreeSet<u32>,
    folded: u32,
}

impl State for Occupancy {
    type Event = Booking;

    const SNAPSHOTS: Option<SnapshotPolicy<Self>> =
        Some(SnapshotPolicy::json("occupancy", 1).every_events(10));

    fn apply(&mut self, event: &Booking) {
        self.folded += 1;
        if let Booking::Booked { night, .. } = event {
            assert!(self.nights.insert(*night), "night {night} is booked twice");
        }
    }
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("taken, after {folded} events")]
struct Taken {
    folded: u32,
}

#[derive(Debug, Clone, serde::Serialize)]
struct Book {
    #[serde(skip)]
    query: Query,
    room: &'static str,
    night: u32,
}

impl Command for Book {
    type Event = Booking;
    type Error = Taken;
    type Reads = QueryState<Occupancy>;

    fn reads(&self) -> QueryState<Occupancy> {
        QueryState::untyped(self.query.clone())
    }

    fn decide(&self, taken: &Occupancy) -> Result<Vec<Emit<Booking>>, Taken> {
        if taken.nights.contains(&self.night) {
            return Err(Taken { folded: taken.folded });
        }
        let Book { room, night, .. } = *self;
        Ok(vec![
            Booking::Noted { text: format!("{room} for {night}") }.to("notes-1"),
            Booking::Booked { room: room.to_owned(), night }.to(format!("booking-{room}-{night}")),
        ])
    }
}

fn book(room: &'static str, night: u32) -> Book {
    Book { query: Query::tag("room", room), room, night }
}

type Rooms = Entities<Occupancy, Arc<Embedded>>;

fn rooms(store: &Arc<Embedded>) -> Rooms {
    Entities::new(Decider::new(store.clone()))
}

fn refused(folded: u32) -> ExecuteError<Taken> {
    ExecuteError::Refused(Taken { folded })
}

#[test]
fn concurrent_bookings_of_a_room_need_no_second_attempt() {
    let store = store();
    let rooms = rooms(&store);
    std::thread::scope(|scope| {
        let book = |night| {
            let rooms = rooms.clone();
            scope.spawn(move || block_on(rooms.execute(book("101", night))).unwrap())
        };
        let booked: Vec<_> = (0..64).map(book).collect();
        for (night, booked) in (0..).zip(booked) {
            let booked = booked.join().unwrap();
            assert_eq!(booked.attempts, 1);
            let (note, booking) = (&booked.events[0], &booked.events[1]);
            assert_eq!((&*note.stream, note.position), ("notes-1", 2 * note.version + 1));
            assert_eq!((booking.version, booking.position), (0, note.position + 1));
            assert_eq!(booking.stream, format!("booking-101-{night}"));
        }
    });
    let state: Occupancy = block_on(Decider::new(&store).load(&book("101", 0).reads())).unwrap();
    assert_eq!(state.nights.len(), 64);
}

#[test]
fn commands_of_one_batch_are_decided_on_what_the_others_decide() {
    let store = store();
    let rooms = rooms(&store);
    let (a, b) = (rooms.execute(book("101", 1)), rooms.execute(book("101", 1)));
    let (c, d) = (rooms.execute(book("101", 2)), rooms.execute(book("102", 1)));
    block_on(a).unwrap();
    // Only the event with the room's tag is in the state.
    assert_eq!(block_on(b), Err(refused(1)));
    assert_eq!(block_on(c).unwrap().events[1].position, 4);
    assert_eq!(block_on(d).unwrap().events[1].position, 6);
    // The last one's events are in the state too.
    assert_eq!(block_on(rooms.execute(book("101", 2))), Err(refused(2)));
    assert_eq!(rooms.in_memory().0, 2);
}

#[test]
fn events_of_other_writers_are_in_the_state_too() {
    let store = store();
    let rooms = rooms(&store);
    block_on(rooms.execute(book("101", 1))).unwrap();
    block_on(store.execute(book("101", 2))).unwrap();
    assert_eq!(block_on(rooms.execute(book("101", 2))), Err(refused(2)));
    block_on(store.execute(book("101", 3))).unwrap();
    // The append's condition notices what the state does not know.
    let booked = block_on(rooms.execute(book("101", 4))).unwrap();
    assert_eq!(booked.attempts, 2);
    // So does that of a batch.
    let (a, b) = (rooms.execute(book("101", 5)), rooms.execute(book("101", 6)));
    block_on(store.execute(book("101", 5))).unwrap();
    assert_eq!(block_on(a), Err(refused(5)));
    assert_eq!(block_on(b).unwrap().attempts, 2);
    assert_eq!(block_on(rooms.execute(book("101", 6))), Err(refused(6)));
}

#[test]
fn a_conflict_names_the_event() {
    let store = store();
    let rooms = Rooms::new(Decider::new(store.clone()).attempts(1));
    block_on(rooms.execute(book("101", 1))).unwrap();
    block_on(store.execute(book("101", 2))).unwrap();
    let error = block_on(rooms.execute(book("101", 3))).unwrap_err();
    let ExecuteError::Conflict(by) = error else { panic!("{error:?}") };
    assert_eq!((&*by.stream, by.event), ("booking-101-2", Some((4, "Booked".to_owned()))));
}

#[test]
fn a_query_that_only_the_store_can_match_is_read_before_each_command() {
    let store = store();
    let rooms = rooms(&store);
    let index = leftfold::IndexDefinition::new("bookings", Query::tag("room", "101"));
    block_on(leftfold::EventStore::define_index(&*store, index)).unwrap();
    let since = "tag:room=101 time:1970-01-01..".parse().unwrap();
    for (night, query) in (10..).step_by(10).zip([Query::index("bookings"), since]) {
        let book = |night| Book { query: query.clone(), room: "101", night };
        let (a, b) = (rooms.execute(book(night)), rooms.execute(book(night)));
        block_on(a).unwrap();
        assert!(matches!(block_on(b), Err(ExecuteError::Refused(_))));
        assert_eq!(block_on(rooms.execute(book(night + 1))).unwrap().attempts, 1);
        let again = block_on(rooms.execute(book(night + 1)));
        assert!(matches!(again, Err(ExecuteError::Refused(_))));
    }
}

#[test]
fn the_state_of_a_query_has_snapshots() {
    let store = store();
    let decider = Decider::new(store.clone()).snapshots(Arc::new(MemorySnapshots::default()));
    let rooms = Rooms::new(decider.clone());
    for night in 0..15 {
        block_on(rooms.execute(book("101", night))).unwrap();
    }
    // The snapshot has ten bookings; a load that folds one of them again panics.
    let again = Rooms::new(decider);
    assert_eq!(block_on(again.execute(book("101", 0))), Err(refused(15)));
}

#[test]
fn a_command_with_an_id_is_handled_once() {
    let store = store();
    let rooms = rooms(&store);
    let issued = || CommandContext::with_id(Uuid::from_u128(5));
    let (a, b) = (book("101", 1), book("101", 1));
    let (a, b) = (rooms.execute_as(issued(), a), rooms.execute_as(issued(), b));
    let (a, b) = (block_on(a).unwrap(), block_on(b).unwrap());
    assert_eq!((a.repeated, b.repeated), (false, true));
    assert_eq!(a.events, b.events);
    let again = block_on(self::rooms(&store).execute_as(issued(), book("101", 1))).unwrap();
    assert_eq!((again.repeated, again.events), (true, a.events));
}

#[test]
fn a_strict_state_refuses_events_that_it_does_not_know() {
    struct Strict(Book);
    impl Command for Strict {
        type Event = Booking;
        type Error = Taken;
        type Reads = QueryState<Occupancy>;
        fn reads(&self) -> QueryState<Occupancy> {
            self.0.reads().strict()
        }
        fn decide(&self, taken: &Occupancy) -> Result<Vec<Emit<Booking>>, Taken> {
            self.0.decide(taken)
        }
    }
    let store = store();
    put(&store, "booking-1", "Unknown", "{}");
    let rooms = rooms(&store);
    let book = || Book { query: Query::category("booking"), ..book("101", 1) };
    block_on(rooms.execute(book())).unwrap();
    let error = block_on(rooms.execute(Strict(book()))).unwrap_err();
    assert_eq!(leftfold::Coded::code(&error), "event_undecodable");
}
