#![doc = include_str!("README.md")]

use std::convert::Infallible;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use leftfold::message::{courier, receiver, to};
use leftfold::reactor::{Handler, Reactor};
use leftfold::{
    Append, By, Command, Decider, Embedded, Event, Execute, Options, Query, Read, State, decode,
};
use pollster::block_on;

/// The islands.
const ISLANDS: [&str; 3] = ["island-north", "island-south", "island-west"];

/// What happens on an island.
#[derive(Debug, Clone, PartialEq, Event)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Island {
    Delivered {
        crates: u64,
    },
    Sold {
        order: u64,
    },
    /// An order that this island has no stock for: a neighbour is asked.
    Asked {
        order: u64,
        tried: u64,
    },
    /// No island had any.
    SoldOut {
        order: u64,
    },
}

/// What an island has.
#[derive(Debug, Default)]
pub struct Stock {
    /// Crates that can be sold.
    pub crates: u64,
}

impl State for Stock {
    type Event = Island;

    fn apply(&mut self, event: &Island) {
        match event {
            Island::Delivered { crates } => self.crates += crates,
            Island::Sold { .. } => self.crates -= 1,
            Island::Asked { .. } | Island::SoldOut { .. } => {}
        }
    }
}

/// An order of one crate comes to an island, from a customer or from a neighbour.
pub struct Order {
    island: usize,
    order: u64,
    /// Islands that have been asked before.
    tried: u64,
}

impl Command for Order {
    type Event = Island;
    type Error = Infallible;
    type Reads = By<Stock>;

    fn reads(&self) -> By<Stock> {
        By::stream(ISLANDS[self.island % ISLANDS.len()])
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

/// Carries what one island asks to the next.
fn ferry(store: Arc<Embedded>) -> Reactor<Embedded, impl Handler> {
    courier("ferry", Query::event_type("AskedNeighbour"), store, |event, to| {
        let island = ISLANDS.iter().position(|name| *name == to)?;
        let (order, tried) = serde_json::from_slice(&event.data()).ok()?;
        Some(Order { island, order, tried })
    })
}

/// Turns what an island asks into a message for its neighbour, in the island's own stream.
fn post(store: Arc<Embedded>) -> Reactor<Embedded, impl Handler> {
    use leftfold::reactor::{Cause, Results, Setback};
    let write = |cause: Cause| async move {
        let Some(Island::Asked { order, tried }) = decode::<Island>(&cause.event)? else {
            return Ok(Results::none());
        };
        let here = ISLANDS.iter().position(|name| *name == cause.event.stream());
        let next = ISLANDS[(here.unwrap_or_default() + 1) % ISLANDS.len()];
        let data = serde_json::to_vec(&(order, tried))?;
        let message = to(next, leftfold::NewEvent::json("AskedNeighbour", data));
        Ok::<_, Setback>(Results::none().event(cause.event.stream(), message))
    };
    Reactor::new("post", Query::event_type("Asked"), store, write)
}

/// Tells the story of the README: opens a store in a directory and plays it.
pub fn story(dir: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = Arc::new(Embedded::open(dir, Options::default())?);
    for (island, crates) in ISLANDS.iter().zip([5, 20, 10]) {
        let delivered = Island::Delivered { crates }.to_new()?;
        store.blocking().append(Append::new().event(*island, delivered))?;
    }
    // Forty customers, all on the first island.
    for order in 0..40 {
        block_on(store.execute(Order { island: 0, order, tried: 0 }))?;
    }
    tell("after the orders", &store, out)?;
    for _ in 0..ISLANDS.len() {
        block_on(post(store.clone()).catch_up())?;
        block_on(ferry(store.clone()).catch_up())?;
    }
    tell("after the ferries", &store, out)?;

    let messages = store.blocking().read(Read::forward(Query::event_type("AskedNeighbour")))?;
    let sent =
        |to: &str| messages.events.iter().filter(|event| receiver(event) == Some(to)).count();
    writeln!(out, "messages: {} to south, {} to west", sent(ISLANDS[1]), sent(ISLANDS[2]))?;
    // The processes end, and all is gone through again.
    drop(store);
    let store = Arc::new(Embedded::open(dir, Options::default())?);
    block_on(post(store.clone()).catch_up())?;
    block_on(ferry(store.clone()).catch_up())?;
    tell("after a replay", &store, out)
}

fn tell(when: &str, store: &Arc<Embedded>, out: &mut dyn Write) -> anyhow::Result<()> {
    let count = |kind: &str| -> anyhow::Result<usize> {
        Ok(store.blocking().read(Read::forward(Query::event_type(kind)))?.events.len())
    };
    let left =
        ISLANDS.map(|island| block_on(Decider::new(store).load(&By::<Stock>::stream(island))));
    let left: Vec<_> =
        left.into_iter().map(|stock| stock.map(|it| it.crates)).collect::<Result<_, _>>()?;
    let (sold, sold_out) = (count("Sold")?, count("SoldOut")?);
    writeln!(out, "{when}: {sold} sold, {sold_out} sold out, {left:?} crates left")?;
    Ok(())
}
