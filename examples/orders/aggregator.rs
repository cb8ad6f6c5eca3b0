//! The aggregator: an order is confirmed when all three services agree.

use std::sync::Arc;
use std::time::Duration;

use leftfold::process::{Process, processes};
use leftfold::react::{Cause, Handler, Lanes, Reaction, Reactor};
use leftfold::{Event, EventStore, State};

use crate::orders::Shop;

/// The time after which the aggregator stops waiting for answers.
const HOUR: Duration = Duration::from_secs(3_600);

/// The state of an order.
#[derive(Debug, Default, Clone)]
pub struct Order {
    item: String,
    /// The answers of the three services: none yet, yes, or the reason for no.
    stock: Option<Result<(), &'static str>>,
    fraud: Option<Result<(), &'static str>>,
    details: Option<Result<(), &'static str>>,
    timed_out: bool,
    decided: bool,
}

fn answer(yes: bool, why_not: &'static str) -> Option<Result<(), &'static str>> {
    Some(if yes { Ok(()) } else { Err(why_not) })
}

impl State for Order {
    type Event = Shop;

    fn apply(&mut self, event: &Shop) {
        match event {
            Shop::OrderPlaced { item, .. } => self.item.clone_from(item),
            Shop::Reserved { .. } => self.stock = answer(true, ""),
            Shop::OutOfStock { .. } => self.stock = answer(false, "it is out of stock"),
            Shop::FraudChecked { suspicious } => {
                self.fraud = answer(!suspicious, "fraud is suspected")
            }
            Shop::DetailsChecked { complete } => {
                self.details = answer(*complete, "the address is missing");
            }
            Shop::OrderTimedOut => self.timed_out = true,
            Shop::OrderConfirmed | Shop::OrderRejected { .. } => self.decided = true,
            Shop::Delivered { .. } | Shop::Released { .. } => {}
        }
    }
}

impl Order {
    /// Returns the verdict once all three have answered. So by then it is known whether items were
    /// reserved, and a rejection releases them.
    fn verdict(&self) -> Option<Result<(), &'static str>> {
        if self.timed_out {
            return Some(Err("a service did not answer in time"));
        }
        let [stock, fraud, details] = [self.stock?, self.fraud?, self.details?];
        Some(fraud.and(details).and(stock))
    }
}

impl Process for Order {
    fn react(&self, event: &Shop, cause: &Cause) -> Reaction {
        let order = cause.event.correlation().unwrap_or_default();
        if let Shop::OrderPlaced { .. } = event {
            let timed_out = Shop::OrderTimedOut.to(Shop::stream(order));
            return Reaction::none().emit_at(order, cause.now + HOUR, timed_out);
        }
        let verdict = match self.verdict() {
            Some(Ok(())) if !self.decided => Shop::OrderConfirmed,
            Some(Err(reason)) if !self.decided => {
                Shop::OrderRejected { item: self.item.clone(), reason: reason.to_owned() }
            }
            _ => return Reaction::none(),
        };
        Reaction::none().emit(verdict.to(Shop::stream(order))).cancel_timer(order)
    }
}

/// Makes the service.
pub fn aggregator<S>(store: Arc<S>) -> Reactor<S, impl Handler>
where
    S: EventStore + 'static,
{
    processes::<Order, _>("aggregator", Shop::query(), Lanes::ByCorrelation, store)
}
