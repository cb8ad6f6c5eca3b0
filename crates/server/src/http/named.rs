//! Retention rules, named indexes and checkpoints.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as SharedState;
use axum::http::StatusCode;
use leftfold_api::{CheckpointInfo, EventStore, Query, RetentionRule};
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{JsonBody, PathParams, QueryParams, RequestCaller};
use super::json::answer::{
    CheckpointAnswer, CheckpointsAnswer, CursorAnswer, IndexAnswer, IndexesAnswer, RuleAnswer,
    RulesAnswer,
};
use super::json::request::{IndexDefinition, Rule};
use super::problem::Problem;
use crate::access::Scope;
use crate::state::State;

/// List the retention rules.
#[utoipa::path(
    get, path = "/v1/retention-rules", tag = "retention", operation_id = "list_rules",
    responses((status = 200, description = "The rules, by name", body = RulesAnswer))
)]
pub(super) async fn list_rules(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
) -> Result<Json<RulesAnswer>, Problem> {
    caller.may_look_after(Scope::Rules)?;
    let rules = state.store.retention_rules().await?;
    Ok(Json(RulesAnswer { rules: rules.into_iter().map(RuleAnswer::from).collect() }))
}

/// Define a retention rule; it replaces the rule of the same name.
#[utoipa::path(
    put, path = "/v1/retention-rules/{rule}", tag = "retention", operation_id = "set_rule",
    params(("rule" = String, Path, description = "Its name", min_length = 1)), request_body = Rule,
    responses((status = 204, description = "Defined"))
)]
pub(super) async fn set_rule(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(name): PathParams<String>,
    body: JsonBody<Rule>,
) -> Result<StatusCode, Problem> {
    let change = caller.may_manage(Scope::Rules, &format!("set a rule: {name}"))?;
    let set = async {
        let query = body.content.query.parse()?;
        let rule = RetentionRule { name, query, retention: body.content.retention() };
        Ok::<_, Problem>(state.store.set_retention_rule(rule).await?)
    };
    change.make(set).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a retention rule. Events that it hid are visible again, unless they were scavenged.
#[utoipa::path(
    delete, path = "/v1/retention-rules/{rule}", tag = "retention", operation_id = "drop_rule",
    params(("rule" = String, Path, description = "Its name", min_length = 1)),
    responses((status = 204, description = "Removed"))
)]
pub(super) async fn drop_rule(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(name): PathParams<String>,
) -> Result<StatusCode, Problem> {
    let change = caller.may_manage(Scope::Rules, &format!("drop a rule: {name}"))?;
    change.make(state.store.drop_retention_rule(&name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List the named indexes.
#[utoipa::path(
    get, path = "/v1/indexes", tag = "indexes", operation_id = "list_indexes",
    responses((status = 200, description = "The indexes, by name", body = IndexesAnswer))
)]
pub(super) async fn list_indexes(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
) -> Result<Json<IndexesAnswer>, Problem> {
    caller.may_look_after(Scope::Indexes)?;
    let indexes = state.store.indexes().await?;
    Ok(Json(IndexesAnswer { indexes: indexes.into_iter().map(IndexAnswer::from).collect() }))
}

/// Describe a named index.
#[utoipa::path(
    get, path = "/v1/indexes/{index}", tag = "indexes", operation_id = "describe_index",
    params(("index" = String, Path, description = "Its name", min_length = 1)),
    responses((status = 200, description = "The index", body = IndexAnswer))
)]
pub(super) async fn describe_index(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(name): PathParams<String>,
) -> Result<Json<IndexAnswer>, Problem> {
    let permit = caller.authorize_read(&Query::index(name.as_str()))?;
    let info = state.store.index(&name).await?;
    permit.check_index()?;
    let unknown = || Problem::new("index_unknown", format!("there is no index {name}"));
    Ok(Json(info.ok_or_else(unknown)?.into()))
}

