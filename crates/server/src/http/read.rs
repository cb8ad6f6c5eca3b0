//! Reads.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as SharedState;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use leftfold_api::{Direction, EventStore, Point, Query, Read, ReadLevel, Recorded};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::extract::{JsonBody, PathParams, QueryParams, RequestCaller, accepts};
use super::json::answer::OrdinalAnswer;
use super::json::event::{self, Event};
use super::page::page_body;
use super::place::place;
use super::problem::Problem;
use crate::access::Caller;
use crate::state::State;

/// Events of a page, where the request does not say how many.
const PAGE: usize = 100;

/// The direction of a read.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum DirectionParam {
    /// From old to new.
    #[default]
    Forward,
    /// From new to old.
    Backward,
}

/// How current the answer must be, on a node of a cluster.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum LevelParam {
    /// The owner of the partition answers.
    #[default]
    Committed,
    /// The copy of the node that is asked answers, which may lag.
    Local,
    /// The owner answers after a barrier in the log that begins after the request.
    Linearizable,
}

impl From<LevelParam> for ReadLevel {
    fn from(level: LevelParam) -> Self {
        match level {
            LevelParam::Committed => ReadLevel::Committed,
            LevelParam::Local => ReadLevel::Local,
            LevelParam::Linearizable => ReadLevel::Linearizable,
        }
    }
}

/// The parameters of a read of one event.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventReadParams {
    /// How current the answer must be, on a node of a cluster; `committed` if not given.
    #[param(inline)]
    level: Option<LevelParam>,
}

/// The parameters of a read.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
#[schema(as = ReadRequest)]
pub(super) struct ReadParams {
    /// The query; all events if not given.
    #[param(example = "category:order type:OrderPlaced", max_length = 65536)]
    #[schema(example = "category:order type:OrderPlaced", max_length = 65536)]
    query: Option<String>,
    /// Begin here, with what is there: `cursor:...`, `position:17`, `version:3`, `ordinal:3` or
    /// `committed:2026-03-01`.
    from: Option<String>,
    /// Begin after this point, without what is there.
    after: Option<String>,
    /// The direction.
    #[param(inline)]
    #[schema(inline)]
    direction: Option<DirectionParam>,
    /// The most events of the page; 100 if not given.
    #[param(minimum = 1)]
    #[schema(minimum = 1)]
    limit: Option<usize>,
    /// A cursor: wait until the store has reached it.
    at_least: Option<String>,
    /// How current the answer must be, on a node of a cluster; `committed` if not given.
    #[param(inline)]
    #[schema(inline)]
    level: Option<LevelParam>,
    /// Whether each event comes with its ordinal in the query, which must be one stream, one named
    /// index or one partition of a named index.
    ordinals: Option<bool>,
}

/// The parameters of a read of one stream.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StreamReadParams {
    /// Begin here, with what is there: `cursor:...`, `position:17`, `version:3` or
    /// `committed:2026-03-01`.
    from: Option<String>,
    /// Begin after this point, without what is there.
    after: Option<String>,
    /// The direction.
    #[param(inline)]
    direction: Option<DirectionParam>,
    /// The most events of the page; 100 if not given.
    #[param(minimum = 1)]
    limit: Option<usize>,
    /// A cursor: wait until the store has reached it.
    at_least: Option<String>,
    /// How current the answer must be, on a node of a cluster; `committed` if not given.
    #[param(inline)]
    level: Option<LevelParam>,
    /// Whether each event comes with its ordinal in the stream: its version.
    ordinals: Option<bool>,
}

/// What an ordinal is asked of, and where.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OrdinalParams {
    /// One stream, one named index without partitions, or one partition of a named index.
    #[param(example = "partition:orders/3", max_length = 65536)]
    query: String,
    /// The point where the read would begin, itself included: `cursor:...`, `position:17`,
    /// `version:3`, `ordinal:3` or `committed:2026-03-01`. Not given: the oldest event.
    from: Option<String>,
    /// The point where the read would begin, itself excluded.
    after: Option<String>,
}

