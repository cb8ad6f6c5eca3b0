//! Connectors: their definitions, what they are doing, and their parked events.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State as SharedState;
use axum::http::StatusCode;
use leftfold_api::{Appended, Cursor, EventStore, Query, Read};
use leftfold_connect::connectors::{
    ConnectorDefinition, ConnectorError, ConnectorStart, ConnectorStatus, Finding, HeldEvent, Why,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Problem;
use super::extract::{PathParams, QueryParams, RequestCaller, TomlBody};
use crate::access::Scope;
use crate::state::State;

/// How long a change may take until its run has taken it over, and a check until the other side has answered.
const CHANGE_TIME: Duration = Duration::from_secs(30);
/// The name that a connector can't have here: it is a path.
const TEST: &str = "test";

/// Returns the routes of connectors.
pub(super) fn routes() -> OpenApiRouter<Arc<State>> {
    OpenApiRouter::new()
        .routes(routes!(list_connectors, add_connector))
        .routes(routes!(test_connector))
        .routes(routes!(describe_connector, replace_connector, remove_connector))
        .routes(routes!(pause_connector))
        .routes(routes!(resume_connector))
        .routes(routes!(reset_connector))
        .routes(routes!(list_held))
        .routes(routes!(retry_held))
        .routes(routes!(skip_held))
}

/// A connector, and what it is doing.
#[derive(Debug, Serialize, ToSchema)]
struct ConnectorAnswer {
    #[serde(flatten)]
    #[schema(value_type = ConnectorShape)]
    status: ConnectorStatus,
}

/// The fields of a connector's state.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the fields of a type of another crate")]
struct ConnectorShape {
    /// Its name.
    name: String,
    /// What it connects with, such as `http`.
    kind: String,
    /// `running`, `retrying`, `failed` or `paused`.
    phase: String,
    /// The query of the events that go out.
    query: Option<String>,
    /// The events that were delivered or appended since its run began; not there if it does not run.
    #[schema(nullable = false)]
    events: Option<u64>,
    /// The events that were skipped since its run began.
    #[schema(nullable = false)]
    skipped: Option<u64>,
    /// The streams that are held up by an event that is parked or tried again.
    #[schema(nullable = false)]
    held: Option<u64>,
    /// The age of the oldest event that is not delivered, in microseconds; 0 if there is none.
    lag_micros: Option<u64>,
    /// Why it does not run, or what its last attempt has met.
    failure: Option<String>,
    /// The code of the failure.
    code: Option<String>,
    /// Its file.
    text: String,
}

/// The connectors.
#[derive(Debug, Serialize, ToSchema)]
struct ConnectorsAnswer {
    connectors: Vec<ConnectorAnswer>,
}

/// A connector that was changed, and the cursor of the change.
#[derive(Debug, Serialize, ToSchema)]
struct ConnectorChanged {
    /// Its name.
    #[schema(example = "orders-to-shop")]
    connector: String,
    /// The cursor of the change.
    cursor: String,
}

/// What a check has found.
#[derive(Debug, Serialize, ToSchema)]
struct CheckAnswer {
    /// Whether all is as it must be.
    ok: bool,
    /// Each thing that was looked at.
    #[schema(value_type = Vec<FindingShape>)]
    findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the fields of a type of another crate")]
struct FindingShape {
    /// Whether it is as it must be.
    ok: bool,
    /// What was looked at.
    what: String,
    /// What is wrong and what to do, or what was found.
    detail: String,
}

/// An event that holds up its stream.
#[derive(Debug, Serialize, ToSchema)]
struct HeldAnswer {
    /// Its stream.
    stream: String,
    /// Its version.
    version: u64,
    /// Its position.
    position: u64,
    /// Its type.
    #[serde(rename = "type")]
    event_type: String,
    /// The attempts so far.
    attempts: u32,
    /// What the last attempt has met.
    reason: String,
    /// Since when it holds up its stream.
    since: String,
    /// Whether it is parked; if not, it is tried again by itself.
    parked: bool,
    /// When it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// The events that hold up their streams.
#[derive(Debug, Serialize, ToSchema)]
struct HeldEventsAnswer {
    events: Vec<HeldAnswer>,
}

/// How many parked events are tried again.
#[derive(Debug, Serialize, ToSchema)]
struct RetriedAnswer {
    /// The connector.
    connector: String,
    /// The number of events.
    events: usize,
}

/// Where a connector begins.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FromParams {
    /// `start` (all events, the default), `now` (only new ones), or a cursor: those behind it.
    from: Option<String>,
}

/// Which held events are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HeldParams {
    /// Also the events that are tried again by themselves; only the parked ones if it is not given.
    #[serde(default)]
    #[param(example = false)]
    all: bool,
}

/// Which parked events are tried again.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RetryParams {
    /// That of this stream; all if it is not given.
    stream: Option<String>,
}

