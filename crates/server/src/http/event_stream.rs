//! Answers of server-sent events.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use http_body::Frame;
use leftfold_api::Cursor;
use tokio::sync::mpsc;

use super::problem::Problem;
use crate::state::LongLived;

/// Returns the answer of which each text is sent as its client takes it.
pub(super) fn event_stream(texts: mpsc::Receiver<Bytes>) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // A proxy must not collect events before it passes them on.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, Extension(LongLived), Body::new(Texts(texts))).into_response()
}

/// The body of the answer.
struct Texts(mpsc::Receiver<Bytes>);

impl http_body::Body for Texts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let text = self.get_mut().0.poll_recv(context);
        text.map(|text| text.map(|text| Ok(Frame::data(text))))
    }
}

/// Returns the last message, which says why the answer ends.
pub(super) fn problem_message(problem: &Problem) -> Bytes {
    let mut text = Vec::new();
    write_problem(&mut text, problem);
    text.into()
}

/// Returns the problem of an answer that ends with the server.
pub(super) fn closing() -> Problem {
    Problem::new("server_closing", "the server is shutting down")
}

/// Writes the message of a problem.
pub(super) fn write_problem(text: &mut Vec<u8>, problem: &Problem) {
    write_message(text, Some("problem"), None, problem.to_json().as_bytes());
}

/// Writes a message. JSON keeps its meaning where its lines are told apart another way.
pub(super) fn write_message(
    text: &mut Vec<u8>,
    kind: Option<&str>,
    cursor: Option<&Cursor>,
    json: &[u8],
) {
    if let Some(kind) = kind {
        text.extend_from_slice(format!("event: {kind}\n").as_bytes());
    }
    if let Some(cursor) = cursor {
        text.extend_from_slice(format!("id: {cursor}\n").as_bytes());
    }
    for line in json.split(|byte| [b'\n', b'\r'].contains(byte)) {
        text.extend_from_slice(b"data: ");
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    text.push(b'\n');
}