/// One page of the events of a query.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is written piece by piece; this is its shape")]
pub(super) struct Page<'a> {
    /// The cursor to continue from, as `after`.
    #[schema(pattern = "^([0-9a-f]{2}){13,}$")]
    cursor: String,
    /// Whether there may be more. A page may have no events and yet more may follow: it looks at a
    /// bounded number of them.
    more: bool,
    /// The events, in the direction of the read.
    events: Vec<Event<'a>>,
}

impl From<StreamReadParams> for ReadParams {
    fn from(params: StreamReadParams) -> Self {
        let StreamReadParams { from, after, direction, limit, at_least, level, ordinals } = params;
        ReadParams { query: None, from, after, direction, limit, at_least, level, ordinals }
    }
}

async fn page(
    state: &State,
    caller: &Caller,
    query: Query,
    params: &ReadParams,
) -> Result<Response, Problem> {
    let permit = caller.authorize_read(&query)?;
    let read = Read {
        max_bytes: usize::MAX,
        with_ordinals: params.ordinals.unwrap_or_default(),
        query: permit.query().clone(),
        from: place(params.from.as_deref(), params.after.as_deref())?,
        direction: match params.direction.unwrap_or_default() {
            DirectionParam::Forward => Direction::Forward,
            DirectionParam::Backward => Direction::Backward,
        },
        limit: params.limit.unwrap_or(PAGE),
        at_least: params.at_least.as_deref().map(str::parse).transpose()?,
        level: params.level.unwrap_or_default().into(),
    };
    let (page, memory) = state.read_page(&caller.client(), read).await?;
    permit.admit(&page.events)?;
    state.metrics.read(page.events.len());
    page_body(page, memory)
}

/// Read a page of the events of a query, forward or backward.
#[utoipa::path(
    get, path = "/v1/events", tag = "events", operation_id = "read", params(ReadParams),
    responses((status = 200, description = "A page", body = inline(Page<'_>)))
)]
pub(super) async fn read(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    QueryParams(params): QueryParams<ReadParams>,
) -> Result<Response, Problem> {
    let query = params.query.as_deref().unwrap_or("*").parse()?;
    page(&state, &caller, query, &params).await
}

/// Read a page of the events of a query, as `GET /v1/events` does: for a query that is too long for a
/// URL. It changes nothing, and takes the same fields as the parameters there.
#[utoipa::path(
    post, path = "/v1/events/read", tag = "events", operation_id = "read_by_body",
    request_body = ReadParams,
    responses((status = 200, description = "A page", body = inline(Page<'_>)))
)]
pub(super) async fn read_by_body(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    body: JsonBody<ReadParams>,
) -> Result<Response, Problem> {
    let query = body.content.query.as_deref().unwrap_or("*").parse()?;
    page(&state, &caller, query, &body.content).await
}

/// Read a page of a stream. A stream without events yields an empty page.
#[utoipa::path(
    get, path = "/v1/streams/{stream}/events", tag = "events", operation_id = "read_stream",
    params(("stream" = String, Path, description = "The stream", min_length = 1, example = "order-1"),
           StreamReadParams),
    responses((status = 200, description = "A page", body = inline(Page<'_>)))
)]
pub(super) async fn read_stream(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(stream): PathParams<String>,
    QueryParams(params): QueryParams<StreamReadParams>,
) -> Result<Response, Problem> {
    page(&state, &caller, Query::stream(stream), &params.into()).await
}

/// Look up an ordinal: that of the first event that a forward read from this point would yield, or
/// the number of the query's events if there is none. Events that retention hides count.
#[utoipa::path(
    get, path = "/v1/ordinal", tag = "events", operation_id = "ordinal", params(OrdinalParams),
    responses((status = 200, description = "The ordinal", body = OrdinalAnswer))
)]
pub(super) async fn ordinal(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    QueryParams(params): QueryParams<OrdinalParams>,
) -> Result<Json<OrdinalAnswer>, Problem> {
    let query: Query = params.query.parse()?;
    let permit = caller.authorize_read(&query)?;
    let from = place(params.from.as_deref(), params.after.as_deref())?;
    let ordinal = state.store.ordinal(permit.query().clone(), from).await?;
    permit.check_index()?;
    Ok(Json(OrdinalAnswer { ordinal }))
}

/// Read the event at a position.
#[utoipa::path(
    get, path = "/v1/events/{position}", tag = "events", operation_id = "read_event",
    params(("position" = u64, Path, description = "Its position, from 1"), EventReadParams),
    responses((status = 200, description = "The event, or its bare bytes", content(
        (Event<'_> = "application/json"), (Vec<u8> = "application/octet-stream"),
    )))
)]
pub(super) async fn read_event(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    headers: HeaderMap,
    PathParams(position): PathParams<u64>,
    QueryParams(params): QueryParams<EventReadParams>,
) -> Result<Response, Problem> {
    let unknown = || {
        Problem::new(
            "event_unknown",
            format!("there is no event to be read at position {position}"),
        )
    };
    // Backward, so that a position ahead of the store is no error of its own.
    let read = Read::backward(Query::System).including(Point::Position(position)).limit(1);
    let read = read.level(params.level.unwrap_or_default().into());
    let found = state.store.read(read).await?.events.into_iter().next();
    let event = found.filter(|event| event.position() == position).ok_or_else(unknown)?;
    caller.may_see(&event).map_err(|_| unknown())?;
    one(&event, &headers)
}

