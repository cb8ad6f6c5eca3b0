//! The healthy client: it has credentials, appends and reads one event at a time, and asks whether the server lives.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use reqwest::{Client, Response};
use serde_json::{Value, json};

use crate::report::Report;
use crate::served::Target;

/// Events in the store before the first flood.
const EVENTS: usize = 20_000;
/// A call that gets no answer in this time is counted as refused.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest time for which errors that no retry helps against are forgiven.
pub(crate) const FORGIVEN: Duration = Duration::from_secs(10);
/// The time after a flood in which the healthy client must be served again.
const RECOVERED_WITHIN: Duration = Duration::from_secs(60);
/// The pause after a refusal.
const AGAIN: Duration = Duration::from_millis(50);

/// What one call came to.
enum Outcome {
    Done,
    /// A retry may help; the reason.
    Refused(String),
    /// No retry helps; the reason.
    Failed(String),
}

/// What the healthy client has met.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) times: Vec<Duration>,
    pub(crate) refusals: BTreeMap<String, u64>,
    /// Errors that no retry helps against.
    pub(crate) failures: BTreeMap<String, u64>,
    /// The longest time of only such errors.
    pub(crate) failed_for: Duration,
}

pub(crate) struct Healthy {
    target: Arc<Target>,
    client: Client,
    appended: u64,
}

impl Healthy {
    pub(crate) fn new(target: Arc<Target>) -> anyhow::Result<Self> {
        // Which provider of TLS there is when all crates are built together is not said.
        _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().timeout(PATIENCE).build()?;
        Ok(Healthy { target, client, appended: 0 })
    }

    /// Appends events for the floods to read.
    pub(crate) async fn fill(&self) -> anyhow::Result<()> {
        for first in (0..EVENTS).step_by(1_000) {
            let event = |n: usize| json!({"stream": format!("o-{}", n % 500), "type": "T", "tags": [format!("k={}", n % 100)], "data": {"n": n}});
            let events: Vec<Value> = (first..first + 1_000).map(event).collect();
            let answer = self.post("/v1/events", &json!({"events": events})).await?;
            answer.error_for_status().context("filling the store")?;
        }
        Ok(())
    }

    async fn post(&self, path: &str, body: &Value) -> reqwest::Result<Response> {
        let request = self.client.post(format!("http://{}{path}", self.target.address));
        let request = request.header("content-type", "application/json").body(body.to_string());
        request.header("authorization", &self.target.authorization).send().await
    }

    async fn get(&self, path: &str) -> reqwest::Result<Response> {
        let request = self.client.get(format!("http://{}{path}", self.target.address));
        request.header("authorization", &self.target.authorization).send().await
    }

    /// Appends an event, or reads the last one; in turns.
    async fn call(&mut self) -> Outcome {
        self.appended += 1;
        let answer = match self.appended % 2 {
            0 => self.get("/v1/streams/healthy-1/events?limit=1").await,
            _ => {
                self.post("/v1/streams/healthy-1/events", &json!({"events": [{"type": "H"}]})).await
            }
        };
        outcome(answer).await
    }

    /// Calls for this long.
    pub(crate) async fn observe(&mut self, time: Duration) -> Seen {
        let (until, mut seen, mut fails_since) = (Instant::now() + time, Seen::default(), None);
        while Instant::now() < until {
            let began = Instant::now();
            match self.call().await {
                Outcome::Done => {
                    seen.times.push(began.elapsed());
                    fails_since = None;
                    continue;
                }
                Outcome::Refused(why) => *seen.refusals.entry(why).or_default() += 1,
                Outcome::Failed(why) => {
                    *seen.failures.entry(why).or_default() += 1;
                    let since: Instant = *fails_since.get_or_insert(began);
                    seen.failed_for = seen.failed_for.max(since.elapsed());
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
        seen.times.sort_unstable();
        seen
    }

    /// Waits until the server lives and serves; after a flood it must.
    pub(crate) async fn recover(&mut self, flood: &str, report: &mut Report) {
        let until = Instant::now() + RECOVERED_WITHIN;
        let live = loop {
            let answer = self.get("/health/live").await;
            match outcome(answer).await {
                Outcome::Done => break None,
                Outcome::Refused(why) | Outcome::Failed(why) if Instant::now() > until => {
                    break Some(why);
                }
                _ => tokio::time::sleep(AGAIN).await,
            }
        };
        if let Some(why) = live {
            return report.fail(format!("{flood}: /health/live does not answer: {why}"));
        }
        // An append and a read.
        for _ in 0..2 {
            loop {
                match self.call().await {
                    Outcome::Done => break,
                    Outcome::Refused(why) | Outcome::Failed(why) if Instant::now() > until => {
                        return report.fail(format!(
                            "{flood}: the healthy client is not served again: {why}"
                        ));
                    }
                    _ => tokio::time::sleep(AGAIN).await,
                }
            }
        }
    }
}

async fn outcome(answer: reqwest::Result<Response>) -> Outcome {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if error.is_timeout() => {
            return Outcome::Refused("no answer in time".to_owned());
        }
        // Closed or not let in: connecting again may help.
        Err(_) => return Outcome::Refused("no connection".to_owned()),
    };
    let status = answer.status();
    let Ok(body) = answer.bytes().await else {
        return Outcome::Refused("no connection".to_owned());
    };
    if status.is_success() {
        return Outcome::Done;
    }
    let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
    let why =
        format!("{} {}", status.as_u16(), problem["code"].as_str().unwrap_or("without a code"));
    match problem["can_retry"].as_bool() {
        Some(true) => Outcome::Refused(why),
        _ => Outcome::Failed(why),
    }
}
