//! The store as a whole.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use leftfold_api::EventStore;
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{By, Named, Params};
use super::json::answer::{BackupAnswer, CursorAnswer, ScavengedAnswer, StatAnswer};
use super::problem::Problem;
use crate::access::Scope;
use crate::metrics::OPEN_METRICS;
use crate::state::State;

/// Say where the store's durable end is.
#[utoipa::path(
    get, path = "/v1/head", tag = "store", operation_id = "head",
    responses((status = 200, description = "After the last durable event", body = CursorAnswer))
)]
pub(super) async fn head(
    Shared(state): Shared<Arc<State>>,
    _: By,
) -> Result<Json<CursorAnswer>, Problem> {
    Ok(Json(CursorAnswer { cursor: state.store.head().await?.to_string() }))
}

/// The store's size and state.
#[utoipa::path(
    get, path = "/v1/stat", tag = "store", operation_id = "stat",
    responses((status = 200, description = "Its size and state", body = StatAnswer))
)]
pub(super) async fn stat(
    Shared(state): Shared<Arc<State>>,
    By(caller): By,
) -> Result<Json<StatAnswer>, Problem> {
    caller.may_look_after(Scope::Store)?;
    let stat = state.inspect(|state| state.store.administration().stat()).await??;
    Ok(Json(stat.into()))
}

/// How to scavenge.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ScavengeParams {
    /// Only say what would be removed.
    dry_run: Option<bool>,
}

/// Remove metadata and data of all that retention has dropped, or that was deleted. The answer
/// comes when it is done.
#[utoipa::path(
    post, path = "/v1/scavenge", tag = "store", operation_id = "scavenge", params(ScavengeParams),
    responses((status = 200, description = "What was removed", body = ScavengedAnswer))
)]
pub(super) async fn scavenge(
    Shared(state): Shared<Arc<State>>,
    By(caller): By,
    Params(params): Params<ScavengeParams>,
) -> Result<Json<ScavengedAnswer>, Problem> {
    let dry_run = params.dry_run.unwrap_or_default();
    match dry_run {
        true => caller.may_look_after(Scope::Store)?,
        false => caller.may_manage(Scope::Store, "scavenge")?,
    }
    let done = match dry_run {
        true => state.run_alone(|state| state.store.administration().reclaimable()).await??,
        false => {
            let scavenge = |state: &State| state.store.administration().scavenge(&mut |_, _| {});
            state.run_alone(scavenge).await??
        }
    };
    Ok(Json(done.into()))
}

/// Back the store up into a directory of this name, inside the server's directory for backups.
/// Only what is new is copied. The answer comes when it is done.
#[utoipa::path(
    post, path = "/v1/backups/{backup}", tag = "store", operation_id = "back_up",
    params(("backup" = String, Path, description = "The directory's name", min_length = 1)),
    responses((status = 200, description = "What was copied", body = BackupAnswer))
)]
pub(super) async fn back_up(
    Shared(state): Shared<Arc<State>>,
    By(caller): By,
    Named(name): Named<String>,
) -> Result<Json<BackupAnswer>, Problem> {
    caller.may_manage(Scope::Store, "back up")?;
    let to = state.backup_directory(&name)?;
    let back_up = move |state: &State| state.store.administration().backup(&to, &mut |_, _| {});
    let done = state.run_alone(back_up).await??;
    Ok(Json(done.into()))
}

/// What the server and its store have done, in the text form of OpenMetrics, which Prometheus reads.
#[utoipa::path(
    get, path = "/metrics", tag = "server", operation_id = "metrics",
    responses((status = 200, description = "Metrics", body = String,
               content_type = "application/openmetrics-text"))
)]
pub(super) async fn metrics(
    Shared(state): Shared<Arc<State>>,
    By(caller): By,
) -> Result<Response, Problem> {
    caller.may_look_after(Scope::Store)?;
    let text = state.inspect(|state| state.metrics.text()).await?;
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}
