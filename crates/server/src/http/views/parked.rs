//! The parked events of views: listed, retried and skipped.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as SharedState;
use leftfold_api::Query;
use leftfold_views::ListParked;

use super::answer::Refused;
use super::definitions::{changed, on_thread};
use super::shapes::{ParkedAnswer, ParkedParams, RetryParams, SkipParams, ViewChanged};
use crate::access::Scope;
use crate::http::Problem;
use crate::http::extract::{PathParams, QueryParams, RequestCaller};
use crate::state::State;
use crate::views::ServedViews;

/// List the parked events of a view, by position: the first 1,000. Who may ask the view may list them.
#[utoipa::path(
    get, path = "/v1/views/{view}/parked", tag = "views", operation_id = "list_parked",
    params(("view" = String, Path, description = "Its name", min_length = 1), ParkedParams),
    responses((status = 200, description = "The events", body = ParkedAnswer))
)]
pub(super) async fn list_parked(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(name): PathParams<String>,
    QueryParams(params): QueryParams<ParkedParams>,
) -> Result<Json<ParkedAnswer>, Problem> {
    caller.is_known()?;
    let of_thread = caller.clone();
    let list = async move |views: &ServedViews| {
        let list = ListParked { view: &name, all: params.all, at_least: None };
        let admit = |_: &str, query: &Query| Ok::<_, Refused>(of_thread.may_ask_view(query)?);
        Ok(views.list_parked(list, admit).await)
    };
    let events = on_thread(&state, list).await?;
    events.map(|events| Json(ParkedAnswer { events })).map_err(|refused| refused.problem(&caller))
}

/// Try the parked events of a view again, each stream until one of its events fails. It is done when the view has come
/// to the cursor.
#[utoipa::path(
    post, path = "/v1/views/{view}/retry", tag = "views", operation_id = "retry_parked",
    params(("view" = String, Path, description = "Its name", min_length = 1), RetryParams),
    responses((status = 200, description = "Requested", body = ViewChanged))
)]
pub(super) async fn retry_parked(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(name): PathParams<String>,
    QueryParams(params): QueryParams<RetryParams>,
) -> Result<Json<ViewChanged>, Problem> {
    let does = format!("retry the parked events of a view: {name}");
    let change = caller.may_manage(Scope::Views, &does)?;
    let of_thread = name.clone();
    let retry =
        async move |views: &ServedViews| views.retry(&of_thread, params.stream.as_deref()).await;
    let appended = change.make(on_thread(&state, retry)).await?;
    Ok(changed(name, &appended))
}

/// Leave a parked event of a view out; those that wait behind it follow. It is done when the view has come to the
/// cursor.
#[utoipa::path(
    post, path = "/v1/views/{view}/skip", tag = "views", operation_id = "skip_parked",
    params(("view" = String, Path, description = "Its name", min_length = 1), SkipParams),
    responses((status = 200, description = "Requested", body = ViewChanged))
)]
pub(super) async fn skip_parked(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(name): PathParams<String>,
    QueryParams(SkipParams { position, stream }): QueryParams<SkipParams>,
) -> Result<Json<ViewChanged>, Problem> {
    let does = format!("skip the parked event at position {position} of a view: {name}");
    let change = caller.may_manage(Scope::Views, &does)?;
    let of_thread = name.clone();
    let skip =
        async move |views: &ServedViews| views.skip(&of_thread, position, stream.as_deref()).await;
    let appended = change.make(on_thread(&state, skip)).await?;
    Ok(changed(name, &appended))
}
