use std::borrow::Cow;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use leftfold_api::{AppendError, Coded, Invalid, ReadError};
use serde::Serialize;

use super::status_of;
use crate::commands::AcceptError;
use crate::execute::{ExecuteError, FoldError};
use crate::view::ViewError;

/// The media type of problem documents.
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");
/// The seconds after which a request may be tried again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Why the domain refuses a command, as an answer over HTTP.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no HTTP status",
    label = "this refusal can't be an answer",
    note = "write `impl leftfold::web::Refusal for {Self} {{}}` for the status 422"
)]
pub trait Refusal: std::error::Error {
    /// Returns the status of the answer. By default it is 422.
    fn status(&self) -> StatusCode {
        StatusCode::UNPROCESSABLE_ENTITY
    }

    /// Returns the code in the answer, by which clients tell refusals apart. By default it is
    /// `command_refused`.
    fn code(&self) -> &'static str {
        "command_refused"
    }
}

impl Refusal for std::convert::Infallible {}

/// An error as an answer over HTTP: a problem document (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: String,
    can_retry: bool,
}

/// The body.
#[derive(Serialize)]
struct Document<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    can_retry: bool,
}

impl Problem {
    /// Makes a problem of the program's own.
    pub fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) -> Self {
        Problem { status, code: code.into(), detail: detail.into(), can_retry: false }
    }

    fn of(error: &impl Coded) -> Self {
        let (code, can_retry) = (error.code(), error.can_retry());
        Problem {
            status: status_of(code, can_retry),
            code: code.into(),
            detail: error.to_string(),
            can_retry,
        }
    }

    /// Returns the status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the code.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Returns the sentence.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = Document {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: &self.code,
            can_retry: self.can_retry,
        };
        let mut response = (self.status, Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, MEDIA_TYPE);
        if self.can_retry {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}

impl<R: Refusal + 'static> From<ExecuteError<R>> for Problem {
    fn from(error: ExecuteError<R>) -> Self {
        match error.refusal() {
            Some(refusal) => Problem::new(refusal.status(), refusal.code(), refusal.to_string()),
            None => Problem::of(&error),
        }
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Problem::new(status_of(invalid.code, false), invalid.code, invalid.message)
    }
}

macro_rules! answers {
    ($($error:ty),+) => {$(
        impl From<$error> for Problem {
            fn from(error: $error) -> Self {
                Problem::of(&error)
            }
        }

        impl IntoResponse for $error {
            fn into_response(self) -> Response {
                Problem::from(self).into_response()
            }
        }
    )+};
}

answers!(FoldError, ViewError, AcceptError);

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        Problem::of(&error)
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        Problem::of(&error)
    }
}

impl<R: Refusal + 'static> IntoResponse for ExecuteError<R> {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
