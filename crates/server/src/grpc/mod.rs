//! Native gRPC, beside HTTP on the same port.

use std::sync::Arc;

use axum::Router;

use crate::state::State;

/// The routes of the gRPC services.
pub(crate) fn router(_state: Arc<State>) -> Router {
    Router::new()
}
