//! Appends.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State as SharedState;
use axum::http::StatusCode;
use leftfold_api::{Append, EventStore, names};

use super::extract::{AppendCaller, JsonBody, PathParams};
use super::json::answer::AppendedAnswer;
use super::json::request::{AppendRequest, MoveTo, StreamAppendRequest};
use super::problem::Problem;
use crate::access::Caller;
use crate::state::State;

type AppendResult = Result<(StatusCode, Json<AppendedAnswer>), Problem>;

async fn write(state: &State, caller: &Caller, append: Append) -> AppendResult {
    let (append, answers) = caller.authorize_append(append)?.into_parts();
    let (started, events) = (Instant::now(), append.events().len());
    let appended = state.store.append(append).await;
    state.metrics.appended(started, events, appended.is_ok());
    let appended = answers.translate(appended)?;
    let status = if appended.repeated { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(appended.into())))
}

/// Append events to one or many streams, under conditions, and move checkpoints, atomically. The
/// answer comes when the append is durable. A repeat with the same event ids gets the first answer.
#[utoipa::path(
    post, path = "/v1/events", tag = "events", operation_id = "append",
    request_body = AppendRequest,
    responses(
        (status = 201, description = "Written", body = AppendedAnswer),
        (status = 200, description = "Written before: the first answer", body = AppendedAnswer),
    )
)]
pub(super) async fn append(
    SharedState(state): SharedState<Arc<State>>,
    AppendCaller(caller): AppendCaller,
    body: JsonBody<AppendRequest>,
) -> AppendResult {
    let append = body.content.append()?;
    write(&state, &caller, append).await
}

/// Append events to one stream, as `POST /v1/events` does.
#[utoipa::path(
    post, path = "/v1/streams/{stream}/events", tag = "events", operation_id = "append_to_stream",
    params(("stream" = String, Path, description = "The stream", min_length = 1, example = "order-1")),
    request_body = StreamAppendRequest,
    responses(
        (status = 201, description = "Written", body = AppendedAnswer),
        (status = 200, description = "Written before: the first answer", body = AppendedAnswer),
    )
)]
pub(super) async fn append_to_stream(
    SharedState(state): SharedState<Arc<State>>,
    AppendCaller(caller): AppendCaller,
    PathParams(stream): PathParams<String>,
    mut body: JsonBody<StreamAppendRequest>,
) -> AppendResult {
    // Before each event gets a copy of it.
    names::check_new("stream", &stream)?;
    body.reserve(&state, body.content.name_bytes(&stream))?;
    let append = body.content.append(&stream)?;
    write(&state, &caller, append).await
}

/// Move a checkpoint, if its position is the expected one.
#[utoipa::path(
    put, path = "/v1/checkpoints/{checkpoint}", tag = "checkpoints", operation_id = "move_checkpoint",
    params(("checkpoint" = String, Path, description = "The checkpoint", min_length = 1)),
    request_body = MoveTo,
    responses(
        (status = 201, description = "Moved", body = AppendedAnswer),
    )
)]
pub(super) async fn move_checkpoint(
    SharedState(state): SharedState<Arc<State>>,
    AppendCaller(caller): AppendCaller,
    PathParams(name): PathParams<String>,
    body: JsonBody<MoveTo>,
) -> AppendResult {
    let append = Append::new().checkpoint(body.content.of(name).checkpoint()?);
    write(&state, &caller, append).await
}