/// Which parked event is left out.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SkipParams {
    /// Its stream.
    stream: String,
    /// Its version.
    version: u64,
}

impl From<HeldEvent> for HeldAnswer {
    fn from(event: HeldEvent) -> Self {
        let next = match &event.why {
            Why::Retry(when) => Some(when.to_string()),
            _ => None,
        };
        HeldAnswer {
            parked: event.why == Why::Parked,
            stream: event.stream,
            version: event.version,
            position: event.position,
            event_type: event.event_type,
            attempts: event.attempts,
            reason: event.reason,
            since: event.since.to_string(),
            next,
        }
    }
}

fn parse(text: &str) -> Result<ConnectorDefinition, Problem> {
    Ok(ConnectorDefinition::parse(text)?)
}

fn changed(connector: String, appended: &Appended) -> Json<ConnectorChanged> {
    Json(ConnectorChanged { connector, cursor: appended.cursor.to_string() })
}

/// Waits for something that the connectors do, within the time for a change.
async fn within<T>(
    work: impl Future<Output = Result<T, ConnectorError>> + Send,
) -> Result<T, Problem> {
    let late = |_| {
        let message = "the connectors have not taken the change over in time; look at them";
        Problem::new("outcome_unknown", message)
    };
    Ok(tokio::time::timeout(CHANGE_TIME, work).await.map_err(late)??)
}

/// Returns where a connector begins.
async fn start_of(state: &State, from: Option<&str>) -> Result<ConnectorStart, Problem> {
    Ok(match from {
        None | Some("start") => ConnectorStart::Beginning,
        Some("now") => ConnectorStart::After(state.store.head().await?.to_string()),
        Some(cursor) => {
            let cursor: Cursor = cursor.parse()?;
            // The store refuses the cursor of another one.
            state.store.read(Read::forward(Query::All).after(cursor.clone()).limit(1)).await?;
            ConnectorStart::After(cursor.to_string())
        }
    })
}

/// List the connectors and what they are doing.
#[utoipa::path(
    get, path = "/v1/connectors", tag = "connectors", operation_id = "list_connectors",
    responses((status = 200, description = "The connectors, by name", body = ConnectorsAnswer))
)]
async fn list_connectors(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
) -> Result<Json<ConnectorsAnswer>, Problem> {
    caller.may_look_after(Scope::Connectors)?;
    let all = state.connectors.running()?.list().await;
    let connectors = all.into_iter().map(|status| ConnectorAnswer { status }).collect();
    Ok(Json(ConnectorsAnswer { connectors }))
}

/// Add a connector. It runs from now on.
#[utoipa::path(
    post, path = "/v1/connectors", tag = "connectors", operation_id = "add_connector", params(FromParams),
    request_body(content = String, description = "The connector's file", content_type = "application/toml"),
    responses((status = 201, description = "Added", body = ConnectorChanged))
)]
async fn add_connector(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    QueryParams(params): QueryParams<FromParams>,
    TomlBody(text): TomlBody,
) -> Result<(StatusCode, Json<ConnectorChanged>), Problem> {
    caller.may_look_after(Scope::Connectors)?;
    let definition = parse(&text)?;
    let name = definition.name().to_owned();
    let change = caller.may_manage(Scope::Connectors, &format!("add a connector: {name}"))?;
    let add = async {
        if name == TEST {
            let message = format!("a connector can't have the name {TEST}; choose another one");
            return Err(Problem::new("connector_invalid", message));
        }
        let start = start_of(&state, params.from.as_deref()).await?;
        within(state.connectors.running()?.add(&definition, start)).await
    };
    let appended = change.make(add).await?;
    Ok((StatusCode::CREATED, changed(name, &appended)))
}

