//! `outbox`, beside a bare poll that reads and deletes rows and does nothing with them.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use leftfold::{Delivery, EventStore, NewEvent, Query, Subscribe, Subscription};
use leftfold_connect::connectors::outbox_sql;
use leftfold_postgres_server::Server;
use tokio::sync::mpsc;
use tokio_postgres::{Client, NoTls, Statement};

use crate::row::{Bench, Measured, Plan, Row, Size, Way};
use crate::singles::{QUERY, time_each};
use crate::world::{STREAMS, World, check_all};

/// The rows of a batch, which is the connector's default.
const BATCH: usize = 500;
/// The pause after all rows were relayed. The connector's default is longer: it is half of the latency that is added.
const POLL: Duration = Duration::from_millis(10);
/// A row for the single events.
const INSERT: &str = "insert into outbox (id, aggregatetype, aggregateid, type, payload) \
                      values (gen_random_uuid(), 'single', '1', 'OrderChanged', $1::text::jsonb)";

/// A store, and a database with an outbox.
struct Outbox {
    world: World,
    server: Server,
    client: Client,
    size: Size,
}

/// Rows of an outbox.
pub(crate) const ROW: Plan = Plan {
    name: "outbox",
    about: "batches of 500 rows, which are deleted; by hand the same batches are read and deleted, and not appended; \
            single rows are timed from the begin of the insert to the delivery by a subscription, by hand until they are \
            read; both poll every 10 ms",
    prepare: |bench| Box::pin(prepare(bench)),
};

/// Starts PostgreSQL, and makes an outbox.
async fn prepare(bench: &Bench) -> anyhow::Result<Box<dyn Row>> {
    let world = World::filled(&bench.home.join("outbox"), 0)?;
    let server = tokio::task::spawn_blocking(Server::start).await??;
    let client = connect(&server.url()).await?;
    client.batch_execute(&outbox_sql("outbox")?).await?;
    Ok(Box::new(Outbox { world, server, client, size: bench.size }))
}

impl Row for Outbox {
    fn rate(&mut self, way: Way) -> Measured<'_, f64> {
        Box::pin(async move {
            self.refill().await?;
            let rate = match way {
                Way::ByHand => self.poll_all().await?,
                _ => self.world.rate(&self.definition(), self.size.rows).await?,
            };
            let left: i64 =
                self.client.query_one("select count(*) from outbox", &[]).await?.try_get(0)?;
            ensure!(left == 0, "{left} rows are not relayed");
            Ok(rate)
        })
    }

    fn latencies(&mut self, way: Way) -> Option<Measured<'_, Vec<Duration>>> {
        match way {
            Way::ByHand => Some(Box::pin(self.time_by_hand())),
            _ => Some(Box::pin(self.time_connector())),
        }
    }
}

impl Outbox {
    fn definition(&self) -> String {
        let (url, poll) = (self.server.url(), POLL.as_millis());
        format!(
            "kind = \"outbox\"\n[outbox]\nurl = \"{url}\"\nbatch = {BATCH}\npoll = \"{poll}ms\"\n"
        )
    }

    /// Empties the table, and fills it with rows.
    async fn refill(&self) -> anyhow::Result<()> {
        let rows = self.size.rows;
        let fill = format!(
            "truncate outbox;
             insert into outbox (id, aggregatetype, aggregateid, type, payload)
             select gen_random_uuid(), 'order', (n % {STREAMS})::text, 'OrderChanged',
                    jsonb_build_object('n', n, 'text', repeat(md5(n::text), 7))
             from generate_series(1, {rows}) n;"
        );
        self.client.batch_execute(&fill).await?;
        // Its own statement: it may not be in a transaction.
        self.client.batch_execute("vacuum analyze outbox").await?;
        Ok(())
    }

