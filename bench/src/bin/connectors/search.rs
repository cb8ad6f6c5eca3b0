//! `search`, beside a loop of requests `_bulk`.

use std::fmt::Write;
use std::time::Instant;

use anyhow::{Context, ensure};
use futures_util::stream::{StreamExt, TryStreamExt, iter};
use leftfold::Recorded;
use leftfold_opensearch_server::Server;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Method};
use serde_json::Value;

use crate::row::{Bench, Measured, Plan, Row, Way};
use crate::world::{HISTORY, World, check_all};

/// The events of a request and the requests at a time, which are those of the connector.
const BATCH: usize = 1_000;
const IN_FLIGHT: usize = 2;

/// A store, and an OpenSearch.
struct Search {
    world: World,
    server: Server,
    client: Client,
    events: u64,
    /// Indices so far.
    made: u32,
}

/// Documents of a search engine.
pub(crate) const ROW: Plan = Plan {
    name: "search",
    about: "a document for each event in OpenSearch as it comes, at most 1,000 in a request and 2 requests at a time; by \
            hand the same without versions; OpenSearch syncs its log before it answers",
    prepare: |bench| Box::pin(prepare(bench)),
};

async fn prepare(bench: &Bench) -> anyhow::Result<Box<dyn Row>> {
    let events = bench.size.rows;
    let world = World::filled(&bench.home.join("search"), events)?;
    let server = tokio::task::spawn_blocking(Server::start).await??;
    let client = leftfold_bench::http_client()?;
    Ok(Box::new(Search { world, server, client, events, made: 0 }))
}

impl Row for Search {
    fn rate(&mut self, way: Way) -> Measured<'_, f64> {
        Box::pin(async move {
            self.made += 1;
            let index = format!("bench-{}", self.made);
            self.ask(Method::PUT, &index, String::new()).await?;
            let rate = match way {
                Way::ByHand => self.index_history(&index).await?,
                _ => self.world.rate(&self.definition(&index), self.events).await?,
            };
            self.ask(Method::POST, &format!("{index}/_refresh"), String::new()).await?;
            let counted = self.ask(Method::GET, &format!("{index}/_count"), String::new()).await?;
            let count = counted.get("count").and_then(Value::as_u64);
            check_all(count.context("the engine does not count")?, self.events)?;
            self.ask(Method::DELETE, &index, String::new()).await?;
            Ok(rate)
        })
    }
}

impl Search {
    fn definition(&self, index: &str) -> String {
        let url = self.server.url();
        format!(
            "kind = \"search\"\nquery = \"{HISTORY}\"\n\
             [search]\nurl = \"{url}\"\nindex = \"{index}\"\nid = \"{{id}}\"\n"
        )
    }

    /// Reads pages and sends them; returns the rate.
    async fn index_history(&self, index: &str) -> anyhow::Result<f64> {
        let (started, mut pages, mut sent) = (Instant::now(), self.world.pages()?, 0);
        let path = format!("{index}/_bulk");
        while let Some(page) = pages.next().await? {
            let requests = page.chunks(BATCH).map(async |events| {
                let answer = self.ask(Method::POST, &path, body_of(events)?).await?;
                ensure!(answer.get("errors") == Some(&Value::Bool(false)), "refused: {answer}");
                Ok(())
            });
            iter(requests).buffer_unordered(IN_FLIGHT).try_for_each(async |()| Ok(())).await?;
            sent += page.len() as u64;
        }
        check_all(sent, self.events)?;
        Ok(sent as f64 / started.elapsed().as_secs_f64())
    }

    async fn ask(&self, method: Method, path: &str, body: String) -> anyhow::Result<Value> {
        let mut request = self.client.request(method, format!("{}/{path}", self.server.url()));
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/x-ndjson").body(body);
        }
        let answer = request.send().await?.error_for_status()?;
        Ok(serde_json::from_slice(&answer.bytes().await?)?)
    }
}

fn body_of(events: &[Recorded]) -> anyhow::Result<String> {
    let mut body = String::new();
    for event in events {
        let data = event.data();
        let data = std::str::from_utf8(&data)?;
        writeln!(body, "{{\"index\":{{\"_id\":\"{}\"}}}}\n{data}", event.id())?;
    }
    Ok(body)
}
