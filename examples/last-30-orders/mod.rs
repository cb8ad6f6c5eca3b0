#![doc = include_str!("README.md")]

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use leftfold::{NewEvent, Timestamp};
use serde_json::json;

use crate::running::heading;
use crate::sql_views::World;

/// The file of the view.
pub const VIEW: &str = include_str!("last-30-orders.sql");

/// Runs the example on a store in a directory, and writes the output that the README shows.
pub fn story(dir: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    World::run(dir, async |world| {
        heading(out, "5,000 orders of 50 customers, one view over all of them")?;
        let first: Timestamp = "2024-01-01T00:00:00Z".parse().context("a time")?;
        let at = |minutes: i64| Timestamp(first.micros() + minutes * 60_000_000);
        world.append((0..5_000).map(|minute| placed(minute, minute % 50, at(minute)))).await?;
        world.add(VIEW).await?;
        world
            .tell(
                "select count(*) as orders, count(distinct customer) as customers, \
                 max(kept) as most_of_one from (select customer, \
                 count(*) over (partition by customer) as kept from last_orders)",
                out,
            )
            .await?;
        let last = "select id, placed_at, total, state from last_orders where customer = '42' \
                    order by placed_at desc, id desc limit 4";
        heading(out, "the last orders of customer 42")?;
        world.tell(last, out).await?;

        heading(out, "one is paid, one arrives late, and one is older than the last 30")?;
        let paid = ("order-4992".to_owned(), NewEvent::json("OrderPaid", "{}"));
        world.append([paid, placed(9_001, 42, at(4_950)), placed(9_000, 42, at(7))]).await?;
        world.tell(last, out).await?;
        let kept = "select count(*) as orders, min(placed_at) as oldest from last_orders \
                    where customer = '42'";
        world.tell(kept, out).await
    })
}

fn placed(id: i64, customer: i64, at: Timestamp) -> (String, NewEvent) {
    let total = format!("{}.{:02}", id % 90 + 10, id % 100);
    let data = json!({ "customer": customer.to_string(), "total": total });
    let mut event = NewEvent::json("OrderPlaced", data.to_string());
    event.event_time = Some(at);
    (format!("order-{id}"), event)
}
