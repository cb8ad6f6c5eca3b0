//! A database with an outbox for each test, and what a relay has made of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use leftfold_api::{EventStore, Query, Read, Recorded};
use leftfold_connect::connectors::{outbox_publication_sql, outbox_sql};
use leftfold_postgres_server::Server;
use parking_lot::Mutex;
use tokio_postgres::{Client, NoTls};

use crate::support::{PATIENCE, World};

/// The server of the tests that do not stop it. The last of them ends it.
static SERVER: Mutex<std::sync::Weak<Server>> = Mutex::new(std::sync::Weak::new());
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// A database of its own with an outbox and with aggregates that count.
pub(crate) struct Database {
    /// Ends with the last test that has it.
    _server: Option<Arc<Server>>,
    pub(crate) url: String,
    pub(crate) client: Client,
}

impl Database {
    /// Makes a database in the shared server.
    pub(crate) async fn new() -> Self {
        let server = tokio::task::spawn_blocking(|| {
            let mut shared = SERVER.lock();
            let server = shared.upgrade().unwrap_or_else(|| Arc::new(Server::start().unwrap()));
            *shared = Arc::downgrade(&server);
            server
        });
        let server = server.await.unwrap();
        let mut database = Database::of(&server).await;
        database._server = Some(server);
        database
    }

    /// Makes a database in a server of the test's own.
    pub(crate) async fn of(server: &Server) -> Self {
        let name = format!("test{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let maker = connect(&server.url()).await.unwrap();
        maker.batch_execute(&format!("create database {name}")).await.unwrap();
        let url = format!("{}/{name}", server.url().rsplit_once('/').unwrap().0);
        let client = connect(&url).await.unwrap();
        let database = Database { _server: None, url, client };
        database.run(&outbox_sql("outbox").unwrap()).await;
        database.run("create table aggregates (id text primary key, n bigint not null)").await;
        database
    }

    /// Makes a database in the shared server, with a publication.
    pub(crate) async fn replicated() -> Self {
        let database = Database::new().await;
        database.run(&outbox_publication_sql("outbox").unwrap()).await;
        database
    }

    /// Returns the name of its slot: those of a server have names of their own.
    pub(crate) fn slot(&self) -> &str {
        self.url.rsplit_once('/').unwrap().1
    }

    /// Returns a definition of one that replicates, with more lines in front of its table and in it.
    pub(crate) fn replicating(&self, before: &str, inside: &str) -> String {
        let (url, slot) = (&self.url, self.slot());
        format!(
            "name = \"out\"\nkind = \"outbox\"\n{before}\n[outbox]\nurl = \"{url}\"\nmode = \"replication\"\n\
             slot = \"{slot}\"\n{inside}\n"
        )
    }

    /// Waits until the store has as many events as the aggregates have counted, and checks them.
    pub(crate) async fn until_each_change_is_in(&self, world: &World) -> usize {
        let coming = async {
            loop {
                let counted =
                    self.number("select coalesce(sum(n), 0)::bigint from aggregates").await;
                if events(world, "category:order").await.len() as i64 >= counted {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, coming).await.is_err() {
            panic!("changes do not come: {:?}", world.connectors.status("out").await);
        }
        has_each_change_once(world, self).await
    }

    pub(crate) async fn connect(&self) -> Client {
        connect(&self.url).await.unwrap()
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{error:?}: {sql}"));
    }

    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.client.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Waits until no row waits.
    pub(crate) async fn until_empty(&self) {
        let count = "select count(*) from outbox where relayed_at is null";
        let emptying = async {
            while self.number(count).await > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, emptying).await.expect("rows are not relayed");
    }

    /// Returns a definition with more lines in front of its table and in it.
    pub(crate) fn definition(&self, before: &str, inside: &str) -> String {
        let url = &self.url;
        format!(
            "name = \"out\"\nkind = \"outbox\"\n{before}\n[outbox]\nurl = \"{url}\"\npoll = \"5ms\"\n{inside}\n"
        )
    }
}

pub(crate) async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(async { _ = connection.await });
    Ok(client)
}

/// Returns the SQL that writes an event of an aggregate as an application does: its row is locked by the count, which is the
/// event's `n`.
pub(crate) fn change(aggregate: &str) -> String {
    format!(
        "with counted as (insert into aggregates values ('{aggregate}', 1)
                          on conflict (id) do update set n = aggregates.n + 1 returning n)
         insert into outbox (id, aggregatetype, aggregateid, type, payload)
         select gen_random_uuid(), 'order', '{aggregate}', 'Counted', jsonb_build_object('n', n) from counted;"
    )
}

/// Returns all events of a query.
pub(crate) async fn events(world: &World, query: &str) -> Vec<Recorded> {
    let query: Query = query.parse().unwrap();
    let (mut all, mut read) = (Vec::new(), Read::forward(query.clone()));
    loop {
        let page = world.store.read(read).await.unwrap();
        let is_last = !page.more;
        all.extend(page.events);
        if is_last {
            return all;
        }
        read = Read::forward(query.clone()).after(page.cursor);
    }
}

/// Checks that the streams have what the aggregates have counted: each change once, in its order. Returns their number.
pub(crate) async fn has_each_change_once(world: &World, database: &Database) -> usize {
    let mut found: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let events = events(world, "category:order").await;
    for event in &events {
        let data: serde_json::Value = serde_json::from_slice(&event.data()).unwrap();
        let stream = event.stream().strip_prefix("order-").unwrap().to_owned();
        found.entry(stream).or_default().push(data["n"].as_i64().unwrap());
    }
    for row in database.client.query("select id, n from aggregates", &[]).await.unwrap() {
        let (id, n): (String, i64) = (row.get(0), row.get(1));
        let expected: Vec<i64> = (1..=n).collect();
        assert_eq!(found.remove(&id), Some(expected), "{id}");
    }
    assert!(found.is_empty(), "{found:?}");
    events.len()
}
