//! The inventory: an entity per item, so that no piece is reserved twice.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use leftfold::react::{Cause, Handler, HandlerError, Lanes, Reaction, Reactor};
use leftfold::{Command, Decider, EventStore, FoldError, State, StreamState, decode};

use crate::orders::Shop;

/// The stock of an item.
#[derive(Debug, Default)]
pub struct Stock {
    /// The number of pieces that are not reserved.
    pub free: u64,
    reserved: BTreeMap<String, u64>,
}

impl State for Stock {
    type Event = Shop;

    fn apply(&mut self, event: &Shop) {
        match event {
            Shop::Delivered { count } => self.free += count,
            Shop::Reserved { order, count } => {
                self.free -= count;
                self.reserved.insert(order.clone(), *count);
            }
            Shop::Released { order, count } => {
                self.free += count;
                self.reserved.remove(order);
            }
            _ => {}
        }
    }
}

fn stream_of(item: &str) -> String {
    format!("stock-{item}")
}

/// Reserves pieces for an order.
#[derive(Debug, PartialEq)]
struct Reserve {
    item: String,
    order: String,
    count: u64,
}

impl Command for Reserve {
    type Event = Shop;
    type Error = Infallible;
    type Reads = StreamState<Stock>;

    fn reads(&self) -> StreamState<Stock> {
        StreamState::of(stream_of(&self.item))
    }

    fn decide(&self, stock: &Stock) -> Result<Vec<Shop>, Infallible> {
        let (order, count) = (self.order.clone(), self.count);
        Ok(vec![match stock.free >= count {
            true => Shop::Reserved { order, count },
            false => Shop::OutOfStock { order },
        }])
    }
}

/// Releases what was reserved for an order.
#[derive(Debug, PartialEq)]
struct Release {
    item: String,
    order: String,
}

impl Command for Release {
    type Event = Shop;
    type Error = Infallible;
    type Reads = StreamState<Stock>;

    fn reads(&self) -> StreamState<Stock> {
        StreamState::of(stream_of(&self.item))
    }

    fn decide(&self, stock: &Stock) -> Result<Vec<Shop>, Infallible> {
        let order = self.order.clone();
        let reserved = stock.reserved.get(&order);
        Ok(reserved.map(|count| Shop::Released { order, count: *count }).into_iter().collect())
    }
}

/// Makes the service: it reserves pieces for placed orders, and releases those of rejected ones.
/// Orders of one item are handled one after the other, so that they do not overtake each other.
pub fn inventory<S>(store: Arc<S>) -> Reactor<S, impl Handler>
where
    S: EventStore + 'static,
{
    let query = Shop::of_order_placed().or(Shop::of_order_rejected());
    Reactor::new("inventory", query, store, handle).lanes(Lanes::ByTag("item".to_owned()))
}

async fn handle(cause: Cause) -> Result<Reaction, HandlerError> {
    let order = cause.event.correlation().unwrap_or_default().to_owned();
    Ok(match decode(&cause.event)? {
        Some(Shop::OrderPlaced { item, count, .. }) => {
            Reaction::none().command(Reserve { item, order, count })
        }
        Some(Shop::OrderRejected { item, .. }) => Reaction::none().command(Release { item, order }),
        _ => Reaction::none(),
    })
}

/// Loads the stock of an item.
pub async fn stock_of(store: &impl EventStore, item: &str) -> Result<Stock, FoldError> {
    Decider::new(store).load(&StreamState::<Stock>::of(stream_of(item))).await
}
