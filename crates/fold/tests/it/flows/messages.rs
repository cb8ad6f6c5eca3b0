use std::convert::Infallible;

use leftfold::message::{courier, to};
use leftfold::react::Parked;
use leftfold::{Append, Command, Event, Query, State, StreamState};

use crate::flows::support::World;

/// The messages between islands.
#[derive(Debug, PartialEq, Event)]
enum Island {
    Asked { boats: u32 },
    Sent { boats: u32 },
}

#[derive(Default)]
struct Stock {
    sent: Vec<u32>,
}

impl State for Stock {
    type Event = Island;

    fn apply(&mut self, event: &Island) {
        if let Island::Sent { boats } = event {
            self.sent.push(*boats);
        }
    }
}

struct Send {
    from: String,
    boats: u32,
}

impl Command for Send {
    type Event = Island;
    type Error = Infallible;
    type Reads = StreamState<Stock>;

    fn reads(&self) -> StreamState<Stock> {
        StreamState::of(&self.from)
    }

    fn decide(&self, _: &Stock) -> Result<Vec<Island>, Infallible> {
        Ok(vec![Island::Sent { boats: self.boats }])
    }
}

fn ask(world: &World, from: &str, whom: &str, boats: u32) {
    let event = to(whom, Island::Asked { boats }.to_new().unwrap());
    world.append(Append::new().event(from, event));
}

fn deliver(world: &World) {
    world.catch_up(courier("ferry", Island::of_asked(), world.store.clone(), |event, to| {
        match leftfold::decode::<Island>(event) {
            Ok(Some(Island::Asked { boats })) => Some(Send { from: to.to_owned(), boats }),
            _ => None,
        }
    }));
}

fn sent(world: &World, island: &str) -> Vec<u32> {
    let loaded = leftfold::Decider::new(&*world.store);
    pollster::block_on(loaded.load(&StreamState::<Stock>::of(island))).unwrap().sent
}

#[test]
fn messages_arrive_once_and_in_the_order_of_their_sender() {
    let world = World::new();
    for boats in 0..20 {
        ask(&world, "island-a", "island-b", boats);
        ask(&world, "island-c", "island-b", 100 + boats);
    }
    deliver(&world);
    deliver(&world);
    let sent = sent(&world, "island-b");
    let of = |from: u32| -> Vec<u32> {
        sent.iter().copied().filter(|boats| boats / 100 == from).collect()
    };
    assert_eq!(of(0), (0..20).collect::<Vec<_>>());
    assert_eq!(of(1), (100..120).collect::<Vec<_>>());
    assert_eq!(sent.len(), 40);
}

#[test]
fn an_entity_can_message_itself_and_a_replay_sends_nothing() {
    let world = World::new();
    ask(&world, "island-a", "island-a", 1);
    deliver(&world);
    assert_eq!(sent(&world, "island-a"), [1]);
    // Loading only folds events and appends nothing.
    assert_eq!(world.read(Query::stream("island-a")).len(), 2);
}

#[test]
fn an_event_without_a_receiver_is_no_message() {
    let world = World::new();
    let unaddressed = Island::Asked { boats: 1 }.to_new().unwrap();
    world.append(Append::new().event("island-a", unaddressed));
    deliver(&world);
    assert_eq!(world.read(Island::of_sent().into()).len(), 0);
    let parked = pollster::block_on(Parked::of("ferry", &*world.store).list()).unwrap();
    assert_eq!(parked, []);
}
