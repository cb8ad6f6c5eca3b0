//! Ordered transfers: a process of several steps, each of which happens once.
//!
//! `Transfer` moves money in one append. That needs both accounts in one store, and a caller who
//! waits. An ordered transfer is a fact, and a process executes it: withdraw the money, then
//! deposit it, or return it if the receiving account does not exist. Each step and the process's
//! progress are one append, so each step happens once, also after a crash.

use std::sync::Arc;

use leftfold::react::{Cause, Handler, HandlerError, Reaction, Reactor};
use leftfold::{Command, Event, EventStore, State, StreamState, decode};

use crate::bank::{Deposit, Withdraw};

/// The events of an ordered transfer.
#[derive(Debug, Clone, PartialEq, Event)]
#[event(category = "transfer")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Order {
    TransferOrdered { from: String, to: String, cents: u64 },
    TransferFunded { from: String, to: String, cents: u64 },
    TransferCompleted,
    TransferRefused { reason: String },
    TransferReturned { reason: String },
}

/// Whether the order exists.
#[derive(Debug, Default)]
pub struct OrderExists(bool);

impl State for OrderExists {
    type Event = Order;

    fn apply(&mut self, _: &Order) {
        self.0 = true;
    }
}

/// Orders a transfer. Ordering it again changes nothing.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct OrderTransfer {
    pub order: String,
    pub from: String,
    pub to: String,
    pub cents: u64,
}

impl Command for OrderTransfer {
    type Event = Order;
    type Error = std::convert::Infallible;
    type Reads = StreamState<OrderExists>;

    fn reads(&self) -> StreamState<OrderExists> {
        StreamState::of(Order::stream(&self.order))
    }

    fn decide(&self, known: &OrderExists) -> Result<Vec<Order>, Self::Error> {
        let OrderTransfer { from, to, cents, .. } = self.clone();
        Ok(if known.0 { vec![] } else { vec![Order::TransferOrdered { from, to, cents }] })
    }
}

/// Makes the process that executes ordered transfers. Run it like any reactor.
pub fn transfers<S>(store: Arc<S>) -> Reactor<S, impl Handler>
where
    S: EventStore + 'static,
{
    let of = store.clone();
    let next = move |cause: Cause| {
        let store = of.clone();
        async move { next_step(&*store, &cause).await }
    };
    Reactor::new("transfers", Order::query(), store, next)
}

async fn next_step(store: &impl EventStore, cause: &Cause) -> Result<Reaction, HandlerError> {
    let mut reaction = Reaction::none();
    let then = match decode(&cause.event)? {
        Some(Order::TransferOrdered { from, to, cents }) => {
            let withdraw = Withdraw { account: from.clone(), cents };
            match reaction.decide(cause, store, withdraw).await? {
                Ok(()) => Order::TransferFunded { from, to, cents },
                Err(no) => Order::TransferRefused { reason: no.to_string() },
            }
        }
        Some(Order::TransferFunded { from, to, cents }) => {
            match reaction.decide(cause, store, Deposit { account: to, cents }).await? {
                Ok(()) => Order::TransferCompleted,
                Err(no) => {
                    // Accounts are never closed. A refusal would park the event.
                    reaction = reaction.command(Deposit { account: from, cents });
                    Order::TransferReturned { reason: no.to_string() }
                }
            }
        }
        _ => return Ok(reaction),
    };
    Ok(reaction.emit(then.to(cause.event.stream())))
}