/// Read the event of a version of a stream.
#[utoipa::path(
    get, path = "/v1/streams/{stream}/events/{version}", tag = "events",
    operation_id = "read_version",
    params(("stream" = String, Path, description = "The stream", min_length = 1, example = "order-1"),
           ("version" = u64, Path, description = "Its version, from 0"), EventReadParams),
    responses((status = 200, description = "The event, or its bare bytes", content(
        (Event<'_> = "application/json"), (Vec<u8> = "application/octet-stream"),
    )))
)]
pub(super) async fn read_version(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    headers: HeaderMap,
    PathParams((stream, version)): PathParams<(String, u64)>,
    QueryParams(params): QueryParams<EventReadParams>,
) -> Result<Response, Problem> {
    caller.may_read_stream(&stream)?;
    let read =
        Read::backward(Query::stream(stream.clone())).including(Point::Version(version)).limit(1);
    let read = read.level(params.level.unwrap_or_default().into());
    let found = state.store.read(read).await?.events.into_iter().next();
    let event = found.filter(|event| event.version() == version).ok_or_else(|| {
        let message =
            format!("there is no event to be read of version {version} in stream {stream}");
        Problem::new("event_unknown", message)
    })?;
    one(&event, &headers)
}

/// Returns an event as JSON, or its bare bytes if the client names their media type.
fn one(recorded: &Recorded, headers: &HeaderMap) -> Result<Response, Problem> {
    const RAW: &str = "application/octet-stream";
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    if accepted.contains(RAW) && accepts(headers, RAW) {
        return Ok(raw(recorded));
    }
    if !accepts(headers, "application/json") {
        let message = "an event is application/json or, its bare bytes, application/octet-stream";
        return Err(Problem::new("not_acceptable", message));
    }
    let mut body = Vec::new();
    event::write(recorded, &mut body)
        .map_err(|error| Problem::new("internal_error", error.to_string()))?;
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

/// Returns the bytes alone; the other fields are headers. Never as the type that the event claims
/// to be: a browser would run what a client stored.
fn raw(event: &Recorded) -> Response {
    let text = |text: &str| {
        let encoded = utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        HeaderValue::try_from(encoded).unwrap_or(HeaderValue::from_static(""))
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff")),
        (HeaderName::from_static("leftfold-position"), event.position().into()),
        (HeaderName::from_static("leftfold-stream"), text(event.stream())),
        (HeaderName::from_static("leftfold-version"), event.version().into()),
        (HeaderName::from_static("leftfold-type"), text(event.event_type())),
        (HeaderName::from_static("leftfold-content-type"), text(event.content_type())),
    ];
    (headers, event.data()).into_response()
}
