//! Several decisions in one handler: each sees the ones before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use leftfold::react::{Cause, Handler, HandlerError, Parked, Reaction, Reactor};
use leftfold::{
    Append, Command, Embedded, Emit, Event, EventStore, Expected, IndexDefinition, NewEvent, Query,
    QueryState, Span, State, StreamState, Timestamp,
};

use crate::reactor::support::World;

#[derive(Debug, Clone, PartialEq, Event)]
enum Hotel {
    Booked {
        #[event(tag)]
        room: String,
        night: u32,
    },
    Full,
}

/// The nights of a room.
#[derive(Default)]
struct Nights(Vec<u32>);

impl State for Nights {
    type Event = Hotel;

    fn apply(&mut self, event: &Hotel) {
        if let Hotel::Booked { night, .. } = event {
            self.0.push(*night);
        }
    }
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
enum No {
    #[error("night {0} is taken")]
    Taken(u32),
    #[error("no guest may have more than two nights")]
    TooMany,
}

/// Books a night of room 101, whose bookings are in many streams.
#[derive(Debug, Clone, PartialEq)]
struct Book {
    night: u32,
    booking: &'static str,
}

impl Command for Book {
    type Event = Hotel;
    type Error = No;
    type Reads = QueryState<Nights>;

    fn reads(&self) -> QueryState<Nights> {
        QueryState::untyped(Query::tag("room", "101"))
    }

    fn decide(&self, nights: &Nights) -> Result<Vec<Emit<Hotel>>, No> {
        match nights.0.contains(&self.night) {
            true => Err(No::Taken(self.night)),
            false if nights.0.len() >= 2 => Err(No::TooMany),
            false => Ok(vec![booked(self.night).to(self.booking)]),
        }
    }
}

fn booked(night: u32) -> Hotel {
    Hotel::Booked { room: "101".into(), night }
}

/// Books a night in the room's own stream, at most one of each.
#[derive(Debug, Clone, PartialEq)]
struct BookInStream(u32);

impl Command for BookInStream {
    type Event = Hotel;
    type Error = No;
    type Reads = StreamState<Nights>;

    fn reads(&self) -> StreamState<Nights> {
        StreamState::of("room-101")
    }

