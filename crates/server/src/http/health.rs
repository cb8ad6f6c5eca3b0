//! Liveness and readiness, without credentials.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as SharedState;
use axum::http::StatusCode;
use leftfold_api::{EventStore, ReadError, checkpoints_warning, clock_warning};
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Problem;
use crate::state::State;

/// The state of the server.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    /// One word.
    #[schema(example = "ready")]
    status: &'static str,
    /// What an operator should look at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// Whether the process is alive. It is not if a write or an fsync has failed: the store then writes nothing
/// until it is opened again, so the process must be restarted. On a full disk, or without file descriptors, it is alive, and
/// says so; so is a node of a cluster that opens its copy again.
#[utoipa::path(
    get, path = "/health/live", tag = "server", operation_id = "live",
    responses((status = 200, description = "It is alive", body = Health))
)]
pub(super) async fn live(
    SharedState(state): SharedState<Arc<State>>,
) -> Result<Json<Health>, Problem> {
    let mut warnings = Vec::new();
    match state.store.failure() {
        // The store goes on by itself; a restart would lose what it is about to write, or open.
        Some(failure) if failure.is_temporary() || failure.can_retry() => {
            warnings.push(failure.to_string());
        }
        _ => writes(&state)?,
    }
    Ok(Json(Health { status: "live", warnings }))
}

/// Fails if the store writes no more.
fn writes(state: &State) -> Result<(), Problem> {
    let Some(failure) = state.store.failure() else { return Ok(()) };
    if failure.code() == "not_owner" {
        // The copy of a node is being opened: the store was not closed.
        return Err(ReadError::from(failure).into());
    }
    Err(Problem::new("store_closed", format!("{}: {failure}", failure.code())))
}

/// Whether it can serve: it is not shutting down, and the store takes appends. A node of a cluster says why it does not,
/// and warns of a membership that does not work.
#[utoipa::path(
    get, path = "/health/ready", tag = "server", operation_id = "ready",
    responses((status = 200, description = "It can serve", body = Health))
)]
pub(super) async fn ready(
    SharedState(state): SharedState<Arc<State>>,
) -> Result<(StatusCode, Json<Health>), Problem> {
    if state.is_closing() {
        return Err(Problem::new("server_closing", "the server is shutting down"));
    }
    writes(&state)?;
    let cluster = match state.store.cluster() {
        // A node asks no other node: one that is silent must not make all of them unready.
        Some(cluster) => cluster.status().warnings(),
        None => {
            state.store.head().await?;
            Vec::new()
        }
    };
    let meters = state.store.meters();
    let maintenance = meters.maintenance_failure.map(|failure| format!("maintenance: {failure}"));
    let clock = clock_warning(meters.clock_behind_micros);
    let checkpoints = checkpoints_warning(meters.checkpoints, meters.checkpoints_allowed);
    let warnings = clock.into_iter().chain(maintenance).chain(checkpoints).chain(cluster).collect();
    Ok((StatusCode::OK, Json(Health { status: "ready", warnings })))
}
