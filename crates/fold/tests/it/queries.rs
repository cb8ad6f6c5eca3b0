//! Queries that the derive makes of an enum.

use leftfold::{
    Append, Command, Decider, Emit, Event, EventQuery, EventStore, Execute, NewEvent, Query,
    QueryState, Read, State,
};
use pollster::block_on;

use crate::bank::store;

/// An id of the domain.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
struct RoomId(u32);

impl std::fmt::Display for RoomId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[derive(Debug, Clone, PartialEq, Event)]
#[event(prefix = "booking.", category = "booking")]
enum Booking {
    Booked {
        #[event(tag)]
        room: RoomId,
        #[event(tag)]
        guest: String,
        #[event(tag = "seen-by")]
        watchers: Vec<String>,
        #[event(tag)]
        group: Option<u64>,
    },
    #[event(name = "RoomChanged")]
    Moved {
        #[event(tag = "room")]
        from: RoomId,
        #[event(tag = "room")]
        to: RoomId,
        #[event(tag = "seen-by")]
        clerk: u64,
    },
    Cancelled {
        #[event(tag)]
        guest: String,
    },
}

#[derive(Debug, Clone, PartialEq, Event)]
#[event(prefix = "cleaning.")]
enum Cleaning {
    Cancelled {
        #[event(tag)]
        room: RoomId,
    },
}

fn booked(room: u32) -> Booking {
    Booking::Booked {
        room: RoomId(room),
        guest: "ann".into(),
        watchers: vec!["bo".into(), "cy".into(), "bo".into()],
        group: None,
    }
}

/// The number of bookings.
#[derive(Debug, Default, PartialEq)]
struct Bookings(u32);

impl State for Bookings {
    type Event = Booking;

    fn apply(&mut self, event: &Booking) {
        if let Booking::Booked { .. } = event {
            self.0 += 1;
        }
    }
}

/// The number of cancelled cleanings.
#[derive(Debug, Default, PartialEq)]
struct Cleanings(u32);

impl State for Cleanings {
    type Event = Cleaning;

    fn apply(&mut self, _: &Cleaning) {
        self.0 += 1;
    }
}

#[test]
fn the_derive_makes_the_queries_of_an_enum() {
    let seen_by_bo: EventQuery<Booking> = Booking::by_seen_by("bo");
    for (query, text) in [
        (Booking::query(), "type:booking.Booked,booking.RoomChanged,booking.Cancelled"),
        (Booking::of_booked(), "type:booking.Booked"),
        (Booking::of_moved(), "type:booking.RoomChanged"),
        (Booking::by_room(&RoomId(1)), "type:booking.Booked,booking.RoomChanged tag:room=1"),
        (Booking::by_guest("ann"), "type:booking.Booked,booking.Cancelled tag:guest=ann"),
        (Booking::by_group(&7), "type:booking.Booked tag:group=7"),
        (seen_by_bo, "type:booking.Booked,booking.RoomChanged tag:seen-by=bo"),
        (Booking::by_seen_by(7), "type:booking.Booked,booking.RoomChanged tag:seen-by=7"),
        (
            Booking::of_cancelled().or(Booking::by_group(&7).and(Booking::by_guest("ann"))),
            "type:booking.Cancelled or type:booking.Booked tag:group=7 \
             (type:booking.Booked,booking.Cancelled tag:guest=ann)",
        ),
    ] {
        assert_eq!(query.to_string(), text);
        assert_eq!(text.parse(), Ok(Query::from(query)));
    }
    assert_eq!(Booking::stream(7), "booking-7");
    assert_eq!(Booking::stream(RoomId(8)), "booking-8");
}

#[test]
fn a_query_finds_what_the_enum_has_tagged() {
    let store = store();
    let moved = Booking::Moved { from: RoomId(1), to: RoomId(2), clerk: 7 };
    let events = [booked(1), moved, Booking::Cancelled { guest: "ann".into() }];
    let events = events.iter().map(|event| event.to_new().unwrap());
    // Another type with the same tag is not one of the enum's.
    let other = NewEvent::json("Painted", "{}").tag("room", "1");
    let append = events
        .chain([other])
        .fold(Append::new(), |append, event| append.event(Booking::stream(1), event));
    block_on(store.append(append)).unwrap();
    for (query, found) in [
        (Booking::by_room(&RoomId(1)), 2),
        (Booking::by_room(&RoomId(2)), 1),
        (Booking::by_guest("ann"), 2),
        (Booking::by_seen_by("cy"), 1),
        (Booking::query(), 3),
    ] {
        let page = block_on(store.read(Read::forward(query.clone().into()))).unwrap();
        assert_eq!(page.events.len(), found, "{query}");
    }
    let untyped = QueryState::<Bookings>::untyped(Query::tag("room", "1"));
    let typed = QueryState::<Bookings>::of(Booking::by_room(&RoomId(1)));
    for reads in [typed, untyped] {
        assert_eq!(block_on(Decider::new(&store).load(&reads)).unwrap(), Bookings(1));
    }
    let strict = QueryState::<Bookings>::untyped(Query::tag("room", "1")).strict();
    let sentence = block_on(Decider::new(&store).load(&strict)).unwrap_err().to_string();
    assert!(sentence.contains("Painted"), "{sentence}");
}

#[test]
fn variants_of_one_name_in_two_enums_are_two_types() {
    let store = store();
    let cleaning = Cleaning::Cancelled { room: RoomId(1) }.to_new().unwrap();
    let booking = Booking::Cancelled { guest: "ann".into() }.to_new().unwrap();
    assert_eq!(
        (&*cleaning.event_type, &*booking.event_type),
        ("cleaning.Cancelled", "booking.Cancelled")
    );
    let append = Append::new().event("a-1", cleaning).event("b-1", booking.tag("room", "1"));
    block_on(store.append(append)).unwrap();
    let decider = Decider::new(&store);
    let cleanings = QueryState::<Cleanings>::untyped(Query::tag("room", "1"));
    assert_eq!(block_on(decider.load(&cleanings)).unwrap(), Cleanings(1));
    let bookings = QueryState::<Bookings>::untyped(Query::tag("room", "1"));
    assert_eq!(block_on(decider.load(&bookings)).unwrap(), Bookings(0));
}

#[test]
fn optional_and_repeated_tags_are_none_or_several_and_equal_ones_are_one() {
    let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let (room, guest) = (tag("room", "1"), tag("guest", "ann"));
    let watchers = [tag("seen-by", "bo"), tag("seen-by", "cy")];
    let [bo, cy] = watchers;
    assert_eq!(booked(1).tags(), [room.clone(), guest, bo, cy]);
    let Booking::Booked { room: id, guest, .. } = booked(1) else { panic!("not booked") };
    let alone = Booking::Booked { room: id, guest, watchers: vec![], group: Some(7) };
    assert_eq!(alone.tags(), [room.clone(), tag("guest", "ann"), tag("group", "7")]);
    let same = Booking::Moved { from: RoomId(1), to: RoomId(1), clerk: 7 };
    assert_eq!(same.tags(), [room, tag("seen-by", "7")]);

    struct Move;
    impl Command for Move {
        type Event = Booking;
        type Error = std::convert::Infallible;
        type Reads = ();
        fn reads(&self) {}
        fn decide(&self, (): &()) -> Result<Vec<Emit<Booking>>, Self::Error> {
            let moved = Booking::Moved { from: RoomId(1), to: RoomId(1), clerk: 7 };
            Ok(vec![moved.to(Booking::stream(1))])
        }
    }
    assert_eq!(block_on(store().execute(Move)).unwrap().events.len(), 1);
}
