//! Streams and their retention.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as SharedState;
use axum::http::StatusCode;
use leftfold_api::{EventStore, Streams};
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{JsonBody, PathParams, QueryParams, RequestCaller};
use super::json::answer::{StreamAnswer, StreamsAnswer};
use super::json::request::{StreamRetention, expected};
use super::problem::Problem;
use crate::access::Scope;
use crate::state::State;

/// Streams of a page, where the request does not say how many.
const PAGE: usize = 100;

/// Which streams.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StreamsParams {
    /// Only this category's.
    category: Option<String>,
    /// Only those that began after this cursor: that of the page before.
    after: Option<String>,
    /// Whether streams of bookkeeping are listed too: the store's own and those of reactors.
    system: Option<bool>,
    /// The most streams of the page; 100 if not given.
    #[param(minimum = 1)]
    limit: Option<usize>,
}

/// How a stream is deleted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteParams {
    /// The expected state of the stream: `any`, `no-stream`, `exists`, or its last version.
    expected: Option<String>,
    /// Close the stream for ever: it accepts no further events.
    tombstone: Option<bool>,
}

/// List the streams, in the order in which they began.
#[utoipa::path(
    get, path = "/v1/streams", tag = "streams", operation_id = "list_streams",
    params(StreamsParams),
    responses((status = 200, description = "A page of streams", body = StreamsAnswer))
)]
pub(super) async fn list(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    QueryParams(params): QueryParams<StreamsParams>,
) -> Result<Json<StreamsAnswer>, Problem> {
    caller.may_list(params.category.as_deref())?;
    let limit = params.limit.unwrap_or(PAGE);
    if limit == 0 {
        return Err(Problem::new("limit_invalid", "a page of 0 streams: ask for at least 1"));
    }
    let after = params.after.as_deref().map(str::parse).transpose()?;
    let (category, system) = (params.category, params.system.unwrap_or(false));
    let page = state.store.streams(Streams { category, system, after, limit }).await?;
    let streams = page.streams.into_iter().map(StreamAnswer::from).collect();
    Ok(Json(StreamsAnswer { streams, cursor: page.cursor.to_string(), more: page.more }))
}

/// Describe a stream.
#[utoipa::path(
    get, path = "/v1/streams/{stream}", tag = "streams", operation_id = "describe_stream",
    params(("stream" = String, Path, description = "The stream", min_length = 1, example = "order-1")),
    responses((status = 200, description = "The stream", body = StreamAnswer))
)]
pub(super) async fn describe(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(stream): PathParams<String>,
) -> Result<Json<StreamAnswer>, Problem> {
    caller.may_read_stream(&stream)?;
    let info = state.store.stream(&stream).await?;
    let unknown = || Problem::new("stream_unknown", format!("stream {stream} has no events"));
    Ok(Json(info.ok_or_else(unknown)?.into()))
}

/// Set the retention of a stream; it replaces the retention that was set before.
#[utoipa::path(
    put, path = "/v1/streams/{stream}/retention", tag = "streams", operation_id = "set_retention",
    params(("stream" = String, Path, description = "The stream", min_length = 1, example = "order-1")),
    request_body = StreamRetention,
    responses((status = 204, description = "Set"))
)]
pub(super) async fn set_retention(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(stream): PathParams<String>,
    body: JsonBody<StreamRetention>,
) -> Result<StatusCode, Problem> {
    let change = caller.may_manage(Scope::Stream(&stream), "set retention")?;
    change.make(state.store.set_retention(&stream, body.content.retention())).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delete a stream's events; version numbers continue. With a tombstone, close the stream for ever.
#[utoipa::path(
    delete, path = "/v1/streams/{stream}", tag = "streams", operation_id = "delete_stream",
    params(("stream" = String, Path, description = "The stream", min_length = 1, example = "order-1"),
           DeleteParams),
    responses((status = 204, description = "Deleted"))
)]
pub(super) async fn delete(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(stream): PathParams<String>,
    QueryParams(params): QueryParams<DeleteParams>,
) -> Result<StatusCode, Problem> {
    let tombstone = params.tombstone.unwrap_or_default();
    let does = if tombstone { "tombstone" } else { "delete" };
    let change = caller.may_manage(Scope::Stream(&stream), does)?;
    let delete = async {
        let expected = expected(params.expected.as_deref())?;
        match tombstone {
            true => state.store.tombstone_stream(&stream, expected).await?,
            false => state.store.delete_stream(&stream, expected).await?,
        }
        Ok::<_, Problem>(())
    };
    change.make(delete).await?;
    Ok(StatusCode::NO_CONTENT)
}
