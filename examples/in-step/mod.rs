#![doc = include_str!("README.md")]

mod hook;
mod others;
mod server;
mod shop;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::io::Write;
use std::path::Path;

use leftfold_kafka_broker::{Cluster, Options};
use leftfold_opensearch_server::Server as Search;
use leftfold_postgres_server::Server as Postgres;
use tokio::sync::watch;
use uuid::Uuid;

use self::hook::Hook;
use self::others::Leftfold;
use self::server::Machine;
pub use self::server::serve;
use self::shop::CHANGES;
use crate::running::heading;

const BROKERS: u16 = 3;
/// Those that are killed.
const VICTIMS: [&str; 5] = ["PostgreSQL", "Leftfold", "Kafka", "OpenSearch", "the web hook"];
/// Orders that are sold while one of them is killed.
const ORDERS: u32 = 20;
/// The orders that are shown if something differs.
const SHOWN: usize = 20;

/// All that is in step, and can be killed.
struct World {
    postgres: Postgres,
    machine: Machine,
    brokers: Cluster,
    search: Search,
    hook: Hook,
}

/// Runs the example, in which each is killed this number of times; what it writes is in a directory.
pub fn story(dir: &Path, rounds: u32, out: &mut dyn Write) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(play(dir, rounds, out))
}

async fn play(dir: &Path, rounds: u32, out: &mut dyn Write) -> anyhow::Result<()> {
    heading(out, "a shop on PostgreSQL, and what is to be in step with it")?;
    let mut world = World::start(dir).await?;
    let leftfold = Leftfold::at(&world.machine.url())?;
    for (kind, text) in world.definitions() {
        leftfold.add("connectors", "application/toml", text).await?;
        writeln!(out, "connector: {kind}")?;
    }
    leftfold.add("views", "application/sql", include_str!("view.sql").to_owned()).await?;
    writeln!(out, "view: orders, in PostgreSQL")?;

    heading(out, "the shop sells, while one after the other is killed")?;
    let mut first = 0;
    for round in 1..=rounds {
        for victim in VICTIMS {
            world.sell_and_kill(first..first + ORDERS, victim).await?;
            first += ORDERS;
        }
        writeln!(out, "round {round}: {} were killed and started again", VICTIMS.join(", "))?;
    }

    heading(out, "what they have in the end")?;
    let shop = shop::orders(&world.postgres.url(), "select id, state from orders").await?;
    let shipped = shop.values().filter(|state| *state == "shipped").count();
    writeln!(out, "the shop: {} orders, {shipped} of them shipped", shop.len())?;
    let all: Vec<String> = CHANGES.iter().map(|change| change.1.to_owned()).collect();
    let each: BTreeMap<_, _> = shop.keys().map(|id| (id.clone(), all.clone())).collect();
    let stored = leftfold.wait_for_states(&each).await?;
    let mut agree = compare(out, "Leftfold has each change once, in its order", &stored, &each)?;
    let records = others::wait_for_records(&world.brokers.bootstrap(), &each).await?;
    agree &= compare(out, "Kafka has each change once, in its order", &records, &each)?;
    let found = leftfold.wait_for_documents(&world.search.url(), &shop).await?;
    agree &= compare(out, "OpenSearch has the same orders", &found, &shop)?;
    let rows = others::wait_for_rows(&world.reports(), &shop).await?;
    agree &= compare(out, "the view in PostgreSQL has the same orders", &rows, &shop)?;
    let received = others::wait_for_hook(&world.hook, &each).await?;
    agree &= compare(out, "the web hook got each change, in its order", &received, &each)?;
    if !agree {
        leftfold.show_failures(out).await?;
        anyhow::bail!("they do not agree");
    }
    Ok(())
}

/// Writes, and returns, whether one of the others has what it must have; and the first orders that differ.
fn compare<T: Debug + PartialEq>(
    out: &mut dyn Write,
    what: &str,
    found: &BTreeMap<String, T>,
    wanted: &BTreeMap<String, T>,
) -> std::io::Result<bool> {
    writeln!(out, "{what}: {}", found == wanted)?;
    let orders: BTreeSet<_> = found.keys().chain(wanted.keys()).collect();
    let differing = orders.into_iter().filter(|order| found.get(*order) != wanted.get(*order));
    for order in differing.take(SHOWN) {
        writeln!(out, "  order {order}: {:?}", found.get(order))?;
    }
    Ok(found == wanted)
}

impl World {
    async fn start(dir: &Path) -> anyhow::Result<Self> {
        // Of three: Kafka 4.3 leaves a transaction open for ever that is being committed while a partition has no leader
        // (KAFKA-20734), as with a single broker that restarts.
        let (postgres, brokers) = (Postgres::start()?, Cluster::start(&Options::brokers(BROKERS))?);
        let search = Search::start()?;
        shop::open(&postgres.url()).await?;
        let machine = Machine::start(&dir.join("store"), &reports(&postgres))?;
        let hook = Hook::start().await?;
        Ok(World { postgres, machine, brokers, search, hook })
    }

    fn reports(&self) -> String {
        reports(&self.postgres)
    }

    /// Returns the connectors' files, with the addresses of this run.
    fn definitions(&self) -> [(&'static str, String); 4] {
        let set = |text: &str, name: &str, value: &str| text.replace(name, value);
        [
            ("outbox", set(include_str!("outbox.toml"), "SHOP_URL", &self.postgres.url())),
            ("kafka", set(include_str!("kafka.toml"), "KAFKA", &self.brokers.bootstrap())),
            ("search", set(include_str!("search.toml"), "SEARCH_URL", &self.search.url())),
            ("http", set(include_str!("hook.toml"), "HOOK_URL", &self.hook.url())),
        ]
    }

    /// Sells, and kills one of the five at a random moment meanwhile.
    async fn sell_and_kill(
        &mut self,
        orders: std::ops::Range<u32>,
        victim: &str,
    ) -> anyhow::Result<()> {
        let (done, mut committed) = watch::channel(0);
        let selling = tokio::spawn(shop::sell(self.postgres.url(), orders, done));
        let moment = Uuid::new_v4().as_u128() % u128::from(2 * ORDERS);
        committed.wait_for(|done| u128::from(*done) >= moment).await?;
        self.kill_and_start(victim).await?;
        selling.await?
    }

    async fn kill_and_start(&mut self, victim: &str) -> anyhow::Result<()> {
        match victim {
            "PostgreSQL" => tokio::task::block_in_place(|| {
                self.postgres.kill()?;
                anyhow::Ok(self.postgres.restart()?)
            }),
            "Leftfold" => tokio::task::block_in_place(|| {
                self.machine.kill();
                self.machine.start_again()
            }),
            "Kafka" => tokio::task::block_in_place(|| {
                let broker = self.brokers.broker(any_broker())?;
                broker.kill()?;
                anyhow::Ok(broker.restart()?)
            }),
            "OpenSearch" => tokio::task::block_in_place(|| {
                self.search.kill()?;
                anyhow::Ok(self.search.restart()?)
            }),
            _ => {
                self.hook.kill().await;
                self.hook.start_again().await
            }
        }
    }
}

/// Returns the id of one of the brokers: each run has others.
fn any_broker() -> i32 {
    1 + (Uuid::new_v4().as_u128() % u128::from(BROKERS)) as i32
}

/// Returns the URL of the database for reports.
fn reports(postgres: &Postgres) -> String {
    let url = postgres.url();
    let server = url.rsplit_once('/').map_or(&*url, |parts| parts.0);
    format!("{server}/reports")
}
