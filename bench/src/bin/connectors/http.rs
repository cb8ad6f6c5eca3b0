//! `http`, one event or a batch in a request, beside the same requests by hand.

use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::stream::{StreamExt, TryStreamExt, iter};
use leftfold::{NewEvent, Recorded};
use reqwest::header::CONTENT_TYPE;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::receiver::Receiver;
use crate::row::{Bench, Measured, Plan, Row, Size, Way};
use crate::singles::{QUERY, append, time_each};
use crate::world::{HISTORY, World, check_all};

/// Requests with one event at a time.
const IN_FLIGHT: usize = 16;
/// The events of a batch, and the requests with batches at a time, which are those of the connector.
const BATCH: usize = 100;
const BATCHES_IN_FLIGHT: usize = 4;

/// A store, and a web server.
struct Http {
    world: World,
    receiver: Receiver,
    client: reqwest::Client,
    batch: Option<usize>,
    size: Size,
}

/// The usual body of a web hook.
#[derive(Serialize)]
struct Body<'a> {
    r#type: &'a str,
    timestamp: String,
    id: String,
    stream: &'a str,
    version: u64,
    position: u64,
    data: &'a RawValue,
}

/// The body of a batch.
#[derive(Serialize)]
struct BatchBody {
    r#type: &'static str,
    timestamp: String,
    data: Vec<Box<RawValue>>,
}

/// Requests with one event.
pub(crate) const SINGLE: Plan = Plan {
    name: "http",
    about: "an event in a request, 16 at a time, without a signature; by hand the same requests in any order; single \
            events are timed from the begin of the append to the request",
    prepare: |bench| Box::pin(prepare(bench, None)),
};
/// Requests with batches.
pub(crate) const BATCHES: Plan = Plan {
    name: "http-batch",
    about: "at most 100 events in a request, 4 at a time; by hand always 100",
    prepare: |bench| Box::pin(prepare(bench, Some(BATCH))),
};

async fn prepare(bench: &Bench, batch: Option<usize>) -> anyhow::Result<Box<dyn Row>> {
    let name = if batch.is_some() { "http-batch" } else { "http" };
    let world = World::filled(&bench.home.join(name), bench.size.requests)?;
    let client = leftfold_bench::http_client()?;
    Ok(Box::new(Http {
        world,
        receiver: Receiver::start().await?,
        client,
        batch,
        size: bench.size,
    }))
}

impl Row for Http {
    fn rate(&mut self, way: Way) -> Measured<'_, f64> {
        Box::pin(async move {
            match way {
                Way::ByHand => self.send_history().await,
                _ => self.world.rate(&self.definition(HISTORY), self.size.requests).await,
            }
        })
    }

    fn latencies(&mut self, way: Way) -> Option<Measured<'_, Vec<Duration>>> {
        match way {
            Way::ByHand => Some(Box::pin(self.time_by_hand())),
            _ => Some(Box::pin(self.time_connector())),
        }
    }
}

impl Http {
    fn definition(&self, query: &str) -> String {
        let url = self.receiver.url();
        let (before, inside) = match self.batch {
            None => (format!("in_flight = {IN_FLIGHT}\n"), String::new()),
            Some(events) => (String::new(), format!("batch = {events}\n")),
        };
        format!(
            "kind = \"http\"\nquery = \"{query}\"\n{before}\
             [http]\nurl = \"{url}\"\nallow_private = true\n{inside}"
        )
    }

    /// Reads pages and posts them; returns the rate.
    async fn send_history(&self) -> anyhow::Result<f64> {
        let in_flight = if self.batch.is_some() { BATCHES_IN_FLIGHT } else { IN_FLIGHT };
        let (started, mut pages, mut sent) = (Instant::now(), self.world.pages()?, 0);
        while let Some(page) = pages.next().await? {
            let posts = page.chunks(self.batch.unwrap_or(1)).map(async |events| {
                self.post(body_of(events, self.batch.is_some())?).await?;
                Ok::<_, anyhow::Error>(events.len() as u64)
            });
            let posts = iter(posts).buffer_unordered(in_flight);
            sent += posts.try_fold(0, async |sum, count| Ok(sum + count)).await?;
        }
        check_all(sent, self.size.requests)?;
        Ok(sent as f64 / started.elapsed().as_secs_f64())
    }

    async fn post(&self, body: String) -> anyhow::Result<()> {
        let request =
            self.client.post(self.receiver.url()).header(CONTENT_TYPE, "application/json");
        request.body(body).send().await?.error_for_status()?;
        Ok(())
    }

    /// Times events from the begin of their append to the request.
    async fn time_connector(&mut self) -> anyhow::Result<Vec<Duration>> {
        let (definition, store) = (self.definition(QUERY), self.world.store.clone());
        let (receiver, singles) = (&self.receiver, self.size.singles);
        let mut requests = receiver.count();
        let timing = async || {
            let come = async || {
                requests += 1;
                receiver.wait_for(requests).await
            };
            time_each(singles, None, async |event| append(&store, event).await, come).await
        };
        self.world.run_from_now(&definition, timing).await
    }

    /// Times events that are appended, and then posted by the same program.
    async fn time_by_hand(&mut self) -> anyhow::Result<Vec<Duration>> {
        let mut requests = self.receiver.count();
        let send = async |event: NewEvent| {
            let data = event.data.clone();
            append(&self.world.store, event).await?;
            self.post(String::from_utf8(data.to_vec())?).await
        };
        let come = async || {
            requests += 1;
            self.receiver.wait_for(requests).await
        };
        time_each(self.size.singles, None, send, come).await
    }
}

/// Returns the body of a request.
fn body_of(events: &[Recorded], is_batch: bool) -> anyhow::Result<String> {
    let bodies = events.iter().map(|event| {
        let data = event.data();
        Ok(serde_json::value::to_raw_value(&Body {
            r#type: event.event_type(),
            timestamp: event.event_time().to_string(),
            id: event.id().to_string(),
            stream: event.stream(),
            version: event.version(),
            position: event.position(),
            data: serde_json::from_slice(&data)?,
        })?)
    });
    let mut data = bodies.collect::<anyhow::Result<Vec<_>>>()?;
    if !is_batch {
        let only = data.pop().context("a request without an event")?;
        return Ok(Box::<str>::from(only).into());
    }
    let timestamp = events.last().map(|event| event.event_time().to_string()).unwrap_or_default();
    Ok(serde_json::to_string(&BatchBody { r#type: "events", timestamp, data })?)
}
