//! The store as a whole.

use std::path::{Component, Path};
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

/// Work that reads or writes much and blocks: one at a time, and not on a thread of the runtime.
async fn alone<T: Send + 'static, E: Into<Problem> + Send + 'static>(
    state: &Arc<State>,
    work: impl FnOnce(&State) -> Result<T, E> + Send + 'static,
) -> Result<T, Problem> {
    let alone = state.administration.clone().try_lock_owned().map_err(|_| {
        let message = "a scavenge, a backup or a look at what can be scavenged is under way";
        Problem::new("server_overloaded", message)
    })?;
    let state = state.clone();
    let done = tokio::task::spawn_blocking(move || {
        let done = work(&state);
        drop(alone);
        done
    });
    let failed = |_| Problem::new("internal_error", "the work ended without an answer");
    done.await.map_err(failed)?.map_err(Into::into)
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
    Ok(Json(state.store.administration().stat()?.into()))
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
        true => alone(&state, |state| state.store.administration().reclaimable()).await?,
        false => {
            alone(&state, |state| state.store.administration().scavenge(&mut |_, _| {})).await?
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
    let Some(backups) = &state.config.backups else {
        let message = "the server has no directory for backups; set `backups`";
        return Err(Problem::new("backups_off", message));
    };
    let mut parts = Path::new(&name).components();
    let is_plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    let is_short = name.len() <= 100 && !name.starts_with('.');
    if !is_plain || !is_short || name.chars().any(|c| c.is_control() || "/\\".contains(c)) {
        let message = format!(
            "backup {name:?}: a directory's name has no slashes, does not begin \
                               with a dot, and has at most 100 bytes"
        );
        return Err(Problem::new("name_invalid", message));
    }
    let to = backups.join(name);
    let done = alone(&state, move |state| state.store.administration().backup(&to, &mut |_, _| {}))
        .await?;
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
    let text = state.metrics.text();
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}