/// Define a named index. The answer comes when the index lists all past events.
#[utoipa::path(
    put, path = "/v1/indexes/{index}", tag = "indexes", operation_id = "define_index",
    params(("index" = String, Path, description = "Its name", min_length = 1)),
    request_body = IndexDefinition,
    responses((status = 204, description = "Defined, and ready to be read"))
)]
pub(super) async fn define_index(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(name): PathParams<String>,
    body: JsonBody<IndexDefinition>,
) -> Result<StatusCode, Problem> {
    let change = caller.may_manage(Scope::Indexes, &format!("define an index: {name}"))?;
    let define = async {
        let definition = body.content.definition(name)?;
        Ok::<_, Problem>(state.store.define_index(definition).await?)
    };
    change.make(define).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a named index; its name can be used again.
#[utoipa::path(
    delete, path = "/v1/indexes/{index}", tag = "indexes", operation_id = "drop_index",
    params(("index" = String, Path, description = "Its name", min_length = 1)),
    responses((status = 204, description = "Removed"))
)]
pub(super) async fn drop_index(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(name): PathParams<String>,
) -> Result<StatusCode, Problem> {
    let change = caller.may_manage(Scope::Indexes, &format!("drop an index: {name}"))?;
    change.make(state.store.drop_index(&name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Checkpoints of a page, where the request does not say how many.
const CHECKPOINTS: usize = 1_000;

/// Which checkpoints.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CheckpointsParams {
    /// Only those after this name: the last of the page before.
    after: Option<String>,
    /// The most checkpoints of the page; 1,000 if not given.
    #[param(minimum = 1)]
    limit: Option<usize>,
}

/// List the checkpoints by name.
#[utoipa::path(
    get, path = "/v1/checkpoints", tag = "checkpoints", operation_id = "list_checkpoints",
    params(CheckpointsParams),
    responses((status = 200, description = "A page of checkpoints", body = CheckpointsAnswer))
)]
pub(super) async fn list_checkpoints(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    QueryParams(params): QueryParams<CheckpointsParams>,
) -> Result<Json<CheckpointsAnswer>, Problem> {
    caller.may_list(None)?;
    let limit = params.limit.unwrap_or(CHECKPOINTS);
    if limit == 0 {
        return Err(Problem::new("limit_invalid", "a page of 0 checkpoints: ask for at least 1"));
    }
    let found = state.store.checkpoints(params.after, limit).await?;
    let answer = |found: CheckpointInfo| CheckpointAnswer {
        checkpoint: found.name,
        cursor: found.cursor.to_string(),
    };
    Ok(Json(CheckpointsAnswer { checkpoints: found.into_iter().map(answer).collect() }))
}

/// Get the cursor of a checkpoint.
#[utoipa::path(
    get, path = "/v1/checkpoints/{checkpoint}", tag = "checkpoints", operation_id = "get_checkpoint",
    params(("checkpoint" = String, Path, description = "The checkpoint", min_length = 1)),
    responses((status = 200, description = "Its cursor", body = CursorAnswer))
)]
pub(super) async fn get_checkpoint(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(name): PathParams<String>,
) -> Result<Json<CursorAnswer>, Problem> {
    caller.may_see_checkpoint(&name)?;
    let cursor = state.store.checkpoint(&name).await?;
    let unknown = || Problem::new("checkpoint_unknown", format!("checkpoint {name} is not set"));
    Ok(Json(CursorAnswer { cursor: cursor.ok_or_else(unknown)?.to_string() }))
}

/// Delete a checkpoint: it is not set any more, so a reader of this name begins anew.
#[utoipa::path(
    delete, path = "/v1/checkpoints/{checkpoint}", tag = "checkpoints",
    operation_id = "delete_checkpoint",
    params(("checkpoint" = String, Path, description = "The checkpoint", min_length = 1)),
    responses((status = 204, description = "Deleted"))
)]
pub(super) async fn delete_checkpoint(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(name): PathParams<String>,
) -> Result<StatusCode, Problem> {
    let change = caller.may_manage(Scope::Checkpoint(&name), "delete")?;
    change.make(state.store.delete_checkpoint(&name)).await?;
    Ok(StatusCode::NO_CONTENT)
}
