//! Liveness and readiness, without credentials.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as SharedState;
use axum::http::StatusCode;
use leftfold_api::EventStore;
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
}

/// Whether the process is alive.
#[utoipa::path(
    get, path = "/health/live", tag = "server", operation_id = "live",
    responses((status = 200, description = "It is alive", body = Health))
)]
pub(super) async fn live() -> Json<Health> {
    Json(Health { status: "live" })
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
    Ok((StatusCode::OK, Json(Health { status: "ready" })))
}
