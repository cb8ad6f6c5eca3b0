//! Subscriptions as server-sent events.
//!
//! A [`Feed`] gives the parts through its bounded channel, already as text. So a client that takes
//! nothing holds one page of events and two parts; after `limits.write_time` its subscription ends.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State as SharedState;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use leftfold_api::{Cursor, Point, Query, Start, Subscribe};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::event_stream::{closing, event_stream, problem_message, write_message, write_problem};
use super::extract::{QueryParams, RequestCaller};
use super::json::event;
use super::place::place;
use super::problem::Problem;
use crate::limits::{PageError, keep};
use crate::state::State;
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
        Ok(part) => keep(text_of_part(&part), part.memory),
        Err(end) => text_of_end(end),
    });
    Ok(event_stream(texts))
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

/// Returns the problem of a subscription beyond the limit.
pub(super) fn too_many(most: usize) -> Problem {
    let message = format!("{most} subscriptions are running, which is the limit");
    Problem::new("server_overloaded", message)
}

fn problem_of_start(error: SubscribeError) -> Problem {
    match error {
        SubscribeError::Full(most) => too_many(most),
        SubscribeError::NoMemory => PageError::Full.into(),
        SubscribeError::Refused(refusal) => refusal.into(),
        SubscribeError::Store(error) => error.into(),
    }
}

fn text_of_part(part: &Part) -> Bytes {
    let mut text = Vec::new();
    let mut json = Vec::new();
    for (event, cursor) in &part.events {
        json.clear();
        if let Err(error) = event::write(event, &mut json) {
            let problem = Problem::new("internal_error", error.to_string());
            write_problem(&mut text, &problem);
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
        End::Full => PageError::Full.into(),
        End::Closing => closing(),
    };
    problem_message(&problem)
}
