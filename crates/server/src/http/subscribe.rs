//! Subscriptions as server-sent events.
//!
//! A task of its own reads the subscription and hands what it writes to the connection through a
//! channel of one place. So a client that takes nothing holds one page of events and two chunks of
//! text; after `limits.write_time` its subscription is ended.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State as Shared;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use http_body::Frame;
use leftfold_api::DynSubscription;
use leftfold_api::{Cursor, Delivery, EventStore, From, Point, Query, Subscribe, Subscription};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;
use utoipa::IntoParams;

use super::extract::{By, Params};
use super::json::event;
use super::place::place;
use super::problem::Problem;
use crate::access::Caller;
use crate::state::{LongLived, State, Subscribed};

/// So much is gathered before it is handed on, where there is so much.
const CHUNK: usize = 64 << 10;

/// What is subscribed to.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SubscribeParams {
    /// Which events; nothing means all.
    #[param(example = "category:order", max_length = 65536)]
    query: Option<String>,
    /// Begin here, what is there included: `cursor:...`, `position:17`, `version:3`, `ordinal:3` or
    /// `time:2026-03-01`.
    from: Option<String>,
    /// Begin beyond here, what is there excluded.
    after: Option<String>,
    /// Whether each event comes with its ordinal in the query, which must be one stream, one named
    /// index or one partition of a named index.
    ordinals: Option<bool>,
    /// A name by which metrics tell this subscription from others.
    #[param(max_length = 100)]
    name: Option<String>,
}

/// Deliver what a query yields: history, then what comes, until the client leaves. Each event is a
/// message whose id is a cursor; `Last-Event-ID` resumes exactly behind it. A message of the type
/// `caught_up` says that what follows is new; one of the type `problem` is the last.
#[utoipa::path(
    get, path = "/v1/subscribe", tag = "events", operation_id = "subscribe",
    params(
        SubscribeParams,
        ("last-event-id" = Option<String>, Header, description = "Resume behind this cursor"),
    ),
    responses((status = 200, description = "Server-sent events", body = String,
               content_type = "text/event-stream"))
)]
pub(super) async fn subscribe(
    Shared(state): Shared<Arc<State>>,
    By(caller): By,
    headers: HeaderMap,
    Params(params): Params<SubscribeParams>,
) -> Result<Response, Problem> {
    let query: Query = params.query.as_deref().unwrap_or("*").parse()?;
    caller.may_read(&query)?;
    let from = match last_event_id(&headers)? {
        Some(cursor) => From::Excluding(Point::Cursor(cursor)),
        None => place(params.from.as_deref(), params.after.as_deref())?,
    };
    let with_ordinals = params.ordinals.unwrap_or_default();
    let subscribed = state.subscriptions.begin(params.name.as_deref()).ok_or_else(|| {
        let most = state.config.subscriptions;
        let message = format!("there are {most} subscriptions already, which is the limit");
        Problem::new("server_overloaded", message)
    })?;
    let subscription =
        state.store.subscribe(Subscribe { query: query.clone(), from, with_ordinals }).await?;
    let (chunks, taken) = mpsc::channel(1);
    let writer = Writer { state, caller, query, subscribed, chunks, text: Vec::new() };
    tokio::spawn(writer.run(subscription));
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, Extension(LongLived), Body::new(Taken(taken))).into_response())
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<Cursor>, Problem> {
    let value = headers.get("last-event-id").filter(|value| !value.is_empty());
    let parse = |value: &HeaderValue| {
        // What is no text is no cursor, and is refused as that.
        let text = value.to_str().unwrap_or("?");
        Ok::<Cursor, Problem>(text.parse()?)
    };
    value.map(parse).transpose()
}

/// What the connection takes of a subscription.
struct Taken(mpsc::Receiver<Bytes>);

impl http_body::Body for Taken {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = self.get_mut().0.poll_recv(context);
        chunk.map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}

/// The client left, or takes nothing: nobody is to be told.
struct Left;

struct Writer {
    state: Arc<State>,
    caller: Caller,
    query: Query,
    subscribed: Subscribed,
    chunks: mpsc::Sender<Bytes>,
    text: Vec<u8>,
}

impl Writer {
    async fn run(mut self, mut subscription: DynSubscription) {
        _ = self.write_all(&mut subscription).await;
    }

    async fn write_all(&mut self, subscription: &mut DynSubscription) -> Result<(), Left> {
        let (state, chunks) = (self.state.clone(), self.chunks.clone());
        let mut closes = std::pin::pin!(state.closed());
        let (caller, query) = (self.caller.clone(), self.query.clone());
        let mut lost = std::pin::pin!(caller.loses(&query));
        loop {
            tokio::select! {
                next = subscription.next() => match next {
                    Ok(delivery) => self.deliver(delivery)?,
                    Err(error) => return self.end(&error.into()).await,
                },
                () = tokio::time::sleep(state.config.heartbeat) => {
                    // The id alone moves the place to resume from, past what was not wanted.
                    if let Err(error) = subscription.advance().await {
                        return self.end(&error.into()).await;
                    }
                    let cursor = subscription.cursor();
                    self.text.extend_from_slice(format!(": alive\nid: {cursor}\n\n").as_bytes());
                }
                denied = lost.as_mut() => return self.end(&denied.into()).await,
                () = closes.as_mut() => {
                    let closing = Problem::new("server_closing", "the server is shutting down");
                    return self.end(&closing).await;
                }
                () = chunks.closed() => return Err(Left),
            }
            while self.text.len() < CHUNK
                && let Some(delivery) = subscription.ready()
            {
                self.deliver(delivery)?;
            }
            self.hand_on().await?;
        }
    }

    fn deliver(&mut self, delivery: Delivery) -> Result<(), Left> {
        match delivery {
            Delivery::Event(event, cursor) => {
                self.subscribed.is_at(event.position());
                let mut json = Vec::new();
                event::write(&event, &mut json).map_err(|_| Left)?;
                self.message(None, Some(cursor), &json);
            }
            Delivery::CaughtUp(cursor) => {
                self.subscribed.is_caught_up();
                let json = json!({"cursor": cursor.to_string()}).to_string();
                self.message(Some("caught_up"), Some(cursor), json.as_bytes());
            }
        }
        Ok(())
    }

    async fn end(&mut self, problem: &Problem) -> Result<(), Left> {
        self.message(Some("problem"), None, problem.to_json().as_bytes());
        self.hand_on().await
    }

    /// Lays out a message. JSON keeps its meaning where its lines are told apart another way.
    fn message(&mut self, kind: Option<&str>, cursor: Option<Cursor>, json: &[u8]) {
        if let Some(kind) = kind {
            self.text.extend_from_slice(format!("event: {kind}\n").as_bytes());
        }
        if let Some(cursor) = cursor {
            self.text.extend_from_slice(format!("id: {cursor}\n").as_bytes());
        }
        for line in json.split(|byte| [b'\n', b'\r'].contains(byte)) {
            self.text.extend_from_slice(b"data: ");
            self.text.extend_from_slice(line);
            self.text.push(b'\n');
        }
        self.text.push(b'\n');
    }

    async fn hand_on(&mut self) -> Result<(), Left> {
        let chunk = Bytes::from(std::mem::take(&mut self.text));
        let sent = self.chunks.send_timeout(chunk, self.state.config.write_time).await;
        sent.map_err(|_| Left)
    }
}
