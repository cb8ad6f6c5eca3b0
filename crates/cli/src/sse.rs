//! An endless answer of a server: server-sent events, over lost connections.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use leftfold::{Coded, ReadError};
use reqwest::{RequestBuilder, Response};
use serde_json::Value;

use crate::args::Location;
use crate::http::{ANSWER_TIME, Request, builder, problem, refusal, runtime};
use crate::store::report_retry;

/// How long a lost connection is made again.
const RECONNECT_TIME: Duration = Duration::from_secs(300);
/// The pauses between attempts: each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The most bytes of a message.
const MAX_MESSAGE: usize = 256 << 20;

/// How a connection ended.
enum End {
    /// Another connection may go on.
    Lost(anyhow::Error),
    Failed(anyhow::Error),
}

/// Asks a server, and gives `take` the kind and the data of each message. If the connection is lost after the first
/// message, it asks again, and the answer begins anew.
///
/// # Errors
/// The server refuses or ends the answer with a problem; it can't be reached; `take` fails.
pub(crate) fn follow(
    location: &Location,
    asked: &Request<'_>,
    mut take: impl FnMut(&str, &Value) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let request = builder(location, asked)?;
    runtime()?.block_on(async {
        let (mut has_begun, mut lost, mut pause) = (false, None, FIRST_PAUSE);
        loop {
            let copy = request.try_clone().context("the request can't be sent again")?;
            let taking = |kind: &str, data: &Value| {
                (has_begun, lost, pause) = (true, None, FIRST_PAUSE);
                take(kind, data)
            };
            let error = match read(copy, taking).await {
                End::Failed(error) => return Err(error),
                End::Lost(error) => error,
            };
            let since = *lost.get_or_insert_with(Instant::now);
            if !has_begun || since.elapsed() > RECONNECT_TIME {
                return Err(error);
            }
            report_retry(format_args!("{error:#}"));
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    })
}

/// Reads what one connection brings.
async fn read(
    request: RequestBuilder,
    mut take: impl FnMut(&str, &Value) -> anyhow::Result<()>,
) -> End {
    let mut response = match begin(request).await {
        Ok(response) => response,
        Err(end) => return end,
    };
    let mut messages = Messages::default();
    loop {
        match response.chunk().await.context("reading the server's answer") {
            Ok(Some(chunk)) => messages.bytes.extend_from_slice(&chunk),
            Ok(None) => return End::Lost(anyhow::anyhow!("the server has closed the connection")),
            Err(error) => return End::Lost(error),
        }
        loop {
            let took = match messages.next() {
                Ok(None) => break,
                Ok(Some((kind, data))) if kind == "problem" => return end_of(problem(&data)),
                Ok(Some((kind, data))) => take(&kind, &data),
                Err(error) => Err(error),
            };
            if let Err(error) = took {
                return End::Failed(error);
            }
        }
    }
}

async fn begin(request: RequestBuilder) -> Result<Response, End> {
    let sent = tokio::time::timeout(ANSWER_TIME, request.send()).await;
    let response = sent.context("the server does not answer").map_err(End::Lost)?;
    let response = response.context("asking the server").map_err(End::Lost)?;
    if response.status().is_success() {
        return Ok(response);
    }
    let error = refusal(response).await.map_err(End::Lost)?;
    Err(match error.downcast::<ReadError>() {
        Ok(error) => end_of(error),
        Err(error) => End::Failed(error),
    })
}

/// A server that is restarted ends answers, and refuses requests for a while.
fn end_of(error: ReadError) -> End {
    match error.can_retry() || error.code() == "server_closing" {
        true => End::Lost(error.into()),
        false => End::Failed(error.into()),
    }
}

/// The messages of an answer, from the bytes that have come.
#[derive(Default)]
struct Messages {
    bytes: Vec<u8>,
    /// Up to where there is no end of a message.
    searched: usize,
}

impl Messages {
    /// Returns the kind and the data of the next message that is here.
    fn next(&mut self) -> anyhow::Result<Option<(String, Value)>> {
        loop {
            let from = self.searched.saturating_sub(1);
            let rest = self.bytes.get(from..).unwrap_or_default();
            let Some(end) = rest.windows(2).position(|pair| pair == b"\n\n") else {
                self.searched = self.bytes.len();
                if self.bytes.len() > MAX_MESSAGE {
                    bail!("the server sends a message of more than {MAX_MESSAGE} bytes");
                }
                return Ok(None);
            };
            self.searched = 0;
            let block: Vec<u8> = self.bytes.drain(..from + end + 2).collect();
            let block = str::from_utf8(&block).context("the server's answer is no text")?;
            let field =
                |name: &'static str| block.lines().filter_map(move |line| line.strip_prefix(name));
            let data: Vec<_> = field("data: ").collect();
            // A heartbeat is a comment.
            if !data.is_empty() {
                let kind = field("event: ").next().unwrap_or("message").to_owned();
                let data = serde_json::from_str(&data.join("\n"));
                return Ok(Some((kind, data.context("the server's answer is no JSON")?)));
            }
        }
    }
}
