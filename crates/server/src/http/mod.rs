//! HTTP with JSON: one file for each group of routes, and `openapi.rs` for their description.

mod accounts;
mod admin;
mod append;
mod body;
mod cluster;
mod connection;
mod connectors;
mod errors;
mod event_stream;
mod extract;
mod health;
mod json;
mod named;
mod openapi;
mod origin;
mod page;
mod place;
mod problem;
mod read;
mod streams;
mod subscribe;
mod views;
mod wording;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use leftfold_api::MAX_NAME;
use tower_http::CompressionLevel;
use tower_http::compression::predicate::{Predicate, SizeAbove};
use tower_http::compression::{CompressionLayer, DefaultPredicate};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use connection::HttpProtocol;
pub(crate) use origin::refuse_foreign;
pub(crate) use problem::Problem;

use crate::limits::{hold_answer, is_grpc};
use crate::state::State;

/// Bytes of an answer up to which it is not compressed.
const SMALL_ANSWER: u16 = 1_024;

/// Returns the routes of HTTP with JSON.
pub(crate) fn router(state: Arc<State>) -> Router {
    let (router, api) = OpenApiRouter::with_openapi(openapi::head())
        .routes(routes!(append::append, read::read))
        .routes(routes!(append::append_to_stream, read::read_stream))
        .routes(routes!(read::read_by_body))
        .routes(routes!(read::read_event))
        .routes(routes!(read::ordinal))
        .routes(routes!(read::read_version))
        .routes(routes!(subscribe::subscribe))
        .routes(routes!(streams::list))
        .routes(routes!(streams::describe, streams::delete))
        .routes(routes!(streams::set_retention))
        .routes(routes!(named::list_rules))
        .routes(routes!(named::set_rule, named::drop_rule))
        .routes(routes!(named::list_indexes))
        .routes(routes!(named::describe_index, named::define_index, named::drop_index))
        .routes(routes!(named::list_checkpoints))
        .routes(routes!(named::get_checkpoint, append::move_checkpoint, named::delete_checkpoint))
        .routes(routes!(admin::head))
        .routes(routes!(admin::stat))
        .routes(routes!(admin::scavenge))
        .routes(routes!(admin::verify))
        .routes(routes!(admin::back_up))
        .routes(routes!(admin::metrics))
        .routes(routes!(cluster::status))
        .routes(routes!(cluster::drain))
        .routes(routes!(cluster::undrain))
        .routes(routes!(accounts::list_users, accounts::add_user))
        .routes(routes!(accounts::change_password))
        .routes(routes!(accounts::remove_user))
        .routes(routes!(accounts::list_groups, accounts::add_group))
        .routes(routes!(accounts::remove_group))
        .routes(routes!(accounts::add_member, accounts::remove_member))
        .routes(routes!(accounts::list_tokens, accounts::create_token))
        .routes(routes!(accounts::revoke_token))
        .routes(routes!(accounts::list_grants, accounts::add_grant))
        .routes(routes!(accounts::remove_grant))
        .merge(views::routes())
        .merge(connectors::routes())
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .split_for_parts();
    let document = openapi::finish(&api);
    // Made once: requests for them have no place among `limits.requests`.
    let described = ([(header::CONTENT_TYPE, "application/json")], Bytes::from(document));
    let errors = axum::response::Html(Bytes::from(errors::page()));
    let hold = from_fn_with_state(state.clone(), hold_answer);
    router
        // How to use the server is no secret, and whoever has no credentials yet needs it most.
        .route("/openapi.json", get(async move || described.clone()))
        .route("/errors", get(async move || errors.clone()))
        .route("/", get(links))
        .route("/health", get(links))
        .method_not_allowed_fallback(method_unknown)
        .with_state(state)
        .layer(hold)
        .layer(compression())
}

/// Compresses answers if the client accepts it: neither small ones nor subscriptions, whose events must
/// not wait in a compressor.
fn compression() -> CompressionLayer<impl Predicate> {
    let worthwhile = DefaultPredicate::new().and(SizeAbove::new(SMALL_ANSWER));
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(worthwhile)
}

/// Answers with where to go on.
async fn links() -> axum::Json<serde_json::Value> {
    axum::Json(serde_json::json!({
        "is": "Leftfold, an event-sourcing database",
        "api": "/openapi.json",
        "errors": "/errors",
        "live": "/health/live",
        "ready": "/health/ready",
        "metrics": "/metrics",
        "events": "/v1/events",
        "streams": "/v1/streams",
        "views": "/v1/views",
        "connectors": "/v1/connectors",
    }))
}

async fn method_unknown(method: axum::http::Method, uri: Uri) -> Problem {
    Problem::new("method_unknown", format!("{} does not take method {method}", uri.path()))
}

/// Answers a request that no route of any protocol takes.
pub(crate) async fn path_unknown(headers: HeaderMap, uri: Uri) -> Response {
    if is_grpc(&headers) {
        let headers = [(header::CONTENT_TYPE, "application/grpc")];
        // UNIMPLEMENTED. The errors of gRPC travel in answers with HTTP status 200.
        return (StatusCode::OK, headers, [("grpc-status", "12")], ()).into_response();
    }
    let path = uri.path();
    if path.starts_with("/v1/") && (path.ends_with('/') || path.contains("//")) {
        let message = format!(
            "a name in {path} is empty; a name has 1 to {MAX_NAME} bytes of \
             UTF-8 without control characters"
        );
        return Problem::new("name_invalid", message).into_response();
    }
    Problem::new("path_unknown", format!("there is no {path}")).into_response()
}
