//! What the others have: each is asked until it has all, or no longer.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use leftfold::client::Client as StoreClient;
use leftfold::{EventStore, Read};
use leftfold_kafka::{Client, FetchOptions, Isolation, OffsetSpec, Partition};
use reqwest::Client as Http;
use serde_json::Value;

use super::hook::Hook;
use super::shop;

/// How long one of the others may take until it has all.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is asked.
const PERIOD: Duration = Duration::from_millis(100);

/// The state of each order, by its id.
type Orders = BTreeMap<String, String>;
/// The states that each order had, one after the other.
type States = BTreeMap<String, Vec<String>>;

/// The server.
pub(super) struct Leftfold {
    url: String,
    http: Http,
}

impl Leftfold {
    pub(super) fn at(url: &str) -> anyhow::Result<Self> {
        // The client wants an implementation of TLS, also where there is none.
        _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Leftfold { url: url.to_owned(), http: Http::builder().no_proxy().build()? })
    }

    /// Adds a connector or a view.
    pub(super) async fn add(&self, what: &str, media: &str, text: String) -> anyhow::Result<()> {
        let request = self.http.post(format!("{}/v1/{what}", self.url));
        let answer = request.header("content-type", media).body(text).send().await?;
        let (status, said) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{said}");
        Ok(())
    }

    /// Writes which connectors do not work, and why.
    pub(super) async fn show_failures(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let answer = self.http.get(format!("{}/v1/connectors", self.url)).send().await?;
        let answer: Value = serde_json::from_str(&answer.text().await?)?;
        for connector in answer["connectors"].as_array().into_iter().flatten() {
            if !connector["failure"].is_null() {
                writeln!(out, "{}: {}", connector["name"], connector["failure"])?;
            }
        }
        Ok(())
    }

    /// Returns the states of each order by the events of its stream.
    pub(super) async fn wait_for_states(&self, wanted: &States) -> anyhow::Result<States> {
        let client = StoreClient::connect(&self.url).await?;
        wait_for(wanted, async || {
            let (mut states, mut read) = (States::new(), Read::forward("category:order".parse()?));
            loop {
                let page = client.read(read).await?;
                for event in &page.events {
                    let data: Value = serde_json::from_slice(&event.data())?;
                    note(&mut states, event.stream().trim_start_matches("order-"), &data);
                }
                if !page.more {
                    return Ok(states);
                }
                read = Read::forward("category:order".parse()?).after(page.cursor);
            }
        })
        .await
    }

    /// Returns the orders of the search index.
    pub(super) async fn wait_for_documents(
        &self,
        search: &str,
        wanted: &Orders,
    ) -> anyhow::Result<Orders> {
        wait_for(wanted, async || {
            self.http.post(format!("{search}/orders/_refresh")).send().await?;
            let found = self.http.get(format!("{search}/orders/_search?size=10000")).send().await?;
            let found: Value = serde_json::from_str(&found.text().await?)?;
            let hits = found["hits"]["hits"].as_array().into_iter().flatten();
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            Ok(hits.map(|hit| (text(&hit["_id"]), text(&hit["_source"]["state"]))).collect())
        })
        .await
    }
}

/// Returns the states of each order by the committed records of the topic.
pub(super) async fn wait_for_records(bootstrap: &str, wanted: &States) -> anyhow::Result<States> {
    let client = Client::new(bootstrap, PATIENCE)?;
    wait_for(wanted, async || {
        let mut states = States::new();
        let topic = client.describe_topic("orders").await?.context("there is no topic")?;
        for number in 0..topic.partitions {
            note_records(&client, &Partition::new("orders", number), &mut states).await?;
        }
        Ok(states)
    })
    .await
}

async fn note_records(
    client: &Client,
    partition: &Partition,
    states: &mut States,
) -> anyhow::Result<()> {
    let isolation = Isolation::Committed;
    let leader = client.leader(partition).await?;
    let end = leader.offset(partition, OffsetSpec::Latest, isolation).await?;
    let mut at = 0;
    while at < end {
        let options = FetchOptions { isolation, ..FetchOptions::default() };
        let fetched = leader.fetch(partition, at, options).await?;
        for found in fetched.records().into_iter().filter(|found| found.offset >= at) {
            let key = String::from_utf8_lossy(found.record.key.as_deref().unwrap_or_default());
            let data = found.record.value.as_deref().unwrap_or_default();
            note(states, &key, &serde_json::from_slice(data)?);
        }
        at = fetched.batches.last().context("the records end too early")?.last_offset + 1;
    }
    Ok(())
}

/// Returns the orders of the view in PostgreSQL.
pub(super) async fn wait_for_rows(reports: &str, wanted: &Orders) -> anyhow::Result<Orders> {
    wait_for(wanted, async || shop::orders(reports, "select id, state from orders.orders").await)
        .await
}

/// Returns the states of each order that the web hook got.
pub(super) async fn wait_for_hook(hook: &Hook, wanted: &States) -> anyhow::Result<States> {
    wait_for(wanted, async || Ok(hook.states())).await
}

fn note(states: &mut States, order: &str, data: &Value) {
    let state = data["state"].as_str().unwrap_or_default().to_owned();
    states.entry(order.to_owned()).or_default().push(state);
}

/// Asks until the answer is as wanted; returns the last answer.
async fn wait_for<T: PartialEq>(
    wanted: &T,
    ask: impl AsyncFn() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let began = Instant::now();
    loop {
        let found = ask().await;
        let is_late = began.elapsed() > PATIENCE;
        match found {
            Ok(found) if found == *wanted || is_late => return Ok(found),
            Err(error) if is_late => return Err(error),
            _ => tokio::time::sleep(PERIOD).await,
        }
    }
}
