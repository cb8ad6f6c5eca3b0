//! `redis`, beside a loop that sets the same keys.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::stream::{StreamExt, TryStreamExt, iter};
use leftfold::{NewEvent, Recorded};
use leftfold_redis_server::Server;
use redis::aio::{MultiplexedConnection, PubSub};

use crate::row::{Bench, Measured, Plan, Row, Size, Way};
use crate::singles::{QUERY, append, time_each};
use crate::world::{HISTORY, STREAMS, World, check_all};

/// Commands at a time, which is the connector's default.
const IN_FLIGHT: usize = 64;
const CHANNEL: &str = "singles";
/// How long a message may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store, and a Redis.
struct Redis {
    world: World,
    server: Server,
    size: Size,
}

/// Keys of a Redis.
pub(crate) const ROW: Plan = Plan {
    name: "redis",
    about: "a key for each stream, 64 events at a time on one connection; by hand plain SETs in any order, without the \
            fences of the connector; single events are published and timed from the begin of the append to the \
            subscriber; Redis syncs its log once a second",
    prepare: |bench| Box::pin(prepare(bench)),
};

async fn prepare(bench: &Bench) -> anyhow::Result<Box<dyn Row>> {
    let world = World::filled(&bench.home.join("redis"), bench.size.rows)?;
    let start = || Server::start(&["--appendonly", "yes"]);
    let server = tokio::task::spawn_blocking(start).await??;
    Ok(Box::new(Redis { world, server, size: bench.size }))
}

impl Row for Redis {
    fn rate(&mut self, way: Way) -> Measured<'_, f64> {
        Box::pin(async move {
            let mut connection = self.connect().await?;
            redis::cmd("FLUSHALL").exec_async(&mut connection).await?;
            let rate = match way {
                Way::ByHand => self.set_history(&connection).await?,
                _ => {
                    let rule = "set = \"order:{key}\"";
                    self.world.rate(&self.definition(HISTORY, rule), self.size.rows).await?
                }
            };
            let keys: Vec<String> =
                redis::cmd("KEYS").arg("order:*").query_async(&mut connection).await?;
            // Beside a key of the connector is its fence.
            let keys = keys.iter().filter(|key| !key.ends_with(":leftfold")).count() as u64;
            let expected = STREAMS.min(self.size.rows);
            ensure!(keys == expected, "there are {keys} of {expected} keys");
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

impl Redis {
    fn definition(&self, query: &str, rule: &str) -> String {
        let url = self.server.url();
        format!(
            "kind = \"redis\"\nquery = \"{query}\"\n\
             [redis]\nurl = \"{url}\"\n[[redis.rule]]\n{rule}\n"
        )
    }

    async fn connect(&self) -> anyhow::Result<MultiplexedConnection> {
        let client = redis::Client::open(self.server.url())?;
        Ok(client.get_multiplexed_async_connection().await?)
    }

    async fn subscribe(&self) -> anyhow::Result<PubSub> {
        let mut subscribed = redis::Client::open(self.server.url())?.get_async_pubsub().await?;
        subscribed.subscribe(CHANNEL).await?;
        Ok(subscribed)
    }

    /// Reads pages and sets the keys; returns the rate.
    async fn set_history(&self, connection: &MultiplexedConnection) -> anyhow::Result<f64> {
        let (started, mut pages, mut done) = (Instant::now(), self.world.pages()?, 0);
        while let Some(page) = pages.next().await? {
            let sets = iter(page.iter().map(|event| set(connection.clone(), event)));
            sets.buffer_unordered(IN_FLIGHT).try_for_each(async |()| Ok(())).await?;
            done += page.len() as u64;
        }
        check_all(done, self.size.rows)?;
        Ok(done as f64 / started.elapsed().as_secs_f64())
    }

    /// Times events from the begin of their append to the message at a subscriber.
    async fn time_connector(&mut self) -> anyhow::Result<Vec<Duration>> {
        let mut subscribed = self.subscribe().await?;
        let definition = self.definition(QUERY, &format!("publish = \"{CHANNEL}\""));
        let (store, singles) = (self.world.store.clone(), self.size.singles);
        let timing = async || {
            let send = async |event| append(&store, event).await;
            time_each(singles, None, send, async || wait_for_message(&mut subscribed).await).await
        };
        self.world.run_from_now(&definition, timing).await
    }

    /// Times events that are appended, and then published by the same program.
    async fn time_by_hand(&mut self) -> anyhow::Result<Vec<Duration>> {
        let (mut subscribed, connection) = (self.subscribe().await?, self.connect().await?);
        let send = async |event: NewEvent| {
            let data = event.data.clone();
            append(&self.world.store, event).await?;
            let mut publish = redis::cmd("PUBLISH");
            publish.arg(CHANNEL).arg(&data[..]);
            Ok(publish.exec_async(&mut connection.clone()).await?)
        };
        let come = async || wait_for_message(&mut subscribed).await;
        time_each(self.size.singles, None, send, come).await
    }
}

async fn set(mut connection: MultiplexedConnection, event: &Recorded) -> anyhow::Result<()> {
    let key = event.stream().replacen("order-", "order:", 1);
    let mut set = redis::cmd("SET");
    set.arg(key).arg(&event.data()[..]);
    Ok(set.exec_async(&mut connection).await?)
}

async fn wait_for_message(subscribed: &mut PubSub) -> anyhow::Result<()> {
    let mut messages = subscribed.on_message();
    let message = tokio::time::timeout(PATIENCE, messages.next()).await;
    message.context("no message comes")?.context("the subscription has ended")?;
    Ok(())
}