    fn decide(&self, nights: &Nights) -> Result<Vec<Hotel>, No> {
        match nights.0.contains(&self.0) {
            true => Err(No::Taken(self.0)),
            false => Ok(vec![booked(self.0)]),
        }
    }
}

/// Returns a reactor that handles each order by `react`, which also gets the number of the call.
fn reactor<F, Fut>(world: &World, react: F) -> Reactor<Embedded, impl Handler + use<F, Fut>>
where
    F: Fn(Arc<Embedded>, Cause, u32) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Reaction, HandlerError>> + Send,
{
    let (store, calls) = (world.store.clone(), AtomicU32::new(0));
    world.reactor(move |cause: Cause| {
        react(store.clone(), cause, calls.fetch_add(1, Ordering::SeqCst))
    })
}

async fn append(store: &Embedded, stream: &str, event: Hotel) {
    store.append(Append::new().event(stream, event.to_new().unwrap())).await.unwrap();
}

fn refused(no: No) -> HandlerError {
    HandlerError::refused(&no)
}

fn parked(world: &World) -> Vec<String> {
    let parked = pollster::block_on(Parked::of("r", &*world.store).list()).unwrap();
    parked.into_iter().map(|parked| parked.reason).collect()
}

fn types(world: &World, query: Query) -> Vec<String> {
    world.read(query).iter().map(|event| event.event_type().to_owned()).collect()
}

#[test]
fn the_second_decision_sees_the_events_of_the_first() {
    for (second, taken) in [(1, true), (2, false)] {
        let world = World::new();
        world.append_orders(1, 1);
        let reactor = reactor(&world, move |store, cause, _| async move {
            let mut reaction = Reaction::none();
            let first = Book { night: 1, booking: "booking-1" };
            reaction.decide(&cause, &store, first).await?.map_err(refused)?;
            let second = Book { night: second, booking: "booking-2" };
            reaction.decide(&cause, &store, second).await?.map_err(refused)?;
            Ok(reaction)
        });
        world.catch_up(&reactor);
        let reasons = if taken { vec!["refused: night 1 is taken"] } else { vec![] };
        assert_eq!(parked(&world), reasons);
        let bookings = world.read(Query::tag("room", "101")).len();
        assert_eq!(bookings, if taken { 0 } else { 2 });
    }
}

/// The states of one stream are of one version, and the condition is given once.
#[test]
fn decisions_on_one_stream_are_one_append() {
    let world = World::new();
    world.append_orders(1, 1);
    let reactor = reactor(&world, |store, cause, _| async move {
        let mut reaction = Reaction::none().expect("room-101", Expected::NoStream);
        for night in 1..=5 {
            reaction.decide(&cause, &store, BookInStream(night)).await?.map_err(refused)?;
        }
        let again = reaction.decide(&cause, &store, BookInStream(3)).await?;
        assert_eq!(again, Err(No::Taken(3)));
        Ok(reaction)
    });
    world.catch_up(&reactor);
    assert_eq!((parked(&world), world.read(Query::stream("room-101")).len()), (vec![], 5));
}

/// Another writer appends between two decisions of the first call.
#[test]
fn a_contradiction_of_two_decisions_leads_to_another_attempt() {
    let world = World::new();
    world.append_orders(1, 1);
    let reactor = reactor(&world, |store, cause, call| async move {
        let mut reaction = Reaction::none();
        reaction.decide(&cause, &store, BookInStream(1)).await?.map_err(refused)?;
        if call == 0 {
            append(&store, "room-101", booked(7)).await;
        }
        reaction.decide(&cause, &store, BookInStream(2)).await?.map_err(refused)?;
        Ok(reaction)
    });
    let counts = world.catch_up(&reactor).counts;
    assert_eq!((counts.handled, counts.failed), (1, 0));
    assert_eq!(world.read(Query::stream("room-101")).len(), 3);
}

/// The refusal of the first call rests on a booking that the other writer has made impossible.
#[test]
fn a_refusal_that_rests_on_states_of_different_moments_is_decided_again() {
    let world = World::new();
    world.append_orders(1, 1);
    let reactor = reactor(&world, |store, cause, call| async move {
        let mut reaction = Reaction::none();
        let first = Book { night: 1, booking: "booking-1" };
        if let Err(no) = reaction.decide(&cause, &store, first).await? {
            assert_eq!(no, No::Taken(1));
            return Ok(reaction.emit(Hotel::Full.to("hotel")));
        }
        if call == 0 {
            append(&store, "booking-9", booked(1)).await;
        }
        let second = Book { night: 2, booking: "booking-2" };
        reaction.decide(&cause, &store, second).await?.map_err(refused)?;
        Ok(reaction)
    });
    world.catch_up(&reactor);
    assert_eq!(parked(&world), [""; 0]);
    assert_eq!(types(&world, Query::stream("hotel")), ["Full"]);
}

#[test]
fn a_contradiction_that_never_ends_parks_after_its_attempts() {
    let world = World::new();
    world.append_orders(1, 1);
    let reactor = world.reactor(|_: Cause| async {
        let contradiction = Reaction::none().expect("x", Expected::NoStream);
        Ok::<_, HandlerError>(contradiction.expect("x", Expected::Exactly(3)))
    });
    for _ in 0..3 {
        world.catch_up(&reactor);
        world.time.advance(Duration::from_secs(10));
    }
    assert!(parked(&world)[0].contains("other writers have changed"), "{:?}", parked(&world));
}

/// The versions of a deleted stream continue, so its expected version is not that of no stream.
#[test]
fn a_decision_on_a_deleted_stream_is_written() {
    let world = World::new();
    world.append_orders(1, 1);
    pollster::block_on(async {
        append(&world.store, "room-101", booked(1)).await;
        world.store.delete_stream("room-101", Expected::Any).await.unwrap();
    });
    let reactor = reactor(&world, |store, cause, _| async move {
        cause.decide(&store, BookInStream(1)).await?.map_err(refused)
    });
    assert_eq!(world.catch_up(&reactor).counts.handled, 1);
    assert_eq!(world.read(Query::stream("room-101")).len(), 1);
}

#[derive(Debug, Clone, PartialEq)]
struct BookBy(Query);

impl Command for BookBy {
    type Event = Hotel;
    type Error = No;
    type Reads = QueryState<Nights>;

    fn reads(&self) -> QueryState<Nights> {
        QueryState::untyped(self.0.clone())
    }

