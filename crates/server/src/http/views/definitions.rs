//! The definitions of views: added, replaced, removed, paused, resumed, reset.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State as SharedState;
use axum::http::StatusCode;
use leftfold_api::{Appended, Cursor, EventStore, Query, Read};
use leftfold_views::{Definition, ViewStart, ViewStatus, ViewsError};
use tokio::runtime::Handle;

use super::answer::patience;
use super::shapes::{FromParams, PlanAnswer, ViewAnswer, ViewChanged, ViewsAnswer, WaitParams};
use crate::access::{Caller, Scope};
use crate::http::Problem;
use crate::http::extract::{PathParams, QueryParams, RequestCaller, SqlBody};
use crate::state::State;
use crate::views::ServedViews;

/// How long a change may take until all runs know it.
const CHANGE_TIME: Duration = Duration::from_secs(30);
/// The name that a view can't have here: it is a path.
const PLAN: &str = "plan";

/// Does work with the views on a thread that may block: SQLite checks definitions there.
pub(super) async fn on_thread<T, W>(state: &Arc<State>, work: W) -> Result<T, Problem>
where
    T: Send + 'static,
    W: AsyncFnOnce(&ServedViews) -> Result<T, ViewsError> + Send + 'static,
{
    state.views.running()?;
    let work = move |state: &State| {
        let views = state.views.running()?;
        let done = async { tokio::time::timeout(CHANGE_TIME, work(views)).await };
        let late = |_| {
            let message = "the views have not taken the change over in time; look at them";
            Problem::new("outcome_unknown", message)
        };
        Ok(Handle::current().block_on(done).map_err(late)??)
    };
    state.inspect(work).await?
}

pub(super) fn changed(view: String, appended: &Appended) -> Json<ViewChanged> {
    Json(ViewChanged { view, cursor: appended.cursor.to_string() })
}

fn parse(text: &str) -> Result<Definition, Problem> {
    Ok(Definition::parse(text).map_err(ViewsError::from)?)
}

/// Returns where a view begins.
async fn start_of(state: &State, query: &Query, from: Option<&str>) -> Result<ViewStart, Problem> {
    match from {
        None | Some("start") => Ok(ViewStart::Beginning),
        Some("now") => Ok(ViewStart::now(&state.store).await?),
        Some(cursor) => {
            let cursor: Cursor = cursor.parse()?;
            // The store refuses the cursor of another one.
            let read = Read::forward(query.clone()).after(cursor.clone()).limit(1);
            state.store.read(read).await?;
            Ok(ViewStart::After(cursor.to_string()))
        }
    }
}

/// Returns whether the caller may see a view: as its manager, or since it may ask it.
fn can_see(caller: &Caller, status: &ViewStatus) -> bool {
    let query = status.query.parse().unwrap_or(Query::System);
    caller.can_ask_view(&query) && caller.can_ask_view(&status.wanted_query)
}

/// Refuses a caller who may not see a view, and says what it may see.
fn may_see(caller: &Caller, status: &ViewStatus) -> Result<(), Problem> {
    let query = status.query.parse().unwrap_or(Query::System);
    caller.may_ask_view(&query)?;
    Ok(caller.may_ask_view(&status.wanted_query)?)
}

/// List the views that the caller may ask.
#[utoipa::path(
    get, path = "/v1/views", tag = "views", operation_id = "list_views",
    responses((status = 200, description = "The views, by name", body = ViewsAnswer))
)]
pub(super) async fn list_views(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
) -> Result<Json<ViewsAnswer>, Problem> {
    caller.is_known()?;
    let mut views = state.views.running()?.list().await;
    views.retain(|status| can_see(&caller, status));
    let answer = |status| ViewAnswer { status, text: None };
    Ok(Json(ViewsAnswer { views: views.into_iter().map(answer).collect() }))
}

/// Add a view. Its tables are filled while it is asked already; `at_least` waits for it.
#[utoipa::path(
    post, path = "/v1/views", tag = "views", operation_id = "add_view", params(FromParams),
    request_body(content = String, description = "The view's file", content_type = "application/sql"),
    responses((status = 201, description = "Added", body = ViewChanged))
)]
pub(super) async fn add_view(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    QueryParams(params): QueryParams<FromParams>,
    SqlBody(text): SqlBody,
) -> Result<(StatusCode, Json<ViewChanged>), Problem> {
    caller.may_look_after(Scope::Views)?;
    let definition = parse(&text)?;
    let name = definition.name().to_owned();
    let change = caller.may_manage(Scope::Views, &format!("add a view: {name}"))?;
    let add = async {
        if name == PLAN {
            let message = format!("a view can't have the name {PLAN}; choose another one");
            return Err(Problem::new("view_invalid", message));
        }
        let start = start_of(&state, definition.query(), params.from.as_deref()).await?;
        on_thread(&state, async move |views: &ServedViews| views.add(&definition, start).await)
            .await
    };
    let appended = change.make(add).await?;
    Ok((StatusCode::CREATED, changed(name, &appended)))
}

/// Say what the file of a view would do, and change nothing.
#[utoipa::path(
    post, path = "/v1/views/plan", tag = "views", operation_id = "plan_view",
    request_body(content = String, description = "The view's file", content_type = "application/sql"),
    responses((status = 200, description = "What it would do", body = PlanAnswer))
)]
pub(super) async fn plan_view(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    SqlBody(text): SqlBody,
) -> Result<Json<PlanAnswer>, Problem> {
    caller.may_look_after(Scope::Views)?;
    let definition = parse(&text)?;
    let plan = async move |views: &ServedViews| views.plan(&definition).await;
    Ok(Json(on_thread(&state, plan).await?.into()))
}

