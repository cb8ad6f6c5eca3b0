//! NATS JetStream: one of its streams has all events, and each of our streams is a subject in it.

use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, bail};
use async_nats::jetstream::{self, stream};
use async_nats::{Client, HeaderMap, Subscriber};
use futures::StreamExt;
use rustix::process::Signal;
use serde::Deserialize;

use crate::get;
use crate::server::{CONNECTIONS, Server, Shared, free_port};
use crate::system::{
    DataSetEvent, Directories, Event, Mark, Purpose, ReadResult, Session, System, refused,
};
use crate::work::{HUNDRED, Work};

const STREAM: &str = "events";
const LAST: &str = "Nats-Expected-Last-Subject-Sequence";
const ID: &str = "Nats-Msg-Id";
const BATCH: &str = "Nats-Batch-Id";
const BATCH_NUMBER: &str = "Nats-Batch-Sequence";
const BATCH_COMMIT: &str = "Nats-Batch-Commit";
/// The number of messages per request.
const PAGE: usize = 1_000;

/// The server, with its stream created.
pub(crate) struct Nats {
    server: Server,
    url: String,
    clients: Shared<Client>,
}

/// A share of a connection.
pub(crate) struct Connection {
    client: Arc<Client>,
    context: jetstream::Context,
}

impl System for Nats {
    type Session = Connection;

    fn cannot(work: Work) -> Option<&'static str> {
        match work {
            Work::Tag | Work::OnTags(_) => Some("JetStream has subjects, no tags"),
            _ => None,
        }
    }

    async fn open(place: &Directories) -> anyhow::Result<Self> {
        let program = get::nats(&place.cache)?;
        std::fs::create_dir_all(&place.data)?;
        let config = place.data.with_extension("conf");
        std::fs::write(&config, settings(place))?;
        let port = free_port()?;
        let mut command = Command::new(program);
        command.args(["--addr", "127.0.0.1", "--port", &port.to_string()]);
        command.arg("--config").arg(config);
        let mut server = Server::start(command, &place.data, Signal::INT)?;
        server.listens(port).await?;
        let url = format!("nats://127.0.0.1:{port}");
        let client = async_nats::connect(&url).await?;
        let wanted = stream::Config {
            name: STREAM.to_owned(),
            subjects: vec!["e.>".to_owned()],
            storage: stream::StorageType::File,
            allow_direct: true,
            allow_atomic_publish: true,
            ..stream::Config::default()
        };
        jetstream::new(client).get_or_create_stream(wanted).await?;
        Ok(Nats { server, url, clients: Shared::new(CONNECTIONS) })
    }

    async fn session(&self) -> anyhow::Result<Connection> {
        let connect = async { Ok(async_nats::connect(&self.url).await?) };
        let client = self.clients.get(connect).await?;
        Ok(Connection { context: jetstream::new(client.as_ref().clone()), client })
    }

    fn server(&self) -> Option<u32> {
        Some(self.server.id())
    }

    async fn close(self) -> anyhow::Result<()> {
        self.server.close().await
    }
}

/// Returns the configuration: each write is synced, except while loading.
fn settings(place: &Directories) -> String {
    let sync = if place.purpose == Purpose::Load { "2m" } else { "always" };
    format!("jetstream {{ store_dir: {:?}, sync_interval: {sync} }}\n", place.data)
}

/// Converts a name to a subject, so that its category is a token.
fn subject(stream: &str) -> String {
    let (category, rest) = stream.split_once('-').unwrap_or((stream, "0"));
    format!("e.{category}.{rest}")
}

/// The answer to the commit of a batch.
#[derive(Deserialize)]
struct Ack {
    seq: Option<u64>,
    error: Option<serde_json::Value>,
}

impl Connection {
    /// Gets all messages of a subject or a pattern in the order of the log, page by page with
    /// direct gets.
    async fn get(&self, subject: &str, limit: u64) -> anyhow::Result<ReadResult> {
        let mut seen = ReadResult::default();
        let mut next = 1;
        loop {
            let inbox = self.client.new_inbox();
            let mut answers = self.client.subscribe(inbox.clone()).await?;
            let ask = serde_json::json!({ "seq": next, "next_by_subj": subject, "batch": PAGE });
            let api = format!("$JS.API.DIRECT.GET.{STREAM}");
            self.client.publish_with_reply(api, inbox, ask.to_string().into()).await?;
            let (last, pending) = page(&mut answers, &mut seen).await?;
            if pending == 0 || seen.events >= limit {
                return Ok(seen);
            }
            next = last + 1;
        }
    }
}

