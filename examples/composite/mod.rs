#![doc = include_str!("README.md")]

use std::io::Write;
use std::path::Path;

use leftfold::NewEvent;
use serde_json::{Value, json};

use crate::running::heading;
use crate::sql_views::World;

/// The file of the view.
pub const VIEW: &str = include_str!("composite.sql");

/// Runs the example on a store in a directory, and writes the output that the README shows.
pub fn story(dir: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    World::run(dir, async |world| {
        world.add(VIEW).await?;
        let select = "select * from customer_orders order by id";
        heading(out, "a payment comes before its order")?;
        let amount = |amount: &str| json!({ "order": "7", "amount": amount });
        world.append([event("payment-1", "PaymentReceived", amount("5.00"))]).await?;
        world.tell(select, out).await?;
        heading(out, "the order comes before its customer")?;
        let order = json!({ "customer": "42", "total": "9.90" });
        world.append([event("order-7", "OrderPlaced", order)]).await?;
        world.tell(select, out).await?;
        heading(out, "now all are there")?;
        world
            .append([
                event("customer-42", "CustomerRegistered", json!({ "name": "Ada" })),
                event("payment-1", "PaymentReceived", amount("4.90")),
            ])
            .await?;
        world.tell(select, out).await
    })
}

fn event(stream: &str, event_type: &str, data: Value) -> (String, NewEvent) {
    (stream.to_owned(), NewEvent::json(event_type, data.to_string()))
}