    /// Reads and deletes all rows; returns the rate.
    async fn poll_all(&self) -> anyhow::Result<f64> {
        let poll = Poll::open(&self.server.url()).await?;
        let (started, mut polled) = (Instant::now(), 0);
        while polled < self.size.rows {
            let batch = poll.read().await?;
            ensure!(!batch.is_empty(), "{polled} of {} rows were read", self.size.rows);
            polled += batch.len() as u64;
            poll.take(&batch).await?;
        }
        check_all(polled, self.size.rows)?;
        Ok(polled as f64 / started.elapsed().as_secs_f64())
    }

    /// Times rows from the begin of their insert to their delivery by a subscription of the store.
    async fn time_connector(&mut self) -> anyhow::Result<Vec<Duration>> {
        self.client.batch_execute("truncate outbox").await?;
        let insert = self.client.prepare(INSERT).await?;
        let (definition, store) = (self.definition(), self.world.store.clone());
        let query: Query = QUERY.parse()?;
        let mut events = store.subscribe(Subscribe::after(query, store.head().await?)).await?;
        let (client, singles) = (&self.client, self.size.singles);
        let timing = async || {
            let send = async |event| insert_single(client, &insert, event).await;
            let come = async || {
                while !matches!(events.next().await?, Delivery::Event(..)) {}
                Ok(())
            };
            time_each(singles, Some(POLL), send, come).await
        };
        self.world.run_from_now(&definition, timing).await
    }

    /// Times rows from the begin of their insert until a poll has read them.
    async fn time_by_hand(&mut self) -> anyhow::Result<Vec<Duration>> {
        self.client.batch_execute("truncate outbox").await?;
        let insert = self.client.prepare(INSERT).await?;
        let poll = Poll::open(&self.server.url()).await?;
        let (seen, mut sees) = mpsc::channel(1);
        let polling = tokio::spawn(poll.run(seen));
        let send = async |event| insert_single(&self.client, &insert, event).await;
        let come = async || sees.recv().await.context("the poll has ended");
        let times = time_each(self.size.singles, Some(POLL), send, come).await;
        polling.abort();
        times
    }
}

async fn insert_single(client: &Client, insert: &Statement, event: NewEvent) -> anyhow::Result<()> {
    let payload = String::from_utf8(event.data.to_vec())?;
    client.execute(insert, &[&payload]).await?;
    Ok(())
}

async fn connect(url: &str) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// A bare poll: a batch is read in its order, and deleted.
struct Poll {
    client: Client,
    read: Statement,
    take: Statement,
}

impl Poll {
    async fn open(url: &str) -> anyhow::Result<Self> {
        let client = connect(url).await?;
        let read = format!(
            "select leftfold_seq, id::text, aggregatetype, aggregateid, type, payload::text \
             from outbox where relayed_at is null order by leftfold_seq limit {BATCH}"
        );
        let take = "delete from outbox where relayed_at is null and leftfold_seq = any($1)";
        let (read, take) = (client.prepare(&read).await?, client.prepare(take).await?);
        Ok(Poll { client, read, take })
    }

    /// Reads a batch; returns the numbers of its rows.
    async fn read(&self) -> anyhow::Result<Vec<i64>> {
        let rows = self.client.query(&self.read, &[]).await?;
        rows.iter()
            .map(|row| {
                // A program would do something with it.
                black_box(row.try_get::<_, &str>(5)?);
                Ok(row.try_get(0)?)
            })
            .collect()
    }

    /// Deletes the rows of a batch, which commits.
    async fn take(&self, batch: &[i64]) -> anyhow::Result<()> {
        self.client.execute(&self.take, &[&batch]).await?;
        Ok(())
    }

    /// Polls until an error; tells of each row once it is read.
    async fn run(self, seen: mpsc::Sender<()>) -> anyhow::Result<Infallible> {
        loop {
            let batch = self.read().await?;
            for _ in &batch {
                seen.send(()).await?;
            }
            match batch.is_empty() {
                true => tokio::time::sleep(POLL).await,
                false => self.take(&batch).await?,
            }
        }
    }
}
