//! The aggregator: an order is confirmed when all three services agree.

use std::sync::Arc;

use leftfold::process::{Process, processes};
use leftfold::react::{Cause, Handler, Lanes, Reaction, Reactor};
use leftfold::timer::Timer;
use leftfold::{EventStore, State, Timestamp};

use crate::orders::Shop;
use crate::orders::facts::ITEM;

/// The time after which the aggregator stops waiting for answers, in microseconds.
const HOUR: i64 = 3_600_000_000;

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
        let stream = format!("order-{order}");
        if let Shop::OrderPlaced { .. } = event
            && let Ok(timed_out) = Shop::OrderTimedOut.of_order(order)
        {
            let due = Timestamp(cause.now.micros() + HOUR);
            return Reaction::none().timer(Timer::new(order, due, stream, timed_out));
        }
        let is_answer = matches!(
            event,
            Shop::Reserved { .. }
                | Shop::OutOfStock { .. }
                | Shop::FraudChecked { .. }
                | Shop::DetailsChecked { .. }
                | Shop::OrderTimedOut
        );
        let verdict = match self.verdict() {
            Some(Ok(())) => Shop::OrderConfirmed,
            Some(Err(reason)) => {
                Shop::OrderRejected { item: self.item.clone(), reason: reason.to_owned() }
            }
            None => return Reaction::none(),
        };
        match verdict.of_order(order) {
            Ok(event) if is_answer && !self.decided => {
                Reaction::none().event(stream, event.tag(ITEM, &self.item)).cancel_timer(order)
            }
            _ => Reaction::none(),
        }
    }
}

/// Makes the service.
pub fn aggregator<S>(store: Arc<S>) -> Reactor<S, impl Handler>
where
    S: EventStore + 'static,
{
    // All but the events of the stock alone.
    let query = Shop::of_order_placed()
        .or(Shop::of_reserved())
        .or(Shop::of_out_of_stock())
        .or(Shop::of_fraud_checked())
        .or(Shop::of_details_checked())
        .or(Shop::of_order_timed_out())
        .or(Shop::of_order_confirmed())
        .or(Shop::of_order_rejected());
    processes::<Order, _>("aggregator", query, Lanes::ByCorrelation, store)
}