/// Connect with the other side of a connector, say what is missing, and change nothing.
#[utoipa::path(
    post, path = "/v1/connectors/test", tag = "connectors", operation_id = "test_connector",
    request_body(content = String, description = "The connector's file", content_type = "application/toml"),
    responses((status = 200, description = "What was found", body = CheckAnswer))
)]
async fn test_connector(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    TomlBody(text): TomlBody,
) -> Result<Json<CheckAnswer>, Problem> {
    caller.may_look_after(Scope::Connectors)?;
    let definition = parse(&text)?;
    // It reaches for what others may not.
    let change = caller
        .may_manage(Scope::Connectors, &format!("test a connector: {}", definition.name()))?;
    let test = async {
        let connectors = state.connectors.running()?;
        within(async { Ok(connectors.test(&definition).await) }).await
    };
    let check = change.make(test).await?;
    Ok(Json(CheckAnswer { ok: check.is_ok(), findings: check.findings }))
}

/// Describe a connector, with its file.
#[utoipa::path(
    get, path = "/v1/connectors/{connector}", tag = "connectors", operation_id = "describe_connector",
    params(("connector" = String, Path, description = "Its name", min_length = 1)),
    responses((status = 200, description = "The connector", body = ConnectorAnswer))
)]
async fn describe_connector(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(name): PathParams<String>,
) -> Result<Json<ConnectorAnswer>, Problem> {
    caller.may_look_after(Scope::Connectors)?;
    let status = state.connectors.running()?.status(&name).await?;
    Ok(Json(ConnectorAnswer { status }))
}

/// Replace a connector. It goes on where it is, unless it connects with another kind of system.
#[utoipa::path(
    put, path = "/v1/connectors/{connector}", tag = "connectors", operation_id = "replace_connector",
    params(("connector" = String, Path, description = "Its name", min_length = 1)),
    request_body(content = String, description = "The connector's file", content_type = "application/toml"),
    responses((status = 200, description = "Replaced", body = ConnectorChanged))
)]
async fn replace_connector(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(name): PathParams<String>,
    TomlBody(text): TomlBody,
) -> Result<Json<ConnectorChanged>, Problem> {
    let change = caller.may_manage(Scope::Connectors, &format!("replace a connector: {name}"))?;
    let replace = async {
        let definition = parse(&text)?;
        if definition.name() != name {
            let found = definition.name();
            let message = format!("the path is of connector {name}, and the file of {found}");
            return Err(Problem::new("connector_invalid", message));
        }
        within(state.connectors.running()?.replace(&definition)).await
    };
    let appended = change.make(replace).await?;
    Ok(changed(name, &appended))
}

/// What is done with a connector that is there.
#[derive(Debug, Clone, Copy)]
enum Change {
    Pause,
    Resume,
    Reset,
    Remove,
}

async fn change(
    state: &State,
    caller: &crate::access::Caller,
    name: String,
    what: Change,
) -> Result<Json<ConnectorChanged>, Problem> {
    let verb = match what {
        Change::Pause => "pause",
        Change::Resume => "resume",
        Change::Reset => "reset",
        Change::Remove => "remove",
    };
    let change = caller.may_manage(Scope::Connectors, &format!("{verb} a connector: {name}"))?;
    let done = async {
        let connectors = state.connectors.running()?;
        match what {
            Change::Pause => within(connectors.pause(&name)).await,
            Change::Resume => within(connectors.resume(&name)).await,
            Change::Reset => within(connectors.reset(&name)).await,
            Change::Remove => within(connectors.remove(&name)).await,
        }
    };
    let appended = change.make(done).await?;
    Ok(changed(name, &appended))
}

/// Remove a connector. What it has delivered stays.
#[utoipa::path(
    delete, path = "/v1/connectors/{connector}", tag = "connectors", operation_id = "remove_connector",
    params(("connector" = String, Path, description = "Its name", min_length = 1)),
    responses((status = 200, description = "Removed", body = ConnectorChanged))
)]
async fn remove_connector(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(name): PathParams<String>,
) -> Result<Json<ConnectorChanged>, Problem> {
    change(&state, &caller, name, Change::Remove).await
}

