//! HTTP with JSON.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::state::State;

/// All routes of HTTP.
pub(crate) fn router(state: Arc<State>) -> Router {
    Router::new().route("/health/live", get(async || "live\n")).with_state(state)
}