/// Reads one page of messages; returns the last one's sequence, and how many follow it.
async fn page(answers: &mut Subscriber, seen: &mut ReadResult) -> anyhow::Result<(u64, u64)> {
    let (mut last, mut pending) = (0, 0);
    while let Some(message) = answers.next().await {
        let headers = message.headers.as_ref();
        let header = |name: &str| {
            let value = headers.and_then(|headers| headers.get(name));
            value.and_then(|value| value.as_str().parse::<u64>().ok())
        };
        if let Some(status) = message.status {
            match status.as_u16() {
                204 => return Ok((last, pending)),
                404 => return Ok((last, 0)),
                other => bail!("a direct get was answered {other}: {:?}", message.description),
            }
        }
        last = header("Nats-Sequence").context("a message without a sequence")?;
        pending = header("Nats-Num-Pending").context("a page without its rest")?;
        seen.add(message.payload.len());
    }
    bail!("the connection ended")
}

impl Session for Connection {
    async fn append_single(
        &mut self,
        stream: &str,
        expected: Mark,
        event: Event,
    ) -> anyhow::Result<Mark> {
        let mut headers = HeaderMap::new();
        headers.insert(LAST, expected.unwrap_or(0).to_string());
        headers.insert(ID, event.id.to_string());
        let sent = self.context.publish_with_headers(subject(stream), headers, event.data);
        Ok(Some(sent.await?.await?.sequence))
    }

    async fn append_batch(
        &mut self,
        stream: &str,
        expected: Mark,
        events: Vec<Event>,
    ) -> anyhow::Result<Mark> {
        let to = subject(stream);
        let batch = events.first().context("an empty batch")?.id.to_string();
        let last = events.len();
        for (event, number) in events.into_iter().zip(1..) {
            let mut headers = HeaderMap::new();
            headers.insert(BATCH, batch.as_str());
            headers.insert(BATCH_NUMBER, number.to_string());
            if number == 1 {
                headers.insert(LAST, expected.unwrap_or(0).to_string());
            }
            if number < last {
                self.client.publish_with_headers(to.clone(), headers, event.data).await?;
                continue;
            }
            headers.insert(BATCH_COMMIT, "1");
            let answer = self.client.request_with_headers(to.clone(), headers, event.data).await?;
            let ack: Ack = serde_json::from_slice(&answer.payload)?;
            if let Some(error) = ack.error {
                bail!("the batch was refused: {error}");
            }
            return Ok(Some(ack.seq.context("an answer without a sequence")?));
        }
        bail!("an empty batch")
    }

    async fn append_on_tags(&mut self, _: [&str; 2], _: Mark, _: Event) -> anyhow::Result<Mark> {
        refused()
    }

    async fn read_stream(&mut self, stream: &str) -> anyhow::Result<ReadResult> {
        self.get(&subject(stream), HUNDRED as u64).await
    }

    async fn query_category(&mut self, category: &str) -> anyhow::Result<ReadResult> {
        self.get(&format!("e.{category}.*"), u64::MAX).await
    }

    async fn query_tags(&mut self, _: &str) -> anyhow::Result<ReadResult> {
        refused()
    }

    async fn replay(&mut self, limit: u64) -> anyhow::Result<ReadResult> {
        self.get("e.>", limit).await
    }

    async fn load(&mut self, chunk: Vec<DataSetEvent>) -> anyhow::Result<()> {
        let mut sent = Vec::new();
        for one in chunk {
            let mut headers = HeaderMap::new();
            headers.insert(ID, one.event.id.to_string());
            let to = subject(&one.stream);
            sent.push(self.context.publish_with_headers(to, headers, one.event.data).await?);
        }
        for ack in sent {
            ack.await?;
        }
        Ok(())
    }
}
