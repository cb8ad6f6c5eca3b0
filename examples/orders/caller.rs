//! The caller: places an order and waits for its outcome.

use leftfold::{
    Append, Delivery, Event, EventStore, Expected, Query, Subscribe, Subscription, decode,
};

use crate::orders::Shop;

/// An order of a customer.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct NewOrder {
    pub id: String,
    pub item: String,
    pub count: u64,
    pub cents: u64,
    pub address: String,
}

/// Places an order. Placing it again changes nothing.
pub async fn place(store: &impl EventStore, order: &NewOrder) -> anyhow::Result<()> {
    let NewOrder { id, item, count, cents, address } = order.clone();
    let placed = Shop::OrderPlaced { item, count, cents, address }.to_new()?.correlation(&id);
    let stream = Shop::stream(id);
    store.append(Append::new().event(&stream, placed).expect(stream, Expected::NoStream)).await?;
    Ok(())
}

/// Waits for the order's outcome: `None` if it is confirmed, or the reason of its rejection.
pub async fn outcome(store: &impl EventStore, order: &str) -> anyhow::Result<Option<String>> {
    let stream = Query::stream(Shop::stream(order));
    let mut events = store.subscribe(Subscribe::to(stream)).await?;
    loop {
        if let Delivery::Event(event, _) = events.next().await? {
            match decode(&event)? {
                Some(Shop::OrderConfirmed) => return Ok(None),
                Some(Shop::OrderRejected { reason, .. }) => return Ok(Some(reason)),
                _ => {}
            }
        }
    }
}
