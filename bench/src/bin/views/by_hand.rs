//! The work of the view by hand: pages of the log, and for each batch one transaction with the cursor behind it.

use std::future::ready;
use std::path::Path;
use std::time::Instant;

use futures_util::stream::{StreamExt, TryStreamExt, iter};
use leftfold::{Cursor, Query, Read, Recorded};
use serde::Deserialize;
use tokio_postgres::{Client, NoTls, Statement};

use crate::Store;

/// The events of a transaction.
const BATCH: usize = 2_048;
/// How many statements are on their way to PostgreSQL at the same time.
const PIPELINE: usize = 256;
const TABLES: &str =
    "create table orders (id text primary key, customer text, total text, events integer);
    create table progress (cursor text); insert into progress values (null)";

#[derive(Deserialize)]
struct Order {
    customer: String,
    total: String,
}

fn order_of(event: &Recorded) -> anyhow::Result<(&str, Order)> {
    let id = event.stream().strip_prefix("order-").unwrap_or_default();
    Ok((id, serde_json::from_slice(&event.data())?))
}

/// The batches of a history.
struct Batches<'a> {
    store: &'a Store,
    read: Read,
    more: bool,
}

impl<'a> Batches<'a> {
    fn new(store: &'a Store) -> Self {
        Batches { store, read: Read::forward(Query::category("order")), more: true }
    }

    fn next(&mut self) -> anyhow::Result<Option<(Vec<Recorded>, Cursor)>> {
        let (mut events, mut cursor) = (Vec::new(), None);
        while self.more && events.len() < BATCH {
            let page = self.store.blocking().read(self.read.clone())?;
            self.more = page.more;
            self.read = Read::forward(Query::category("order")).after(page.cursor.clone());
            cursor = Some(page.cursor);
            events.extend(page.events);
        }
        Ok(cursor.map(|cursor| (events, cursor)))
    }
}

/// Checks that what was measured is the whole work.
pub(crate) fn check(applied: i64, events: u64) -> anyhow::Result<()> {
    anyhow::ensure!(
        u64::try_from(applied) == Ok(events),
        "{applied} of {events} events were applied"
    );
    Ok(())
}

/// Fills a new file of SQLite; returns the seconds.
pub(crate) fn sqlite(path: &Path, store: &Store, events: u64) -> anyhow::Result<f64> {
    const UPSERT: &str = "insert into orders values (?1, ?2, ?3, 1)
        on conflict (id) do update set total = excluded.total, events = events + 1";
    let mut connection = rusqlite::Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.execute_batch(TABLES)?;
    let (started, mut batches) = (Instant::now(), Batches::new(store));
    while let Some((batch, cursor)) = batches.next()? {
        let transaction = connection.transaction()?;
        let mut upsert = transaction.prepare_cached(UPSERT)?;
        for event in &batch {
            let (id, order) = order_of(event)?;
            upsert.execute((id, order.customer, order.total))?;
        }
        drop(upsert);
        transaction.execute("update progress set cursor = ?1", [cursor.to_string()])?;
        transaction.commit()?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let applied = connection.query_row("select sum(events) from orders", (), |row| row.get(0))?;
    check(applied, events)?;
    Ok(seconds)
}

/// Fills tables in a schema of PostgreSQL; returns the seconds.
pub(crate) fn postgres(url: &str, schema: &str, store: &Store, events: u64) -> anyhow::Result<f64> {
    // One thread does the input and output of the connection, beside the one of the loop.
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(1).enable_all().build()?.block_on(async {
        let (mut client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        let schema = format!("create schema {schema}; set search_path = {schema}; {TABLES}");
        client.batch_execute(&schema).await?;
        let upsert = "insert into orders values ($1, $2, $3, 1)
            on conflict (id) do update set total = excluded.total, events = orders.events + 1";
        let upsert = client.prepare(upsert).await?;
        let save = client.prepare("update progress set cursor = $1").await?;
        let (started, mut batches) = (Instant::now(), Batches::new(store));
        while let Some((batch, cursor)) = batches.next()? {
            apply(&mut client, (&upsert, &save), &batch, &cursor).await?;
        }
        let seconds = started.elapsed().as_secs_f64();
        let row = client.query_one("select sum(events) from orders", &[]).await?;
        check(row.try_get(0)?, events)?;
        Ok(seconds)
    })
}

/// Applies a batch without waiting for one statement before the next is sent.
async fn apply(
    client: &mut Client,
    (upsert, save): (&Statement, &Statement),
    batch: &[Recorded],
    cursor: &Cursor,
) -> anyhow::Result<()> {
    let transaction = client.transaction().await?;
    let upserts = batch.iter().map(async |event| {
        let (id, order) = order_of(event)?;
        transaction.execute(upsert, &[&id, &order.customer, &order.total]).await?;
        anyhow::Ok(())
    });
    iter(upserts).buffered(PIPELINE).try_for_each(|()| ready(Ok(()))).await?;
    transaction.execute(save, &[&cursor.to_string()]).await?;
    Ok(transaction.commit().await?)
}
