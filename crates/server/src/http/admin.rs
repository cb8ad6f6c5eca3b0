//! The store as a whole.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as SharedState;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use leftfold_api::EventStore;
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{PathParams, QueryParams, RequestCaller};
use super::json::answer::{
    BackupAnswer, CursorAnswer, ScavengedAnswer, StatAnswer, VerifiedAnswer,
};
use super::problem::Problem;
use crate::access::Scope;
use crate::metrics::OPEN_METRICS;
use crate::state::State;

/// Get the cursor after the last durable event.
#[utoipa::path(
    get, path = "/v1/head", tag = "store", operation_id = "head",
    responses((status = 200, description = "After the last durable event", body = CursorAnswer))
)]
pub(super) async fn head(
    SharedState(state): SharedState<Arc<State>>,
    _: RequestCaller,
) -> Result<Json<CursorAnswer>, Problem> {
    Ok(Json(CursorAnswer { cursor: state.store.head().await?.to_string() }))
}

/// The store's size and state.
#[utoipa::path(
    get, path = "/v1/stat", tag = "store", operation_id = "stat",
    responses((status = 200, description = "Its size and state", body = StatAnswer))
)]
pub(super) async fn stat(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
) -> Result<Json<StatAnswer>, Problem> {
    caller.may_observe()?;
    let stat = state.inspect(|state| state.store.administration().stat()).await??;
    Ok(Json(stat.into()))
}

/// How to scavenge.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ScavengeParams {
    /// Only report what would be removed.
    dry_run: Option<bool>,
}

/// Remove metadata and data of the events that retention has dropped or that were deleted. The
/// answer comes when it is done.
#[utoipa::path(
    post, path = "/v1/scavenge", tag = "store", operation_id = "scavenge", params(ScavengeParams),
    responses((status = 200, description = "What was removed", body = ScavengedAnswer))
)]
pub(super) async fn scavenge(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    QueryParams(params): QueryParams<ScavengeParams>,
) -> Result<Json<ScavengedAnswer>, Problem> {
    let dry_run = params.dry_run.unwrap_or_default();
    let done = match dry_run {
        true => {
            caller.may_look_after(Scope::Store)?;
            state.run_alone(|state| state.store.administration().reclaimable()).await??
        }
        false => {
            let scavenge = async {
                let work = |state: &State| state.store.administration().scavenge(&mut |_, _| {});
                Ok::<_, Problem>(state.run_alone(work).await??)
            };
            caller.may_manage(Scope::Store, "scavenge")?.make(scavenge).await?
        }
    };
    Ok(Json(done.into()))
}

/// Check every byte of the store, at the speed of maintenance: checksums, index against log, versions.
/// The answer comes when it is done. One runs at a time; it ends when its client leaves.
#[utoipa::path(
    post, path = "/v1/verify", tag = "store", operation_id = "verify",
    responses((status = 200, description = "What was found", body = VerifiedAnswer))
)]
pub(super) async fn verify(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
) -> Result<Json<VerifiedAnswer>, Problem> {
    let verify = async { Ok::<_, Problem>(state.verify().await??) };
    let found = caller.may_manage(Scope::Store, "verify")?.make(verify).await?;
    Ok(Json(found.into()))
}

/// Back up the store into a directory of this name, inside the server's directory for backups. Only
/// new files are copied. The answer comes when it is done.
#[utoipa::path(
    post, path = "/v1/backups/{backup}", tag = "store", operation_id = "back_up",
    params(("backup" = String, Path, description = "The directory's name", min_length = 1)),
    responses((status = 200, description = "What was copied", body = BackupAnswer))
)]
pub(super) async fn back_up(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
    PathParams(name): PathParams<String>,
) -> Result<Json<BackupAnswer>, Problem> {
    let back_up = async {
        let to = state.backup_directory(&name)?;
        let work = move |state: &State| state.store.administration().backup(&to, &mut |_, _| {});
        Ok::<_, Problem>(state.run_alone(work).await??)
    };
    let done = caller.may_manage(Scope::Store, "back up")?.make(back_up).await?;
    Ok(Json(done.into()))
}

/// The metrics of the server and its store, in the text form of OpenMetrics, which Prometheus reads.
#[utoipa::path(
    get, path = "/metrics", tag = "server", operation_id = "metrics",
    responses((status = 200, description = "Metrics", body = String,
               content_type = "application/openmetrics-text"))
)]
pub(super) async fn metrics(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
) -> Result<Response, Problem> {
    caller.may_observe()?;
    state.views.look().await;
    state.connectors.look().await;
    let text = state.inspect(|state| state.metrics.text()).await?;
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}
