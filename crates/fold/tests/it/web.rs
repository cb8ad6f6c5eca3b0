//! Errors as answers over HTTP, and contexts of commands from headers.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::FromRequestParts;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::IntoResponse;
use leftfold::view::ViewError;
use leftfold::web::{Problem, Refusal, context_of};
use leftfold::{
    AppendError, CommandContext, Conflict, Cursor, ExecuteError, Failure, FoldError, Invalid,
    Overtaken, ReadError, Timestamp, Wait,
};
use pollster::block_on;
use uuid::Uuid;

#[derive(Debug, PartialEq, thiserror::Error)]
enum Refused {
    #[error("the room is taken")]
    Taken,
    #[error("there is no such room")]
    Unknown,
}

impl Refusal for Refused {
    fn status(&self) -> StatusCode {
        match self {
            Refused::Taken => StatusCode::UNPROCESSABLE_ENTITY,
            Refused::Unknown => StatusCode::NOT_FOUND,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Refused::Taken => "command_refused",
            Refused::Unknown => "room_unknown",
        }
    }
}

/// A refusal with the defaults.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("no")]
struct No;

impl Refusal for No {}

/// Checks the status, the code and `retry-after` of an answer.
#[track_caller]
fn check(error: impl IntoResponse, status: u16, code: &str, can_retry: bool) -> serde_json::Value {
    let response = error.into_response();
    assert_eq!(response.status().as_u16(), status, "{code}");
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(response.headers().contains_key("retry-after"), can_retry, "{code}");
    let body = block_on(to_bytes(response.into_body(), 1 << 16)).unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["code"], code);
    assert_eq!((&body["status"], &body["can_retry"]), (&status.into(), &can_retry.into()));
    body
}

#[test]
fn a_refusal_is_422_unless_it_chooses_another_status() {
    let body = check(ExecuteError::Refused(Refused::Taken), 422, "command_refused", false);
    let expected = serde_json::json!({
        "type": "about:blank",
        "title": "Unprocessable Entity",
        "status": 422,
        "detail": "the room is taken",
        "code": "command_refused",
        "can_retry": false,
    });
    assert_eq!(body, expected);
    check(ExecuteError::Refused(Refused::Unknown), 404, "room_unknown", false);
    check(ExecuteError::Refused(No), 422, "command_refused", false);
}

#[test]
fn what_the_same_request_may_lead_to_later_says_when_to_try_again() {
    let overtaken = Overtaken::new(16, "room-1", None);
    check(ExecuteError::<No>::Conflict(overtaken), 503, "command_overtaken", true);
    let wait = Wait::at_most(Duration::from_secs(1));
    check(ExecuteError::<No>::Waits(wait), 409, "command_waits", true);
    let late = ViewError::Late { cursor: Cursor::START, deadline: Timestamp(0) };
    check(late, 503, "view_late", true);
    check(
        FoldError::from(ReadError::from(Failure::Busy { attempts: 64 })),
        503,
        "store_busy",
        true,
    );
    let unreachable =
        Failure::Remote { code: "server_unreachable", message: "refused".into(), can_retry: true };
    check(Problem::from(AppendError::from(unreachable)), 503, "server_unreachable", true);
}

#[test]
fn conflicts_are_409_and_invalid_input_is_the_callers() {
    let conflict = Conflict::Tombstoned { stream: "room-1".into() };
    check(Problem::from(AppendError::from(conflict)), 409, "stream_tombstoned", false);
    let invalid = |code| ReadError::from(Invalid::new(code, "wrong"));
    check(Problem::from(invalid("cursor_invalid")), 400, "cursor_invalid", false);
    check(ExecuteError::<No>::from(invalid("query_too_large")), 413, "query_too_large", false);
}

#[test]
fn other_failures_are_the_services() {
    let full = Failure::DiskFull { message: "full".into() };
    check(Problem::from(AppendError::from(full)), 507, "disk_full", false);
    let rows = ViewError::Rows { message: "gone".into() };
    check(rows, 503, "view_rows_failed", true);
    // The service's own credentials for the store are not the caller's.
    let message = "the service has no grant".to_owned();
    let forbidden = Failure::Remote { code: "forbidden", message, can_retry: false };
    check(Problem::from(ReadError::from(forbidden)), 500, "forbidden", false);
}

fn context(headers: &[(&str, &str)]) -> Result<CommandContext, Problem> {
    let request = headers
        .iter()
        .fold(Request::builder(), |request, (name, value)| request.header(*name, *value));
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    block_on(CommandContext::from_request_parts(&mut parts, &()))
}

const KEY: &str = "8e03978e-40d5-43e8-bc93-6894a57f9324";
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn a_context_is_read_from_headers() {
    let id = Uuid::try_parse(KEY).unwrap();
    assert_eq!(context(&[]).unwrap(), CommandContext::new());
    assert_eq!(context(&[("idempotency-key", KEY)]).unwrap(), CommandContext::with_id(id));
    let quoted = format!("\"{KEY}\"");
    assert_eq!(context(&[("idempotency-key", &quoted)]).unwrap(), CommandContext::with_id(id));
    let text = |key| context(&[("idempotency-key", key)]).unwrap();
    assert_eq!(text("order 7"), text("\"order 7\""));
    assert!(text("order 7") != text("order 8") && text("order 7") != CommandContext::new());
    let correlated = CommandContext::new().correlation("c-1");
    assert_eq!(context(&[("x-correlation-id", "c-1")]).unwrap(), correlated);
    assert_eq!(
        context(&[("correlation-id", "c-1"), ("traceparent", TRACE)]).unwrap(),
        correlated.metadata("traceparent", TRACE)
    );
    let traced = CommandContext::new().correlation("0af7651916cd43dd8448eb211c80319c");
    assert_eq!(context(&[("traceparent", TRACE)]).unwrap(), traced.metadata("traceparent", TRACE));
}

#[test]
fn a_scope_keeps_the_keys_of_users_apart() {
    let mut headers = HeaderMap::new();
    headers.insert("idempotency-key", KEY.parse().unwrap());
    let [ann, again, bob] = ["ann", "ann", "bob"].map(|user| context_of(&headers, user).unwrap());
    assert_eq!(ann, again);
    assert!(ann != bob && ann != context_of(&headers, "").unwrap());
}

#[test]
fn an_invalid_trace_context_is_ignored() {
    for text in [
        "",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
    ] {
        assert_eq!(context(&[("traceparent", text)]).unwrap(), CommandContext::new(), "{text}");
    }
}

#[test]
fn invalid_headers_are_400() {
    let long = "x".repeat(256);
    for headers in [
        &[("idempotency-key", "")][..],
        &[("idempotency-key", "\"\"")],
        &[("idempotency-key", "ä")],
        &[("idempotency-key", &long)],
        &[("idempotency-key", KEY), ("idempotency-key", KEY)],
        &[("x-correlation-id", "")],
        &[("correlation-id", &long)],
    ] {
        let problem = context(headers).unwrap_err();
        assert!(problem.detail().contains(headers[0].0), "{problem:?}");
        check(problem, 400, "parameter_invalid", false);
    }
}
