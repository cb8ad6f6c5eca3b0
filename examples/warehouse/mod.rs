#![doc = include_str!("README.md")]

use std::convert::Infallible;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use leftfold::message::{courier, receiver, to};
use leftfold::react::{Cause, Handler, HandlerError, Reaction, Reactor};
use leftfold::{
    Append, Command, Decider, Embedded, Event, EventQuery, Execute, Options, Read, State,
    StreamState, decode,
};
use pollster::block_on;

use crate::running::heading;

/// The islands.
const ISLANDS: [&str; 3] = ["island-north", "island-south", "island-west"];

/// The events of an island.
#[derive(Debug, Clone, PartialEq, Event)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Island {
    Delivered {
        crates: u64,
    },
    Sold {
        order: u64,
    },
    /// The island has no stock for an order and asks a neighbour.
    Asked {
        order: u64,
        tried: u64,
    },
    /// The question as a message to the neighbour.
    AskedNeighbour {
        order: u64,
        tried: u64,
    },
    /// No island had stock.
    SoldOut {
        order: u64,
    },
}

/// The stock of an island.
#[derive(Debug, Default)]
pub struct Stock {
    /// The number of crates that can be sold.
    pub crates: u64,
}

impl State for Stock {
    type Event = Island;

    fn apply(&mut self, event: &Island) {
        match event {
            Island::Delivered { crates } => self.crates += crates,
            Island::Sold { .. } => self.crates -= 1,
            _ => {}
        }
    }
}

/// An order of one crate at an island, from a customer or a neighbour.
pub struct Order {
    island: usize,
    order: u64,
    /// The number of islands that were asked before.
    tried: u64,
}

impl Command for Order {
    type Event = Island;
    type Error = Infallible;
    type Reads = StreamState<Stock>;

    fn reads(&self) -> StreamState<Stock> {
        StreamState::of(ISLANDS[self.island % ISLANDS.len()])
    }

    fn decide(&self, stock: &Stock) -> Result<Vec<Island>, Infallible> {
        let (order, tried) = (self.order, self.tried + 1);
        Ok(vec![match stock.crates {
            0 if tried == ISLANDS.len() as u64 => Island::SoldOut { order },
            0 => Island::Asked { order, tried },
            _ => Island::Sold { order },
        }])
    }
}

/// Makes the courier that delivers each island's messages to the next island.
fn ferry(store: Arc<Embedded>) -> Reactor<Embedded, impl Handler> {
    courier("ferry", Island::of_asked_neighbour(), store, |event, to| {
        let island = ISLANDS.iter().position(|name| *name == to)?;
        let Ok(Some(Island::AskedNeighbour { order, tried })) = decode(event) else { return None };
        Some(Order { island, order, tried })
    })
}

/// Makes the reactor that turns a question into a message to the neighbour, in the island's own
/// stream.
fn post(store: Arc<Embedded>) -> Reactor<Embedded, impl Handler> {
    let write = |cause: Cause| async move {
        let Some(Island::Asked { order, tried }) = decode(&cause.event)? else {
            return Ok(Reaction::none());
        };
        let here = ISLANDS.iter().position(|name| *name == cause.event.stream());
        let next = ISLANDS[(here.unwrap_or_default() + 1) % ISLANDS.len()];
        let message = to(next, Island::AskedNeighbour { order, tried }.to_new()?);
        Ok::<_, HandlerError>(Reaction::none().event(cause.event.stream(), message))
    };
    Reactor::new("post", Island::of_asked(), store, write)
}

/// Runs the example on a store in a directory, and writes the output that the README shows.
pub fn story(dir: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = Arc::new(Embedded::open(dir, Options::default())?);
    for (island, crates) in ISLANDS.iter().zip([5, 20, 10]) {
        let delivered = Island::Delivered { crates }.to_new()?;
        store.blocking().append(Append::new().event(*island, delivered))?;
    }
    heading(out, "forty customers order from the first island")?;
    for order in 0..40 {
        block_on(store.execute(Order { island: 0, order, tried: 0 }))?;
    }
    tell("after the orders", &store, out)?;
    heading(out, "the ferries sail")?;
    for _ in 0..ISLANDS.len() {
        block_on(post(store.clone()).catch_up())?;
        block_on(ferry(store.clone()).catch_up())?;
    }
    tell("after the ferries", &store, out)?;

    let messages = store.blocking().read(Read::forward(Island::of_asked_neighbour().into()))?;
    let sent =
        |to: &str| messages.events.iter().filter(|event| receiver(event) == Some(to)).count();
    writeln!(out, "messages: {} to south, {} to west", sent(ISLANDS[1]), sent(ISLANDS[2]))?;
    heading(out, "the processes end, and new ones start")?;
    drop(store);
    let store = Arc::new(Embedded::open(dir, Options::default())?);
    block_on(post(store.clone()).catch_up())?;
    block_on(ferry(store.clone()).catch_up())?;
    tell("after a replay", &store, out)
}

fn tell(when: &str, store: &Arc<Embedded>, out: &mut dyn Write) -> anyhow::Result<()> {
    let count = |events: EventQuery<Island>| -> anyhow::Result<usize> {
        Ok(store.blocking().read(Read::forward(events.into()))?.events.len())
    };
    let stocks = ISLANDS.map(StreamState::<Stock>::of);
    let left = stocks.map(|stock| block_on(Decider::new(store).load(&stock)));
    let left: Vec<_> =
        left.into_iter().map(|stock| stock.map(|it| it.crates)).collect::<Result<_, _>>()?;
    let (sold, sold_out) = (count(Island::of_sold())?, count(Island::of_sold_out())?);
    writeln!(out, "{when}: {sold} sold, {sold_out} sold out, {left:?} crates left")?;
    Ok(())
}
