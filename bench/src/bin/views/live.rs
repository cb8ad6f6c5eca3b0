//! A live query of a server process: from the begin of an append to the change on the client's connection.

use std::time::{Duration, Instant};

use anyhow::Context;
use leftfold::client::Client;
use leftfold::{Append, EventStore};
use leftfold_bench::process::ServerProcess;
use leftfold_views::DEFAULT_PERIOD;
use reqwest::Response;
use serde_json::{Value, json};

use crate::rows::{Latencies, print_control};
use crate::{Bench, event, view_file};

/// How long the next append waits after a change. A live query asks once a period, and what is measured is not how
/// much of the period is left.
const PAUSE: Duration = DEFAULT_PERIOD.saturating_add(Duration::from_millis(20));
/// How long a message may take.
const PATIENCE: Duration = Duration::from_secs(60);
const SQL: &str = "select events from orders where id = 'live'";

pub(crate) fn measure(bench: &Bench) -> anyhow::Result<()> {
    let changes = bench.size.changes;
    println!("\na live query over HTTP, {changes} appends one after the other: p50 and p99");
    let served = ServerProcess::start(&bench.dir.join("served"))?;
    let mut acknowledged = Latencies::new("until the append is acknowledged");
    let mut changed = Latencies::new("until the change is read from the connection");
    let mut controls = Vec::new();
    tokio::runtime::Runtime::new()?.block_on(async {
        let client = served.client().await?;
        let mut live = LiveQuery::begin(&served).await?;
        for round in 0..bench.size.rounds as u64 {
            controls.push(bench.control()?);
            let (mut appends, mut reads) = (Vec::new(), Vec::new());
            for n in 0..changes {
                tokio::time::sleep(PAUSE).await;
                let [append, read] = live.append(&client, round * changes + n + 1).await?;
                appends.push(append);
                reads.push(read);
            }
            acknowledged.push(appends);
            changed.push(reads);
        }
        anyhow::Ok(())
    })?;
    acknowledged.print();
    changed.print();
    print_control(controls);
    Ok(())
}

/// The messages of a live query.
struct LiveQuery {
    response: Response,
    text: Vec<u8>,
}

impl LiveQuery {
    /// Adds a view, and follows the answer to a question of it.
    async fn begin(served: &ServerProcess) -> anyhow::Result<Self> {
        let (http, url) = (leftfold_bench::http_client()?, served.url());
        let add = http.post(format!("{url}/v1/views")).header("content-type", "application/sql");
        add.body(view_file("orders", 1)).send().await?.error_for_status()?;
        let follow = http.get(format!("{url}/v1/query/live")).query(&[("sql", SQL)]);
        let response = follow.send().await?.error_for_status()?;
        let mut live = LiveQuery { response, text: Vec::new() };
        anyhow::ensure!(message(&live.next().await?, "rows")?["rows"] == json!([]));
        Ok(live)
    }

    /// Appends an event whose change is the count; returns the microseconds until it was acknowledged, and read.
    async fn append(&mut self, client: &Client, count: u64) -> anyhow::Result<[f64; 2]> {
        let append = Append::new().event("order-live", event(count));
        let started = Instant::now();
        let micros = || started.elapsed().as_secs_f64() * 1e6;
        let append = async {
            client.append(append).await?;
            anyhow::Ok(micros())
        };
        let read = async {
            let block = self.next().await?;
            anyhow::Ok((block, micros()))
        };
        let (append, (block, read)) = tokio::try_join!(append, read)?;
        let changes = message(&block, "changes")?;
        anyhow::ensure!(
            changes["added"] == json!([[count]]),
            "not the change of event {count}: {changes}"
        );
        Ok([append, read])
    }

    /// Reads up to the end of the next message that is no heartbeat.
    async fn next(&mut self) -> anyhow::Result<String> {
        loop {
            while let Some(end) = self.text.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.text.drain(..end + 2).collect();
                if !block.starts_with(b":") {
                    return Ok(String::from_utf8(block)?);
                }
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await??;
            self.text.extend_from_slice(&chunk.context("the live query has ended")?);
        }
    }
}

/// Returns the data of a message, which must be of a kind.
fn message(block: &str, kind: &str) -> anyhow::Result<Value> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    anyhow::ensure!(field("event:") == Some(kind), "not a message of the type {kind}: {block}");
    Ok(serde_json::from_str(field("data:").context("a message without data")?)?)
}
