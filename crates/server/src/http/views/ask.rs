//! Queries of views.

use std::sync::Arc;

use axum::extract::{FromRequest, Request, State as SharedState};
use axum::http::HeaderMap;
use axum::response::Response;

use super::answer::answer;
use super::shapes::{Ask, AskParams, RowsAnswer};
use crate::http::Problem;
use crate::http::extract::{JsonBody, PathParams, QueryParams, RequestCaller, SqlBody, is_json};
use crate::state::State;

/// Ask the views that a statement names, by their own names or by those of their tables. The answer is JSON, an object
/// a row (`application/x-ndjson`) or `text/csv`, as the client accepts.
#[utoipa::path(
    get, path = "/v1/query", tag = "views", operation_id = "ask", params(Ask),
    responses((status = 200, description = "The rows", body = RowsAnswer))
)]
pub(super) async fn ask(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    headers: HeaderMap,
    QueryParams(ask): QueryParams<Ask>,
) -> Result<Response, Problem> {
    answer(&state, &caller, &headers, None, ask).await
}

/// Ask views, with the statement in a body: as SQL, or as JSON with the fields of the parameters.
#[utoipa::path(
    post, path = "/v1/query", tag = "views", operation_id = "ask_by_body", params(AskParams),
    request_body(content((Ask = "application/json"), (String = "application/sql"))),
    responses((status = 200, description = "The rows", body = RowsAnswer))
)]
pub(super) async fn ask_by_body(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    QueryParams(params): QueryParams<AskParams>,
    request: Request,
) -> Result<Response, Problem> {
    let (headers, ask) = read(request, &state, params).await?;
    answer(&state, &caller, &headers, None, ask).await
}

/// Ask one view. Its tables need no schema.
#[utoipa::path(
    get, path = "/v1/views/{view}/query", tag = "views", operation_id = "ask_view",
    params(("view" = String, Path, description = "Its name", min_length = 1), Ask),
    responses((status = 200, description = "The rows", body = RowsAnswer))
)]
pub(super) async fn ask_view(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(view): PathParams<String>,
    headers: HeaderMap,
    QueryParams(ask): QueryParams<Ask>,
) -> Result<Response, Problem> {
    answer(&state, &caller, &headers, Some(&view), ask).await
}

/// Ask one view, with the statement in a body.
#[utoipa::path(
    post, path = "/v1/views/{view}/query", tag = "views", operation_id = "ask_view_by_body",
    params(("view" = String, Path, description = "Its name", min_length = 1), AskParams),
    request_body(content((Ask = "application/json"), (String = "application/sql"))),
    responses((status = 200, description = "The rows", body = RowsAnswer))
)]
pub(super) async fn ask_view_by_body(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(view): PathParams<String>,
    QueryParams(params): QueryParams<AskParams>,
    request: Request,
) -> Result<Response, Problem> {
    let (headers, ask) = read(request, &state, params).await?;
    answer(&state, &caller, &headers, Some(&view), ask).await
}

/// Reads a query from a body.
async fn read(
    request: Request,
    state: &Arc<State>,
    params: AskParams,
) -> Result<(HeaderMap, Ask), Problem> {
    let headers = request.headers().clone();
    let AskParams { at_least, as_of, timeout_ms } = params;
    if !is_json(&headers) {
        let SqlBody(sql) = SqlBody::from_request(request, state).await?;
        return Ok((headers, Ask { sql, at_least, as_of, timeout_ms }));
    }
    let JsonBody { content, .. } = JsonBody::<Ask>::from_request(request, state).await?;
    if at_least.is_some() || as_of.is_some() || timeout_ms.is_some() {
        let message =
            "at_least, as_of and timeout_ms belong into a body of JSON, and not behind the path";
        return Err(Problem::new("parameter_invalid", message));
    }
    Ok((headers, content))
}
