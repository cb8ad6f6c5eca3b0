//! Orders with a deadline of three days: each ends paid or cancelled, and never both.

use std::collections::BTreeMap;
use std::time::Duration;

use leftfold::process::{Process, processes};
use leftfold::react::{Cause, Lanes, Reaction};
use leftfold::testing::{Domain, Running, Simulation, World, running};
use leftfold::time::{Time, later};
use leftfold::timer::timers;
use leftfold::{Command, Event, Execute, ExecuteError, Query, State, StreamState};

const DEADLINE: Duration = Duration::from_secs(3 * 86_400);

#[derive(Debug, Clone, PartialEq, Event)]
enum Order {
    Placed,
    Paid,
    DeadlinePassed,
    Cancelled,
}

/// An order, and the process of its deadline.
#[derive(Default)]
struct OrderState {
    placed: bool,
    paid: bool,
    cancelled: bool,
}

impl State for OrderState {
    type Event = Order;

    fn apply(&mut self, event: &Order) {
        match event {
            Order::Placed => self.placed = true,
            Order::Paid => self.paid = true,
            Order::Cancelled => self.cancelled = true,
            Order::DeadlinePassed => {}
        }
    }
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("the order does not allow it")]
struct NotAllowed;

/// Appends an event to an order, if its state allows it.
#[derive(Debug, Clone, PartialEq)]
struct Change {
    order: String,
    to: Order,
}

impl Command for Change {
    type Event = Order;
    type Error = NotAllowed;
    type Reads = StreamState<OrderState>;

    fn reads(&self) -> StreamState<OrderState> {
        StreamState::of(&self.order)
    }

    fn decide(&self, order: &OrderState) -> Result<Vec<Order>, NotAllowed> {
        let is_open = order.placed && !order.paid && !order.cancelled;
        match is_open || (self.to == Order::Placed && !order.placed) {
            true => Ok(vec![self.to.clone()]),
            false => Err(NotAllowed),
        }
    }
}

impl Process for OrderState {
    fn react(&self, event: &Order, cause: &Cause) -> Reaction {
        let order = cause.event.stream().to_owned();
        match event {
            Order::Placed => {
                let due = later(cause.event.commit_time(), DEADLINE);
                Reaction::none().emit_at(&order, due, Order::DeadlinePassed.to(&order))
            }
            Order::DeadlinePassed => {
                let cancel = Change { order, to: Order::Cancelled };
                Reaction::none().command_or(cancel, |NotAllowed| Reaction::none())
            }
            Order::Paid | Order::Cancelled => Reaction::none(),
        }
    }
}

struct Shop;

impl Domain for Shop {
    fn runs(&self, world: &World) -> Vec<Running> {
        let orders = Query::category("order");
        let deadlines =
            processes::<OrderState, _>("deadlines", orders, Lanes::ByStream, world.store());
        vec![
            running(world.equip(deadlines).run()),
            running(world.equip(timers(world.store())).run()),
        ]
    }

    fn act(&self, world: &World, turn: u64) -> Running {
        let (store, time, pays) = (world.store(), world.time(), world.random().below(2) == 0);
        running(async move {
            let order = format!("order-{turn}");
            store.execute(Change { order: order.clone(), to: Order::Placed }).await?;
            if pays {
                // About when the deadline passes.
                time.after(DEADLINE).await;
                return store.execute(Change { order, to: Order::Paid }).await.map(drop);
            }
            Ok::<_, ExecuteError<NotAllowed>>(())
        })
    }

    fn check_at_rest(&self, world: &World) -> Result<(), String> {
        let mut ends: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for event in world.read(Query::category("order")) {
            let types = ends.entry(event.stream().to_owned()).or_default();
            if ["Paid", "Cancelled"].contains(&event.event_type()) {
                types.push(event.event_type().to_owned());
            }
        }
        match ends.iter().find(|(_, ends)| ends.len() != 1) {
            None => Ok(()),
            Some((order, ends)) => Err(format!("{order} ended with {ends:?}")),
        }
    }
}

#[test]
fn every_order_is_paid_or_cancelled_after_three_days() {
    crate::simulation::simulate(|| Shop);
}

/// Waits, in steps, without an end.
struct Endless(Duration);

impl Domain for Endless {
    fn runs(&self, world: &World) -> Vec<Running> {
        let (time, step) = (world.time(), self.0);
        vec![running(async move {
            loop {
                time.after(step).await;
                if step.is_zero() {
                    return Ok::<_, String>(());
                }
            }
        })]
    }

    fn act(&self, _: &World, _: u64) -> Running {
        running(async { Ok::<_, String>(()) })
    }

    fn check_at_rest(&self, _: &World) -> Result<(), String> {
        Ok(())
    }
}

#[test]
fn a_run_that_waits_for_ever_fails_with_a_sentence() {
    let message = |step| {
        let ran = Simulation::of(|| Endless(step)).seeds(1).steps(10).run();
        ran.map_err(|failed| failed.message)
    };
    let (second, age) = (Duration::from_secs(1), Duration::from_secs(200 * 365 * 86_400));
    assert!(message(second).unwrap_err().contains("it waited 10000 times"));
    assert!(message(age).unwrap_err().contains("in over 100 years"));
    // The end of time is never waited for.
    assert!(message(Duration::MAX).is_ok() && message(Duration::ZERO).is_ok());
}
