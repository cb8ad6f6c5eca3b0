//! Streams, and what is kept of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use leftfold_api::{EventStore, Streams};
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{Body, By, Named, Params};
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
    /// Only those that began after this cursor: the last page's.
    after: Option<String>,
    /// At most so many; 100 if not given.
    #[param(minimum = 1)]
    limit: Option<usize>,
}

/// How a stream is deleted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteParams {
    /// Where it is expected: `any`, `no-stream`, `exists`, or its last version.
    expected: Option<String>,
    /// Close it for ever: it takes no more events.
    tombstone: Option<bool>,
}

/// List the streams, in the order in which they began.
#[utoipa::path(
    get, path = "/v1/streams", tag = "streams", operation_id = "list_streams",
    params(StreamsParams),
    responses((status = 200, description = "A page of streams", body = StreamsAnswer))
)]
pub(super) async fn list(
    Shared(state): Shared<Arc<State>>,
    By(caller): By,
    Params(params): Params<StreamsParams>,
) -> Result<Json<StreamsAnswer>, Problem> {
    caller.may_list(params.category.as_deref())?;
    let limit = params.limit.unwrap_or(PAGE);
    if limit == 0 {
        return Err(Problem::new("limit_invalid", "a page of 0 streams: ask for at least 1"));
    }
    let after = params.after.as_deref().map(str::parse).transpose()?;
    let page = state.store.streams(Streams { category: params.category, after, limit }).await?;
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
    Shared(state): Shared<Arc<State>>,
    By(caller): By,
    Named(stream): Named<String>,
) -> Result<Json<StreamAnswer>, Problem> {
    caller.may_read_stream(&stream)?;
    let info = state.store.stream(&stream).await?;
    let unknown = || Problem::new("stream_unknown", format!("stream {stream} has no events"));
    Ok(Json(info.ok_or_else(unknown)?.into()))
}

/// Say what is kept of a stream, in the place of what was said before.
#[utoipa::path(
    put, path = "/v1/streams/{stream}/retention", tag = "streams", operation_id = "set_retention",
    params(("stream" = String, Path, description = "The stream", min_length = 1, example = "order-1")),
    request_body = StreamRetention,
    responses((status = 204, description = "It holds from now on"))
)]
pub(super) async fn set_retention(
    Shared(state): Shared<Arc<State>>,
    By(caller): By,
    Named(stream): Named<String>,
    body: Body<StreamRetention>,
) -> Result<StatusCode, Problem> {
    caller.may_manage(Scope::Stream(&stream), "set retention")?;
    state.store.set_retention(&stream, body.content.retention()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Delete a stream's events; it goes on counting. Or close it for ever, with a tombstone.
#[utoipa::path(
    delete, path = "/v1/streams/{stream}", tag = "streams", operation_id = "delete_stream",
    params(("stream" = String, Path, description = "The stream", min_length = 1, example = "order-1"),
           DeleteParams),
    responses((status = 204, description = "Deleted"))
)]
pub(super) async fn delete(
    Shared(state): Shared<Arc<State>>,
    By(caller): By,
    Named(stream): Named<String>,
    Params(params): Params<DeleteParams>,
) -> Result<StatusCode, Problem> {
    let tombstone = params.tombstone.unwrap_or_default();
    let does = if tombstone { "tombstone" } else { "delete" };
    caller.may_manage(Scope::Stream(&stream), does)?;
    let expected = expected(params.expected.as_deref())?;
    if tombstone {
        state.store.tombstone_stream(&stream, expected).await?;
    } else {
        state.store.delete_stream(&stream, expected).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
