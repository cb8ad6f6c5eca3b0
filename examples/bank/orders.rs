//! Transfers to anywhere: a process that takes several steps, each of them once.
//!
//! `Transfer` moves money within one append. That needs both accounts in one store, and somebody who
//! waits. An order to transfer is a fact instead; a process carries it out: it takes the money from one
//! account, puts it into the other, and brings it back if nobody is there to take it. Each step is
//! written together with the process's progress, so that it happens once, wherever the process ends.

use std::sync::Arc;

use leftfold::reactor::{Cause, Handler, Reactor, Results, Setback};
use leftfold::{By, Command, Event, EventStore, Query, State, decode};

use crate::bank::{Deposit, Refused, Withdraw};

/// What happens to an order.
#[derive(Debug, Clone, PartialEq, Event)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Order {
    TransferOrdered { from: String, to: String, cents: u64 },
    TransferFunded { from: String, to: String, cents: u64 },
    TransferCompleted,
    TransferRefused { reason: String },
    TransferReturned { reason: String },
}

/// Whether there is an order of this name.
#[derive(Debug, Default)]
pub struct Known(bool);

impl State for Known {
    type Event = Order;

    fn apply(&mut self, _: &Order) {
        self.0 = true;
    }
}

/// Orders a transfer. Ordered again, it is the same order.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Place {
    pub order: String,
    pub from: String,
    pub to: String,
    pub cents: u64,
}

impl Command for Place {
    type Event = Order;
    type Error = std::convert::Infallible;
    type Reads = By<Known>;

    fn reads(&self) -> By<Known> {
        By::stream(format!("transfer-{}", self.order))
    }

    fn decide(&self, known: &Known) -> Result<Vec<Order>, Self::Error> {
        let Place { from, to, cents, .. } = self.clone();
        Ok(if known.0 { vec![] } else { vec![Order::TransferOrdered { from, to, cents }] })
    }
}

/// The process. Run it as any reactor.
pub fn transfers<S>(store: Arc<S>) -> Reactor<S, impl Handler>
where
    S: EventStore<Subscription: 'static> + 'static,
{
    let of = store.clone();
    let next = move |cause: Cause| {
        let store = of.clone();
        async move { next_step(&*store, &cause).await }
    };
    Reactor::new("transfers", Query::category("transfer"), store, next)
}

async fn next_step(store: &impl EventStore, cause: &Cause) -> Result<Results, Setback> {
    let Some(event) = decode::<Order>(&cause.event)? else { return Ok(Results::none()) };
    let (moved, then) = match event {
        Order::TransferOrdered { from, to, cents } => {
            let withdraw = Withdraw { account: from.clone(), cents };
            match cause.decide(store, withdraw).await? {
                Ok(moved) => (moved, Order::TransferFunded { from, to, cents }),
                Err(no) => (Results::none(), Order::TransferRefused { reason: no.to_string() }),
            }
        }
        Order::TransferFunded { from, to, cents } => {
            match cause.decide(store, Deposit { account: to, cents }).await? {
                Ok(moved) => (moved, Order::TransferCompleted),
                Err(no) => (give_back(store, cause, from, cents).await?, returned(&no)),
            }
        }
        _ => return Ok(Results::none()),
    };
    Ok(moved.event(cause.event.stream(), then.to_new()?))
}

async fn give_back(
    store: &impl EventStore,
    cause: &Cause,
    account: String,
    cents: u64,
) -> Result<Results, Setback> {
    let given_back = cause.decide(store, Deposit { account, cents }).await?;
    // It came from there: accounts are never closed. Were it otherwise, somebody has to look.
    given_back.map_err(|no| Setback::park(format!("{cents} cents can't be given back: {no}")))
}

fn returned(no: &Refused) -> Order {
    Order::TransferReturned { reason: no.to_string() }
}
