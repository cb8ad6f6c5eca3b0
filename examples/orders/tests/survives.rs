//! The services on the simulator, with power cuts, restarts and a jumping clock: nothing is
//! oversold, and every order has one outcome.

use leftfold::testing::{Domain, Running, Simulation, World, running};
use leftfold::timer::timers;
use leftfold::{Append, Event, EventStore, Query};
use leftfold_examples::orders::{
    NewOrder, Shop, aggregator, details, fraud, inventory, place, stock_of,
};

struct Shopping;

impl Domain for Shopping {
    fn runs(&self, world: &World) -> Vec<Running> {
        vec![
            running(world.equip(inventory(world.store())).run()),
            running(world.equip(fraud(world.store())).run()),
            running(world.equip(details(world.store())).run()),
            running(world.equip(aggregator(world.store())).run()),
            running(world.equip(timers(world.store())).run()),
        ]
    }

    fn act(&self, world: &World, turn: u64) -> Running {
        let (store, random) = (world.store(), world.random());
        running(async move {
            let item = format!("item-{}", random.below(2));
            if turn.is_multiple_of(5) {
                let delivered = Shop::Delivered { count: 1 + random.below(3) };
                let append = delivered.to_new().map_err(|error| error.to_string())?;
                let append = Append::new().event(format!("stock-{item}"), append);
                return store.append(append).await.map(drop).map_err(|error| error.to_string());
            }
            let order = NewOrder {
                id: turn.to_string(),
                item,
                count: 1 + random.below(2),
                cents: random.below(120_000),
                address: if random.one_in(5) { String::new() } else { "here".to_owned() },
            };
            place(&*store, &order).await.map_err(|error| error.to_string())
        })
    }

    fn check_at_rest(&self, world: &World) -> Result<(), String> {
        for placed in world.read(Shop::of_order_placed()) {
            let order = placed.correlation().unwrap_or_default().to_owned();
            let own = world.read(Query::stream(format!("order-{order}")));
            let outcomes = own
                .iter()
                .filter(|event| ["OrderConfirmed", "OrderRejected"].contains(&event.event_type()));
            if outcomes.count() != 1 {
                return Err(format!("order {order} has not one outcome: {own:?}"));
            }
        }
        // Overselling underflows in `Stock::apply`, which panics in tests. Every reservation that
        // was not released belongs to a confirmed order.
        let mut reserved = 0;
        for item in ["item-0", "item-1"] {
            let stock = pollster::block_on(stock_of(&*world.store(), item));
            stock.map_err(|error| error.to_string())?;
            let events = world.read(Query::stream(format!("stock-{item}")));
            let count = |kind: &str| events.iter().filter(|it| it.event_type() == kind).count();
            reserved += count("Reserved") - count("Released");
        }
        let confirmed = world.read(Shop::of_order_confirmed()).len();
        match reserved == confirmed {
            true => Ok(()),
            false => Err(format!("{reserved} reserved, {confirmed} confirmed")),
        }
    }
}

#[test]
fn every_order_has_one_outcome_and_nothing_is_oversold() {
    let ran = Simulation::of(|| Shopping).seeds(40).run();
    assert_eq!(ran.as_ref().map(|counts| counts.crashes > 0), Ok(true), "{ran:?}");
}