/// Let a connector stand still.
#[utoipa::path(
    post, path = "/v1/connectors/{connector}/pause", tag = "connectors", operation_id = "pause_connector",
    params(("connector" = String, Path, description = "Its name", min_length = 1)),
    responses((status = 200, description = "Paused", body = ConnectorChanged))
)]
async fn pause_connector(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(name): PathParams<String>,
) -> Result<Json<ConnectorChanged>, Problem> {
    change(&state, &caller, name, Change::Pause).await
}

/// Let a connector go on, also one that has failed.
#[utoipa::path(
    post, path = "/v1/connectors/{connector}/resume", tag = "connectors", operation_id = "resume_connector",
    params(("connector" = String, Path, description = "Its name", min_length = 1)),
    responses((status = 200, description = "Resumed", body = ConnectorChanged))
)]
async fn resume_connector(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(name): PathParams<String>,
) -> Result<Json<ConnectorChanged>, Problem> {
    change(&state, &caller, name, Change::Resume).await
}

/// Let a connector begin anew, as if it had been added now.
#[utoipa::path(
    post, path = "/v1/connectors/{connector}/reset", tag = "connectors", operation_id = "reset_connector",
    params(("connector" = String, Path, description = "Its name", min_length = 1)),
    responses((status = 200, description = "Reset", body = ConnectorChanged))
)]
async fn reset_connector(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(name): PathParams<String>,
) -> Result<Json<ConnectorChanged>, Problem> {
    change(&state, &caller, name, Change::Reset).await
}

/// List the parked events of a connector; later events of their streams wait behind them.
#[utoipa::path(
    get, path = "/v1/connectors/{connector}/parked", tag = "connectors", operation_id = "list_held",
    params(("connector" = String, Path, description = "Its name", min_length = 1), HeldParams),
    responses((status = 200, description = "The events", body = HeldEventsAnswer))
)]
async fn list_held(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(name): PathParams<String>,
    QueryParams(params): QueryParams<HeldParams>,
) -> Result<Json<HeldEventsAnswer>, Problem> {
    caller.may_look_after(Scope::Connectors)?;
    let events = state.connectors.running()?.parked(&name, params.all).await?;
    Ok(Json(HeldEventsAnswer { events: events.into_iter().map(HeldAnswer::from).collect() }))
}

/// Let parked events be tried again: that of a stream, or all.
#[utoipa::path(
    post, path = "/v1/connectors/{connector}/retry", tag = "connectors", operation_id = "retry_held",
    params(("connector" = String, Path, description = "Its name", min_length = 1), RetryParams),
    responses((status = 200, description = "Requested", body = RetriedAnswer))
)]
async fn retry_held(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(name): PathParams<String>,
    QueryParams(params): QueryParams<RetryParams>,
) -> Result<Json<RetriedAnswer>, Problem> {
    let does = format!("retry the parked events of a connector: {name}");
    let change = caller.may_manage(Scope::Connectors, &does)?;
    let retry = async {
        let connectors = state.connectors.running()?;
        within(connectors.retry(&name, params.stream.as_deref())).await
    };
    let events = change.make(retry).await?;
    Ok(Json(RetriedAnswer { connector: name, events }))
}

/// Leave a parked event out; those of its stream behind it follow.
#[utoipa::path(
    post, path = "/v1/connectors/{connector}/skip", tag = "connectors", operation_id = "skip_held",
    params(("connector" = String, Path, description = "Its name", min_length = 1), SkipParams),
    responses((status = 200, description = "Requested", body = ConnectorChanged))
)]
async fn skip_held(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(name): PathParams<String>,
    QueryParams(SkipParams { stream, version }): QueryParams<SkipParams>,
) -> Result<Json<ConnectorChanged>, Problem> {
    let does = format!("skip the parked event {stream}@{version} of a connector: {name}");
    let change = caller.may_manage(Scope::Connectors, &does)?;
    let skip = async {
        let connectors = state.connectors.running()?;
        within(connectors.skip(&name, &stream, version)).await
    };
    let appended = change.make(skip).await?;
    Ok(changed(name, &appended))
}
