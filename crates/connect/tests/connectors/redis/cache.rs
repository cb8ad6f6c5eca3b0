//! A Redis for each test, and what a connector has made of it.

use std::collections::BTreeMap;
use std::time::Duration;

use leftfold_api::{EventStore, Query, Read};
use leftfold_connect::connectors::{ConnectorDefinition, ConnectorPhase, ConnectorStatus};
use leftfold_redis_server::Server;
use redis::aio::MultiplexedConnection;
use redis::{Client, FromRedisValue};

use crate::support::{PATIENCE, World};

/// The rules of a cache with the last data of each order, which the type `OrderRemoved` takes out.
pub(crate) const ORDERS: &str = "
    [[redis.rule]]
    types = [\"OrderChanged\"]
    set = \"order:{key}\"
    [[redis.rule]]
    types = [\"OrderRemoved\"]
    delete = \"order:{key}\"
";

/// A Redis.
pub(crate) struct Cache {
    pub(crate) server: Server,
}

impl Cache {
    pub(crate) fn start(options: &[&str]) -> Self {
        Cache { server: Server::start(options).unwrap() }
    }

    pub(crate) async fn client(&self) -> MultiplexedConnection {
        let client = Client::open(self.server.url()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    /// Runs a command, which has no spaces in its parts.
    pub(crate) async fn run<T: FromRedisValue>(&self, command: &str) -> T {
        let mut parts = command.split(' ');
        let mut asked = redis::cmd(parts.next().unwrap());
        parts.for_each(|part| _ = asked.arg(part));
        asked.query_async(&mut self.client().await).await.unwrap()
    }

    pub(crate) async fn get(&self, key: &str) -> Option<String> {
        self.run(&format!("GET {key}")).await
    }

    /// Waits until a key has a value.
    pub(crate) async fn wait_for(&self, key: &str, value: Option<&str>) {
        let looking = async {
            while self.get(key).await.as_deref() != value {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, looking).await;
        assert!(waited.is_ok(), "{key} is {:?}, not {value:?}", self.get(key).await);
    }

    /// Returns a definition with more lines in front of its table, and with rules.
    pub(crate) fn definition(&self, before: &str, rules: &str) -> String {
        definition(&self.server.url(), before, rules)
    }
}

pub(crate) fn definition(url: &str, before: &str, rules: &str) -> String {
    format!(
        "name = \"cache\"\nkind = \"redis\"\nquery = \"category:order\"\n{before}\n[redis]\nurl = \"{url}\"\n{rules}"
    )
}

pub(crate) async fn replace(world: &World, text: &str) {
    world.connectors.replace(&ConnectorDefinition::parse(text).unwrap()).await.unwrap();
}

/// Waits until this number of events was delivered since the connector has begun.
pub(crate) async fn delivered(world: &World, count: u64) -> ConnectorStatus {
    world.until("cache", |it| it.gauges.is_some_and(|gauges| gauges.events >= count)).await
}

pub(crate) async fn failed(world: &World) -> (String, String) {
    let status = world.until("cache", |it| it.phase == ConnectorPhase::Failed).await;
    (status.code.unwrap(), status.failure.unwrap())
}

/// Returns what the cache must have in the end: for each order the data of its last event, if that has not removed it.
async fn expected(world: &World) -> BTreeMap<String, Option<String>> {
    let (mut expected, mut read) = (BTreeMap::new(), Read::forward(Query::category("order")));
    loop {
        let page = world.store.read(read).await.unwrap();
        for event in &page.events {
            let key = event.stream().replacen("order-", "order:", 1);
            let data = String::from_utf8(event.data().to_vec()).unwrap();
            expected.insert(key, (event.event_type() != "OrderRemoved").then_some(data));
        }
        if !page.more {
            return expected;
        }
        read = Read::forward(Query::category("order")).after(page.cursor);
    }
}

/// Waits until the cache agrees with the store. An append that was interrupted may still be coming.
pub(crate) async fn agree(world: &World, cache: &Cache) {
    let differences = async || {
        let mut differences = Vec::new();
        for (key, value) in expected(world).await {
            let found = cache.get(&key).await;
            if found != value {
                differences.push((key, found, value));
            }
        }
        differences
    };
    let looking = async {
        while !differences().await.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, looking).await;
    assert!(waited.is_ok(), "{:?}", differences().await);
    assert!(world.connectors.parked("cache", false).await.unwrap().is_empty());
}
