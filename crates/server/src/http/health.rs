//! Liveness and readiness, without credentials.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as SharedState;
use axum::http::StatusCode;
use leftfold_api::{EventStore, clock_warning};
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

/// Whether the process is alive.
#[utoipa::path(
    get, path = "/health/live", tag = "server", operation_id = "live",
    responses((status = 200, description = "It is alive", body = Health))
)]
pub(super) async fn live() -> Json<Health> {
    Json(Health { status: "live", warnings: Vec::new() })
}

/// Whether it can serve: it is not shutting down, and the store takes appends.
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
    if let Some(failure) = state.store.failure() {
        let failed = Problem::new(failure.code(), failure.to_string());
        return Err(Problem::new("store_closed", format!("{}: {failure}", failed.code)));
    }
    state.store.head().await?;
    let warnings = clock_warning(state.store.meters().clock_behind_micros).into_iter().collect();
    Ok((StatusCode::OK, Json(Health { status: "ready", warnings })))
}
