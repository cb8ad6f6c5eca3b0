//! The OpenAPI document, generated from the routes and completed with what they have in common.

use serde_json::{Map, Value, json};
use utoipa::openapi::{Info, OpenApi, Paths, Tag};
use utoipa::{OpenApi as _, PartialSchema};

use super::problem::{MEDIA_TYPE, Problem};

#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(Problem)))]
struct Shapes;

const DESCRIPTION: &str = "\
An event-sourcing database. Errors are problem documents with stable codes, each described at \
`/errors`. Cursors are opaque: they resume a query exactly.";

/// Returns the head of the document.
pub(super) fn head() -> OpenApi {
    let mut api = Shapes::openapi();
    api.info = Info::new("Leftfold", env!("CARGO_PKG_VERSION"));
    api.info.description = Some(DESCRIPTION.to_owned());
    api.paths = Paths::new();
    let tags = [
        "events",
        "streams",
        "retention",
        "indexes",
        "checkpoints",
        "views",
        "connectors",
        "accounts",
        "store",
        "server",
    ];
    api.tags = Some(tags.map(Tag::new).to_vec());
    _ = Problem::schema();
    api
}

/// Returns the statuses of the errors that an operation may answer with.
fn statuses(path: &str, method: &str, has_body: bool) -> Vec<u16> {
    // A head that is too long is refused before its path is known.
    let mut statuses = vec![414, 429, 431, 500, 503];
    if path.starts_with("/health") {
        return statuses;
    }
    statuses.extend([400, 401, 403, 409, 413]);
    let reads_place = path.contains('{')
        || path == "/v1/events"
        || path == "/v1/subscribe"
        || path == "/v1/ordinal"
        || path == "/v1/tokens"
        || path == "/v1/grants"
        || path.starts_with("/v1/cluster");
    if reads_place {
        statuses.push(404);
    }
    if path.ends_with("/query") {
        statuses.extend([404, 406, 504]);
    }
    if method == "get" && path.contains("{version}") || path.contains("{position}") {
        statuses.push(406);
    }
    if has_body {
        statuses.extend([408, 415]);
    }
    if method != "get" {
        statuses.push(507);
    }
    statuses
}

fn problem(status: u16) -> Value {
    let title = axum::http::StatusCode::from_u16(status).ok();
    let title = title.and_then(|status| status.canonical_reason()).unwrap_or("Error");
    let content = json!({MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}});
    json!({"description": title, "content": content})
}

/// Gives formats their registered names: the generator writes `u-int64` for `uint64`.
fn name_formats(document: &mut Value) {
    match document {
        Value::Object(members) => {
            if let Some(Value::String(format)) = members.get_mut("format")
                && let Some(bits) = format.strip_prefix("u-int")
            {
                *format = format!("uint{bits}");
            }
            members.values_mut().for_each(name_formats);
        }
        Value::Array(items) => items.iter_mut().for_each(name_formats),
        _ => {}
    }
}

/// Returns the text of the document.
pub(super) fn finish(api: &OpenApi) -> String {
    let mut document = serde_json::to_value(api).unwrap_or_default();
    name_formats(&mut document);
    let none = &mut Map::new();
    for (path, item) in document["paths"].as_object_mut().unwrap_or(none) {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            let has_body = operation.get("requestBody").is_some();
            for status in statuses(path, method, has_body) {
                operation["responses"][status.to_string()] = problem(status);
            }
            for status in [414, 431] {
                operation["responses"][status.to_string()]["content"] = json!({});
            }
        }
    }
    let schemes = json!({
        "basic": {"type": "http", "scheme": "basic"},
        "bearer": {"type": "http", "scheme": "bearer"},
    });
    document["components"]["securitySchemes"] = schemes;
    document["security"] = json!([{}, {"basic": []}, {"bearer": []}]);
    document.to_string()
}
