//! The aggregator: an order is confirmed when all three agree.

use std::sync::Arc;

use leftfold::process::{Process, processes};
use leftfold::reactor::{Cause, Handler, Lanes, Reactor, Results};
use leftfold::timer::Timer;
use leftfold::{EventStore, Query, State, Timestamp};

use crate::orders::Shop;
use crate::orders::facts::ITEM;

/// Who has not answered in an hour is not waited for.
const HOUR: i64 = 3_600_000_000;

/// What is known of an order.
#[derive(Debug, Default, Clone)]
pub struct Order {
    item: String,
    /// What each of the three has said: nothing, yes, or why not.
    stock: Option<Result<(), &'static str>>,
    fraud: Option<Result<(), &'static str>>,
    details: Option<Result<(), &'static str>>,
    timed_out: bool,
    decided: bool,
}

fn said(yes: bool, why_not: &'static str) -> Option<Result<(), &'static str>> {
    Some(if yes { Ok(()) } else { Err(why_not) })
}

impl State for Order {
    type Event = Shop;

    fn apply(&mut self, event: &Shop) {
        match event {
            Shop::OrderPlaced { item, .. } => self.item.clone_from(item),
            Shop::Reserved { .. } => self.stock = said(true, ""),
            Shop::OutOfStock { .. } => self.stock = said(false, "it is out of stock"),
            Shop::FraudChecked { suspicious } => {
                self.fraud = said(!suspicious, "fraud is suspected")
            }
            Shop::DetailsChecked { complete } => {
                self.details = said(*complete, "the address is missing");
            }
            Shop::OrderTimedOut => self.timed_out = true,
            Shop::OrderConfirmed | Shop::OrderRejected { .. } => self.decided = true,
            Shop::Delivered { .. } | Shop::Released { .. } => {}
        }
    }
}

impl Order {
    /// What all three come to, once all have answered: so what was reserved is known by then, and
    /// is released.
    fn verdict(&self) -> Option<Result<(), &'static str>> {
        if self.timed_out {
            return Some(Err("a service did not answer in time"));
        }
        let [stock, fraud, details] = [self.stock?, self.fraud?, self.details?];
        Some(fraud.and(details).and(stock))
    }
}

impl Process for Order {
    fn react(&self, event: &Shop, cause: &Cause) -> Results {
        let order = cause.event.correlation().unwrap_or_default();
        let stream = format!("order-{order}");
        if let Shop::OrderPlaced { .. } = event
            && let Ok(timed_out) = Shop::OrderTimedOut.of_order(order)
        {
            let due = Timestamp(cause.now.micros() + HOUR);
            return Results::none().timer(Timer::new(order, due, stream, timed_out));
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
            None => return Results::none(),
        };
        match verdict.of_order(order) {
            Ok(event) if is_answer && !self.decided => {
                Results::none().event(stream, event.tag(ITEM, &self.item)).cancel_timer(order)
            }
            _ => Results::none(),
        }
    }
}

/// The service.
pub fn aggregator<S>(store: Arc<S>) -> Reactor<S, impl Handler>
where
    S: EventStore<Subscription: 'static> + 'static,
{
    let types = [
        "OrderPlaced",
        "Reserved",
        "OutOfStock",
        "FraudChecked",
        "DetailsChecked",
        "OrderTimedOut",
        "OrderConfirmed",
        "OrderRejected",
    ];
    let query = Query::Or(types.map(Query::event_type).to_vec());
    processes::<Order, _>("aggregator", query, Lanes::ByCorrelation, store)
}
