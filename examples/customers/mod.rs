#![doc = include_str!("README.md")]

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use leftfold::{EventStore, NewEvent};
use leftfold_views::AsOf;
use serde_json::json;

use crate::running::heading;
use crate::sql_views::World;

/// The file of the view.
pub const VIEW: &str = include_str!("customers.sql");

/// Runs the example on a store in a directory, and writes the output that the README shows.
pub fn story(dir: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    World::run(dir, async |world| {
        heading(out, "two thousand customers, and what happened to them")?;
        world.append((0..2_000).map(registered)).await?;
        let last_month = world.store.head().await?.position().context("an empty store")?;
        let moved = (0..500).map(|id| change(id, "CustomerMoved"));
        let blocked = (0..2_000).step_by(10).map(|id| change(id, "CustomerBlocked"));
        let deleted = (5..2_000).step_by(7).map(|id| change(id, "CustomerDeleted"));
        world.append(moved.chain(blocked).chain(deleted)).await?;
        world.add(VIEW).await?;
        world
            .tell("select state, count(*) as customers from customers group by state", out)
            .await?;
        heading(out, "all customers of Germany that are deleted")?;
        let deleted = "select id, name from customers \
                       where state = 'deleted' and country = 'DE' order by id limit 3";
        world.tell(deleted, out).await?;
        heading(out, "the index answers")?;
        world.tell(&format!("explain query plan {deleted}"), out).await?;
        heading(out, "as of last month, when all were active and none had moved")?;
        let countries = "select country, state, count(*) as customers from customers \
                         group by country, state order by country, state limit 4";
        world.tell_as_of(AsOf::Position(last_month), countries, out).await
    })
}

fn registered(id: usize) -> (String, NewEvent) {
    let country = ["DE", "FR", "GB", "NL"][id % 4];
    let data = json!({ "name": format!("Customer {id}"), "country": country });
    (format!("customer-{id:04}"), NewEvent::json("CustomerRegistered", data.to_string()))
}

fn change(id: usize, event_type: &str) -> (String, NewEvent) {
    (
        format!("customer-{id:04}"),
        NewEvent::json(event_type, json!({ "country": "BE" }).to_string()),
    )
}