    fn decide(&self, nights: &Nights) -> Result<Vec<Emit<Hotel>>, No> {
        match nights.0.is_empty() {
            true => Ok(vec![booked(1).to("booking-1")]),
            false => Err(No::Taken(1)),
        }
    }
}

/// An event of a reaction gets the correlation id and the time of its cause only later.
#[test]
fn a_decision_sees_earlier_events_by_correlation_and_time() {
    let later = Span { from: Some(Timestamp(5_000_000)), to: None };
    for query in [Query::correlation("trip-7"), Query::During(later)] {
        let world = World::new();
        world.time.advance(Duration::from_secs(5));
        let ordered = NewEvent::json("Placed", "{}").correlation("trip-7");
        world.store.blocking().append(Append::new().event("o-0", ordered)).unwrap();
        let reactor = reactor(&world, move |store, cause, _| {
            let book = BookBy(query.clone());
            async move {
                let mut reaction = Reaction::none();
                assert_eq!(reaction.decide(&cause, &store, book.clone()).await?, Ok(()));
                assert_eq!(reaction.decide(&cause, &store, book).await?, Err(No::Taken(1)));
                Ok(reaction)
            }
        });
        world.catch_up(&reactor);
        assert_eq!(parked(&world), [""; 0]);
        assert_eq!(types(&world, Query::category("booking")), ["Booked"]);
    }
}

/// Only the store knows what an index lists, so the first decision would be invisible.
#[test]
fn a_second_decision_on_an_index_is_parked() {
    let world = World::new();
    let cause = Cause::of(Hotel::Full.to("o-1"));
    let mut reaction = Reaction::none().emit(booked(1).to("booking-1"));
    let definition = IndexDefinition::new("rooms", Query::tag("room", "101"));
    pollster::block_on(async {
        world.store.define_index(definition).await.unwrap();
        let book = BookBy(Query::Index("rooms".to_owned()));
        let error = reaction.decide(&cause, &world.store, book).await.unwrap_err();
        assert!(error.reason().contains("use the index's query instead"), "{error}");
    });
}

/// A planned command is decided after the handler, on top of its events.
#[test]
fn a_planned_command_is_decided_on_top_of_the_reaction() {
    let world = World::new();
    world.append_orders(1, 1);
    let reactor = reactor(&world, |_, _, _| async move {
        Ok(Reaction::none().command(BookInStream(1)).emit(booked(2).to("room-101")).command_or(
            BookInStream(2),
            |no| match no {
                No::Taken(night) => Reaction::none().command(BookInStream(night + 1)),
                No::TooMany => Reaction::none(),
            },
        ))
    });
    world.catch_up(&reactor);
    assert_eq!(parked(&world), [""; 0]);
    let nights = world.read(Query::stream("room-101"));
    let nights: Vec<_> = nights.iter().map(|event| leftfold::decode(event).unwrap()).collect();
    assert_eq!(nights, [2, 1, 3].map(|night| Some(booked(night))));
}

#[test]
fn a_refused_command_parks_its_event_with_the_reason() {
    let world = World::new();
    world.append_orders(1, 1);
    let reactor = reactor(&world, |_, _, _| async move {
        Ok(Reaction::none().command(BookInStream(1)).command(BookInStream(1)))
    });
    world.catch_up(&reactor);
    assert_eq!(parked(&world), ["refused: night 1 is taken"]);
    assert_eq!(world.read(Query::stream("room-101")).len(), 0);
}

/// Two reactors book at the same time: the conflicts are decided again.
#[test]
fn conflicting_commands_are_decided_again() {
    let world = World::new();
    world.append_orders(20, 1);
    let reactor = reactor(&world, |_, _, call| async move {
        Ok(Reaction::none().command(BookInStream(1000 + call)))
    });
    let counts = world.catch_up(&reactor).counts;
    assert_eq!((counts.handled, counts.failed), (20, 0));
    assert_eq!(world.read(Query::stream("room-101")).len(), 20);
}

#[test]
fn commands_that_follow_from_refusals_for_ever_park() {
    fn again(no: No) -> Reaction {
        assert_eq!(no, No::Taken(1));
        Reaction::none().command_or(BookInStream(1), again)
    }
    let world = World::new();
    world.append_orders(1, 1);
    pollster::block_on(append(&world.store, "room-101", booked(1)));
    let reactor = reactor(&world, |_, _, _| async {
        Ok(Reaction::none().command_or(BookInStream(1), again))
    });
    world.catch_up(&reactor);
    assert_eq!(parked(&world), ["more than 1000 commands follow from the event"]);
}

#[test]
fn a_reaction_can_be_looked_at_and_compared() {
    let reaction = || {
        Reaction::none()
            .emit(booked(1).to("room-101"))
            .event("room-101", NewEvent::json("Other", "{}"))
            .command(BookInStream(2))
    };
    assert_eq!(reaction(), reaction());
    assert_ne!(reaction(), reaction().command(BookInStream(3)));
    assert_ne!(reaction(), Reaction::none().command(Book { night: 2, booking: "b" }));
    assert_eq!(reaction().events::<Hotel>(), [booked(1).to("room-101")]);
    assert_eq!(reaction().commands::<BookInStream>(), [&BookInStream(2)]);
    assert_eq!(reaction().commands::<Book>(), [] as [&Book; 0]);
    assert!(format!("{:?}", reaction()).contains("BookInStream(2)"));
    // The handler of a reactor is called without a run.
    let world = World::new();
    let reactor = reactor(&world, move |_, _, _| async move { Ok(reaction()) });
    let handled = pollster::block_on(reactor.handle(Cause::of(Hotel::Full.to("o-1")))).unwrap();
    assert_eq!(handled.events::<Hotel>(), [1, 2].map(|night| booked(night).to("room-101")));
    assert_eq!(world.read(Query::stream("room-101")).len(), 0);
}
