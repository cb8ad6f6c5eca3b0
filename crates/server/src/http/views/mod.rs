//! SQL views: their definitions, and queries of their rows.

mod answer;
mod ask;
mod definitions;
mod format;
mod live;
mod live_feed;
mod parked;
mod shapes;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::State;

/// Returns the routes of SQL views.
pub(super) fn routes() -> OpenApiRouter<Arc<State>> {
    OpenApiRouter::new()
        .routes(routes!(definitions::list_views, definitions::add_view))
        .routes(routes!(definitions::plan_view))
        .routes(routes!(
            definitions::describe_view,
            definitions::replace_view,
            definitions::remove_view
        ))
        .routes(routes!(definitions::pause_view))
        .routes(routes!(definitions::resume_view))
        .routes(routes!(definitions::reset_view))
        .routes(routes!(parked::list_parked))
        .routes(routes!(parked::retry_parked))
        .routes(routes!(parked::skip_parked))
        .routes(routes!(ask::ask, ask::ask_by_body))
        .routes(routes!(ask::ask_view, ask::ask_view_by_body))
        .routes(routes!(live::follow_answer))
        .routes(routes!(live::follow_answer_of_view))
}
