//! Subscriptions as server-sent events.
//!
//! A [`Feed`] gives the parts through its bounded channel, already as text. So a client that takes
//! nothing holds one page of events and two parts; after `limits.write_time` its subscription ends.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State as SharedState;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use http_body::Frame;
use leftfold_api::{Cursor, Point, Query, Start, Subscribe};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;
use utoipa::IntoParams;

use super::extract::{QueryParams, RequestCaller};
use super::json::event;
use super::place::place;
use super::problem::Problem;
use crate::state::{LongLived, State};
use crate::subscriptions::{End, Feed, FeedOptions, Part, SubscribeError};

/// Bytes of the events that are written at once. Their JSON is several times as long where events
/// are small.
const PART_BYTES: usize = 16 << 10;

/// The parameters of a subscription.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SubscribeParams {
    /// The query; all events if not given.
    #[param(example = "category:order", max_length = 65536)]
    query: Option<String>,
    /// Begin here, with what is there: `cursor:...`, `position:17`, `version:3`, `ordinal:3` or
    /// `committed:2026-03-01`.
    from: Option<String>,
    /// Begin after this point, without what is there.
    after: Option<String>,
    /// Whether each event comes with its ordinal in the query, which must be one stream, one named
    /// index or one partition of a named index.
    ordinals: Option<bool>,
    /// A name by which metrics tell this subscription from others.
    #[param(max_length = 100)]
    name: Option<String>,
}

/// Deliver the events of a query, past and future, until the client disconnects. Each event is a
/// message whose id is a cursor; `Last-Event-ID` resumes exactly after it. A message of the type
/// `caught_up` tells that the following events are new; one of the type `problem` is the last.
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
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    headers: HeaderMap,
    QueryParams(params): QueryParams<SubscribeParams>,
) -> Result<Response, Problem> {
    let query: Query = params.query.as_deref().unwrap_or("*").parse()?;
    let from = match last_event_id(&headers)? {
        Some(cursor) => Start::Excluding(Point::Cursor(cursor)),
        None => place(params.from.as_deref(), params.after.as_deref())?,
    };
    let options = FeedOptions { name: params.name.as_deref(), part_bytes: PART_BYTES };
    let with_ordinals = params.ordinals.unwrap_or_default();
    let subscribe = Subscribe { query, from, with_ordinals };
    let feed = Feed::start(state, caller, subscribe, options).await.map_err(problem_of_start)?;
    let texts = feed.into_channel(|next| match next {
        Ok(part) => text_of_part(&part),
        Err(end) => text_of_end(end),
    });
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // A proxy must not collect events before it passes them on.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((headers, Extension(LongLived), Body::new(Texts(texts))).into_response())
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<Cursor>, Problem> {
    let value = headers.get("last-event-id").filter(|value| !value.is_empty());
    let parse = |value: &HeaderValue| {
        // Bytes that are not text are refused as an invalid cursor.
        let text = value.to_str().unwrap_or("?");
        Ok::<Cursor, Problem>(text.parse()?)
    };
    value.map(parse).transpose()
}

fn problem_of_start(error: SubscribeError) -> Problem {
    match error {
        SubscribeError::Full(most) => {
            let message = format!("{most} subscriptions are running, which is the limit");
            Problem::new("server_overloaded", message)
        }
        SubscribeError::Refused(refusal) => refusal.into(),
        SubscribeError::Store(error) => error.into(),
    }
}

/// The body of the answer: each text as its client takes it.
struct Texts(mpsc::Receiver<Bytes>);

impl http_body::Body for Texts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let text = self.get_mut().0.poll_recv(context);
        text.map(|text| text.map(|text| Ok(Frame::data(text))))
    }
}

fn text_of_part(part: &Part) -> Bytes {
    let mut text = Vec::new();
    let mut json = Vec::new();
    for (event, cursor) in &part.events {
        json.clear();
        if let Err(error) = event::write(event, &mut json) {
            let problem = Problem::new("internal_error", error.to_string());
            write_message(&mut text, Some("problem"), None, problem.to_json().as_bytes());
            return text.into();
        }
        write_message(&mut text, None, Some(cursor), &json);
    }
    let cursor = &part.cursor;
    if part.caught_up {
        let json = json!({"cursor": cursor.to_string()}).to_string();
        write_message(&mut text, Some("caught_up"), Some(cursor), json.as_bytes());
    }
    if part.is_heartbeat() {
        // The id alone moves the cursor to resume from, past events of other queries.
        text.extend_from_slice(format!(": alive\nid: {cursor}\n\n").as_bytes());
    }
    text.into()
}

fn text_of_end(end: End) -> Bytes {
    let problem: Problem = match end {
        End::Store(error) => error.into(),
        End::Denial(denied) => denied.into(),
        End::Closing => Problem::new("server_closing", "the server is shutting down"),
    };
    let mut text = Vec::new();
    write_message(&mut text, Some("problem"), None, problem.to_json().as_bytes());
    text.into()
}

/// Writes a message. JSON keeps its meaning where its lines are told apart another way.
fn write_message(text: &mut Vec<u8>, kind: Option<&str>, cursor: Option<&Cursor>, json: &[u8]) {
    if let Some(kind) = kind {
        text.extend_from_slice(format!("event: {kind}\n").as_bytes());
    }
    if let Some(cursor) = cursor {
        text.extend_from_slice(format!("id: {cursor}\n").as_bytes());
    }
    for line in json.split(|byte| [b'\n', b'\r'].contains(byte)) {
        text.extend_from_slice(b"data: ");
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    text.push(b'\n');
}
