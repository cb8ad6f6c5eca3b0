//! The shop: a program that writes its orders into PostgreSQL, and knows nothing of Leftfold.

use std::ops::Range;
use std::time::Duration;

use futures_util::future::try_join_all;
use leftfold_connect::connectors::outbox_sql;
use leftfold_views::tokio_postgres::{self, Client, NoTls};
use tokio::sync::watch;
use uuid::Uuid;

/// What happens to each order, and the state that it then has.
pub(super) const CHANGES: [(&str, &str); 3] =
    [("OrderPlaced", "placed"), ("OrderPaid", "paid"), ("OrderShipped", "shipped")];
/// Customers at a time.
const CUSTOMERS: usize = 4;
/// How long the shop waits before it tries again.
const PAUSE: Duration = Duration::from_millis(50);

/// Makes the tables of the shop, and a database for reports.
pub(super) async fn open(url: &str) -> anyhow::Result<()> {
    let client = connect(url).await?;
    client.batch_execute(include_str!("orders.sql")).await?;
    client.batch_execute(&outbox_sql("outbox")?).await?;
    client.batch_execute("create database reports").await?;
    Ok(())
}

/// Places, pays and ships orders. `done` is the number of changes that were committed.
pub(super) async fn sell(
    url: String,
    orders: Range<u32>,
    done: watch::Sender<u32>,
) -> anyhow::Result<()> {
    let of_customer = |n: usize| orders.clone().skip(n).step_by(CUSTOMERS);
    let customers = (0..CUSTOMERS).map(|n| sell_to_one(&url, of_customer(n), &done));
    try_join_all(customers).await.map(drop)
}

async fn sell_to_one(
    url: &str,
    orders: impl Iterator<Item = u32>,
    done: &watch::Sender<u32>,
) -> anyhow::Result<()> {
    for order in orders {
        for change in CHANGES {
            // Whether a change was committed whose answer got lost is seen by the state of the order.
            while let Err(error) = write(url, order, change).await {
                anyhow::ensure!(may_pass(&error), "{error}");
                tokio::time::sleep(PAUSE).await;
            }
            done.send_modify(|done| *done += 1);
        }
    }
    Ok(())
}

/// Changes an order and writes what has happened, in one transaction; does nothing if the order is changed already.
async fn write(
    url: &str,
    order: u32,
    (event_type, state): (&str, &str),
) -> Result<(), tokio_postgres::Error> {
    let mut client = connect(url).await?;
    let transaction = client.transaction().await?;
    let id = order.to_string();
    let total = format!("{order}.90");
    let changed = transaction
        .execute(
            "insert into orders values ($1, $2, $3::text::numeric)
             on conflict (id) do update set state = excluded.state where orders.state <> excluded.state",
            &[&id, &state, &total],
        )
        .await?;
    if changed > 0 {
        let (event, payload) =
            (Uuid::new_v4(), serde_json::json!({"state": state, "total": total}));
        transaction
            .execute(
                "insert into outbox (id, aggregatetype, aggregateid, type, payload)
                 values ($1::text::uuid, 'order', $2, $3, $4::text::jsonb)",
                &[&event.to_string(), &id, &event_type, &payload.to_string()],
            )
            .await?;
    }
    transaction.commit().await
}

/// Whether an error is of a database that is away.
fn may_pass(error: &tokio_postgres::Error) -> bool {
    // The classes of lost connections, and of servers that stop or start.
    error.code().is_none_or(|code| ["08", "57"].iter().any(|class| code.code().starts_with(class)))
}

/// Returns the state of each order by its id.
pub(super) async fn orders(
    url: &str,
    sql: &str,
) -> anyhow::Result<std::collections::BTreeMap<String, String>> {
    let rows = connect(url).await?.query(sql, &[]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(async { _ = connection.await });
    Ok(client)
}
