//! The healthy client: it has an address and a user of its own, appends and reads one event at a time, and asks whether
//! the server lives.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use reqwest::{Client, Response};
use serde_json::{Value, json};

use crate::report::Report;
use crate::served::{Target, authorization as authorization_of};

/// Events in the store before the first flood.
const EVENTS: usize = 20_000;
/// Large events in the store, for floods of pages.
const LARGE_EVENTS: usize = 64;
const LARGE: usize = 512 << 10;
/// A call that gets no answer in this time is counted as refused.
const PATIENCE: Duration = Duration::from_secs(60);
/// The time after a flood in which the healthy client must be served again.
const RECOVERED_WITHIN: Duration = Duration::from_secs(60);
const USER: &str = "healthy";
const PASSWORD: &str = "the password of the healthy client";
/// The pause after a refusal.
const AGAIN: Duration = Duration::from_millis(50);

/// What the healthy client has met.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) times: Vec<Duration>,
    /// How often a call was not answered as it should be, and why.
    pub(crate) refusals: BTreeMap<String, u64>,
}

pub(crate) struct Healthy {
    target: Arc<Target>,
    client: Client,
    authorization: String,
    appended: u64,
}

impl Healthy {
    pub(crate) async fn start(target: Arc<Target>) -> anyhow::Result<Self> {
        // Which provider of TLS there is when all crates are built together is not said.
        _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .timeout(PATIENCE)
            .local_address(IpAddr::from([127, 0, 0, 1]))
            .build()?;
        let authorization = target.authorization.clone();
        let mut healthy = Healthy { target, client, authorization, appended: 0 };
        let user = json!({"user": USER, "password": PASSWORD});
        healthy.post("/v1/users", &user).await?.error_for_status().context("adding the user")?;
        for action in ["read", "append"] {
            let grant = json!({"user": USER, "action": action, "scope": "*"});
            healthy.post("/v1/grants", &grant).await?.error_for_status().context("its grants")?;
        }
        healthy.authorization = authorization_of(USER, PASSWORD);
        Ok(healthy)
    }

    /// Appends events for the floods to read.
    pub(crate) async fn fill(&self) -> anyhow::Result<()> {
        for first in (0..EVENTS).step_by(1_000) {
            let event = |n: usize| json!({"stream": format!("o-{}", n % 500), "type": "T", "tags": [format!("k={}", n % 100)], "data": {"n": n}});
            let events: Vec<Value> = (first..first + 1_000).map(event).collect();
            let answer = self.post("/v1/events", &json!({"events": events})).await?;
            answer.error_for_status().context("filling the store")?;
        }
        let large = json!({"events": [{"type": "T", "data": "x".repeat(LARGE)}]});
        for n in 0..LARGE_EVENTS {
            let answer = self.post(&format!("/v1/streams/large-{n}/events"), &large).await?;
            answer.error_for_status().context("filling the store")?;
        }
        Ok(())
    }

    async fn post(&self, path: &str, body: &Value) -> reqwest::Result<Response> {
        let request = self.client.post(format!("http://{}{path}", self.target.address));
        let request = request.header("content-type", "application/json").body(body.to_string());
        request.header("authorization", &self.authorization).send().await
    }

    async fn get(&self, path: &str) -> reqwest::Result<Response> {
        let request = self.client.get(format!("http://{}{path}", self.target.address));
        request.header("authorization", &self.authorization).send().await
    }

    /// Appends an event, or reads the last one; in turns.
    async fn call(&mut self) -> Result<(), String> {
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
        let (until, mut seen) = (Instant::now() + time, Seen::default());
        while Instant::now() < until {
            let began = Instant::now();
            match self.call().await {
                Ok(()) => seen.times.push(began.elapsed()),
                Err(why) => {
                    *seen.refusals.entry(why).or_default() += 1;
                    tokio::time::sleep(AGAIN).await;
                }
            }
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
                Ok(()) => break None,
                Err(why) if Instant::now() > until => break Some(why),
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        };
        if let Some(why) = live {
            return report.fail(format!("{flood}: /health/live does not answer: {why}"));
        }
        // An append and a read.
        for _ in 0..2 {
            while let Err(why) = self.call().await {
                if Instant::now() > until {
                    let why = format!("{flood}: the healthy client is not served again: {why}");
                    return report.fail(why);
                }
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

/// Returns why a call was not answered as it should be, if it was not.
async fn outcome(answer: reqwest::Result<Response>) -> Result<(), String> {
    let answer = answer.map_err(|error| match error.is_timeout() {
        true => "no answer in time".to_owned(),
        false => "no connection".to_owned(),
    })?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(|_| "no whole answer".to_owned())?;
    if status.is_success() {
        return Ok(());
    }
    let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
    let code = problem["code"].as_str().unwrap_or("without a code");
    Err(format!("{} {code}", status.as_u16()))
}