/// Describe a view, with its file. With `at_least`, wait first until it has the events up to a cursor.
#[utoipa::path(
    get, path = "/v1/views/{view}", tag = "views", operation_id = "describe_view",
    params(("view" = String, Path, description = "Its name", min_length = 1), WaitParams),
    responses((status = 200, description = "The view", body = ViewAnswer))
)]
pub(super) async fn describe_view(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(name): PathParams<String>,
    QueryParams(wait): QueryParams<WaitParams>,
) -> Result<Json<ViewAnswer>, Problem> {
    let views = state.views.running()?;
    let found = views.status(&name).await;
    if !found.as_ref().is_ok_and(|status| can_see(&caller, status)) {
        caller.may_know_views()?;
    }
    let mut status = found?;
    may_see(&caller, &status)?;
    let patience = patience(state.config.ask_limits().time, wait.timeout_ms)?;
    if let Some(cursor) = wait.at_least {
        views.wait_for_cursor(&name, &cursor.parse()?, patience).await?;
        // It may have been replaced meanwhile.
        status = views.status(&name).await?;
        may_see(&caller, &status)?;
    }
    let text = Some(status.text.clone());
    Ok(Json(ViewAnswer { status, text }))
}

/// Replace a view. If its rows change, new tables are filled beside the old ones, which answer until then.
#[utoipa::path(
    put, path = "/v1/views/{view}", tag = "views", operation_id = "replace_view",
    params(("view" = String, Path, description = "Its name", min_length = 1)),
    request_body(content = String, description = "The view's file", content_type = "application/sql"),
    responses((status = 200, description = "Replaced", body = ViewChanged))
)]
pub(super) async fn replace_view(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(name): PathParams<String>,
    SqlBody(text): SqlBody,
) -> Result<Json<ViewChanged>, Problem> {
    let change = caller.may_manage(Scope::Views, &format!("replace a view: {name}"))?;
    let replace = async {
        let definition = parse(&text)?;
        if definition.name() != name {
            let found = definition.name();
            let message = format!("the path is of view {name}, and the file of {found}");
            return Err(Problem::new("view_invalid", message));
        }
        on_thread(&state, async move |views: &ServedViews| views.replace(&definition).await).await
    };
    let appended = change.make(replace).await?;
    Ok(changed(name, &appended))
}

/// What is done with a view that is there.
#[derive(Debug, Clone, Copy)]
enum Change {
    Remove,
    Pause,
    Resume,
    Reset,
}

impl Change {
    fn verb(self) -> &'static str {
        match self {
            Change::Remove => "remove",
            Change::Pause => "pause",
            Change::Resume => "resume",
            Change::Reset => "reset",
        }
    }

    async fn make(
        self,
        state: &Arc<State>,
        caller: &Caller,
        name: String,
    ) -> Result<Json<ViewChanged>, Problem> {
        let does = format!("{} a view: {name}", self.verb());
        let change = caller.may_manage(Scope::Views, &does)?;
        let of_thread = name.clone();
        let work = async move |views: &ServedViews| {
            let name = of_thread.as_str();
            match self {
                Change::Remove => views.remove(name).await,
                Change::Pause => views.pause(name).await,
                Change::Resume => views.resume(name).await,
                Change::Reset => views.reset(name).await,
            }
        };
        let appended = change.make(on_thread(state, work)).await?;
        Ok(changed(name, &appended))
    }
}

/// Remove a view and its tables.
#[utoipa::path(
    delete, path = "/v1/views/{view}", tag = "views", operation_id = "remove_view",
    params(("view" = String, Path, description = "Its name", min_length = 1)),
    responses((status = 200, description = "Removed", body = ViewChanged))
)]
pub(super) async fn remove_view(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(name): PathParams<String>,
) -> Result<Json<ViewChanged>, Problem> {
    Change::Remove.make(&state, &caller, name).await
}

/// Let a view stand still. It answers from the rows that it has.
#[utoipa::path(
    post, path = "/v1/views/{view}/pause", tag = "views", operation_id = "pause_view",
    params(("view" = String, Path, description = "Its name", min_length = 1)),
    responses((status = 200, description = "Paused", body = ViewChanged))
)]
pub(super) async fn pause_view(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(name): PathParams<String>,
) -> Result<Json<ViewChanged>, Problem> {
    Change::Pause.make(&state, &caller, name).await
}

/// Let a view go on, after a pause or a failure.
#[utoipa::path(
    post, path = "/v1/views/{view}/resume", tag = "views", operation_id = "resume_view",
    params(("view" = String, Path, description = "Its name", min_length = 1)),
    responses((status = 200, description = "It goes on", body = ViewChanged))
)]
pub(super) async fn resume_view(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(name): PathParams<String>,
) -> Result<Json<ViewChanged>, Problem> {
    Change::Resume.make(&state, &caller, name).await
}

/// Make the tables of a view anew, beside the old ones.
#[utoipa::path(
    post, path = "/v1/views/{view}/reset", tag = "views", operation_id = "reset_view",
    params(("view" = String, Path, description = "Its name", min_length = 1)),
    responses((status = 200, description = "It is made anew", body = ViewChanged))
)]
pub(super) async fn reset_view(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(name): PathParams<String>,
) -> Result<Json<ViewChanged>, Problem> {
    Change::Reset.make(&state, &caller, name).await
}
