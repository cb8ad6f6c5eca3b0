//! Messages between entities: exactly once, and in order per pair.

use std::convert::Infallible;

use leftfold::message::{courier, receiver, to};
use leftfold::testing::{Domain, Running, World, running};
use leftfold::{Append, Command, Event, EventStore, Query, Recorded, State, StreamState, decode};

#[derive(Debug, Clone, PartialEq, Event)]
enum Island {
    Sent { number: u64 },
    Received { from: String, number: u64 },
}

#[derive(Default)]
struct Shore;

impl State for Shore {
    type Event = Island;

    fn apply(&mut self, _: &Island) {}
}

struct Receive {
    island: String,
    from: String,
    number: u64,
}

impl Command for Receive {
    type Event = Island;
    type Error = Infallible;
    type Reads = StreamState<Shore>;

    fn reads(&self) -> StreamState<Shore> {
        StreamState::of(&self.island)
    }

    fn decide(&self, _: &Shore) -> Result<Vec<Island>, Infallible> {
        Ok(vec![Island::Received { from: self.from.clone(), number: self.number }])
    }
}

struct Islands;

impl Domain for Islands {
    fn runs(&self, world: &World) -> Vec<Running> {
        let ferry = courier("ferry", Island::of_sent(), world.store(), |event, to| {
            let Ok(Some(Island::Sent { number })) = decode::<Island>(event) else { return None };
            let (island, from) = (to.to_owned(), event.stream().to_owned());
            Some(Receive { island, from, number })
        });
        vec![running(world.equip(ferry).run())]
    }

    fn act(&self, world: &World, turn: u64) -> Running {
        let (store, random) = (world.store(), world.random());
        running(async move {
            let mut append = Append::new();
            for n in 0..1 + random.below(5) {
                let [from, whom] = [(); 2].map(|()| format!("island-{}", random.below(3)));
                let sent = Island::Sent { number: turn * 10 + n }.to_new().unwrap();
                append = append.event(from, to(&whom, sent));
            }
            store.append(append).await
        })
    }

    fn check_at_rest(&self, world: &World) -> Result<(), String> {
        for from in (0..3).map(|n| format!("island-{n}")) {
            for whom in (0..3).map(|n| format!("island-{n}")) {
                let sent: Vec<u64> = numbers(&world.read(Query::stream(&from)), |event, island| {
                    matches!(island, Island::Sent { .. }) && receiver(event) == Some(&whom)
                });
                let received: Vec<u64> = numbers(
                    &world.read(Query::stream(&whom)),
                    |_, island| matches!(island, Island::Received { from: sender, .. } if *sender == from),
                );
                if sent != received {
                    return Err(format!("{from} to {whom}: {sent:?} arrived as {received:?}"));
                }
            }
        }
        Ok(())
    }
}

fn numbers(events: &[Recorded], wanted: impl Fn(&Recorded, &Island) -> bool) -> Vec<u64> {
    let decoded = events.iter().filter_map(|event| Some((event, decode::<Island>(event).ok()??)));
    decoded
        .filter(|(event, island)| wanted(event, island))
        .map(|(_, Island::Sent { number } | Island::Received { number, .. })| number)
        .collect()
}

#[test]
fn messages_arrive_once_and_in_order_per_pair() {
    crate::simulation::simulate(|| Islands);
}
