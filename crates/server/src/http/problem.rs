//! Errors as problem documents (RFC 9457).

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use leftfold_api::{
    AdministrationError, AppendError, Coded, Conflict, Cursor, Expected, Invalid, Overlap,
    ReadError,
};
use leftfold_connect::connectors::ConnectorError;
use leftfold_views::ViewsError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{AccountError, Denial, Refusal};
use crate::administration::WorkError;
use crate::codes;
use crate::limits::PageError;

/// The media type of problem documents.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";
/// Seconds after which a request that met a shared limit may be tried again.
const RETRY_AFTER: &str = "1";

/// A problem document.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Where the code is described.
    #[schema(example = "/errors#wrong_version")]
    r#type: String,
    /// The same for every problem with this code.
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What was expected, what was found, and what to do.
    detail: String,
    /// A stable code.
    #[schema(example = "wrong_version")]
    pub(crate) code: &'static str,
    /// Whether the same request may succeed later without anything being changed.
    can_retry: bool,
    /// What was found instead of what a condition expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    found: Option<Box<ConflictDetails>>,
}

/// What was found instead of what was expected. Which members there are depends on the code.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct ConflictDetails {
    /// The stream that the condition is about, or whose event matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    stream: Option<String>,
    /// Where a stream or a checkpoint was expected, as it is written in requests; null for a
    /// checkpoint that was not expected to be set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    expected: Option<serde_json::Value>,
    /// Where it is: a stream's last version or a checkpoint's cursor; null for nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    actual: Option<serde_json::Value>,
    /// The query that an event matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    query: Option<String>,
    /// The first matching event's position.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    position: Option<u64>,
    /// The first matching event's type.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    event_type: Option<String>,
    /// The checkpoint's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    checkpoint: Option<String>,
    /// The event id that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    id: Option<String>,
    /// The version of the event that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    version: Option<u64>,
}

impl Problem {
    pub(crate) fn new(code: &str, detail: impl Into<String>) -> Self {
        let known = codes::find(code);
        Problem {
            r#type: format!("/errors#{}", known.code),
            title: known.title,
            status: known.http,
            detail: detail.into(),
            code: known.code,
            can_retry: matches!(known.http, 429 | 503),
            found: None,
        }
    }

    fn of(error: &(impl Coded + ?Sized), found: Option<ConflictDetails>) -> Self {
        let can_retry = error.can_retry();
        let found = found.map(Box::new);
        Problem { can_retry, found, ..Problem::new(error.code(), error.to_string()) }
    }

    /// Returns its JSON, for where it is a part of an answer.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Returns an expectation as requests write it.
fn expectation_json(expected: Expected) -> serde_json::Value {
    match expected {
        Expected::Any => "any".into(),
        Expected::NoStream => "no-stream".into(),
        Expected::Exists => "exists".into(),
        Expected::Exactly(version) => version.into(),
    }
}

fn cursor_json(cursor: Option<Cursor>) -> serde_json::Value {
    cursor.map(|cursor| cursor.to_string()).into()
}

impl ConflictDetails {
    fn of_conflict(conflict: &Conflict) -> Self {
        let nothing = ConflictDetails::default();
        match conflict.clone() {
            Conflict::Version { stream, expected, actual } => ConflictDetails {
                stream: Some(stream),
                expected: Some(expectation_json(expected)),
                actual: Some(actual.into()),
                ..nothing
            },
            Conflict::Query { query, position, stream, event_type } => ConflictDetails {
                stream: Some(stream),
                query: Some(query),
                position: Some(position),
                event_type: Some(event_type),
                ..nothing
            },
            Conflict::Checkpoint { name, expected, actual } => ConflictDetails {
                checkpoint: Some(name),
                expected: Some(cursor_json(expected)),
                actual: Some(cursor_json(actual)),
                ..nothing
            },
            Conflict::Tombstoned { stream } => ConflictDetails { stream: Some(stream), ..nothing },
            _ => nothing,
        }
    }

    fn of_overlap(overlap: &Overlap) -> Self {
        match overlap.clone() {
            Overlap::Partial { stream, id, version } | Overlap::Content { stream, id, version } => {
                ConflictDetails {
                    stream: Some(stream),
                    id: Some(id.to_string()),
                    version: Some(version),
                    ..ConflictDetails::default()
                }
            }
            _ => ConflictDetails::default(),
        }
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        let found = match &error {
            AppendError::Conflict(conflict) => Some(ConflictDetails::of_conflict(conflict)),
            AppendError::Overlap(overlap) => Some(ConflictDetails::of_overlap(overlap)),
            _ => None,
        };
        Problem::of(&error, found)
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        Problem::of(&error, None)
    }
}

impl From<PageError> for Problem {
    fn from(error: PageError) -> Self {
        match error {
            PageError::Read(error) => error.into(),
            error => Problem { can_retry: true, ..Problem::new(error.code(), error.to_string()) },
        }
    }
}

impl From<ConnectorError> for Problem {
    fn from(error: ConnectorError) -> Self {
        Problem::of(&error, None)
    }
}

impl From<ViewsError> for Problem {
    fn from(error: ViewsError) -> Self {
        Problem::of(&error, None)
    }
}

impl From<AdministrationError> for Problem {
    fn from(error: AdministrationError) -> Self {
        Problem::of(&*error, None)
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Problem::new(invalid.code, invalid.message)
    }
}

impl From<AccountError> for Problem {
    fn from(refused: AccountError) -> Self {
        match refused {
            AccountError::Denial(denied) => denied.into(),
            AccountError::Append(error) => error.into(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denial(denied) => denied.into(),
            Refusal::Invalid(invalid) => invalid.into(),
        }
    }
}

impl From<WorkError> for Problem {
    fn from(error: WorkError) -> Self {
        Problem::new(error.code(), error.message())
    }
}

impl From<Denial> for Problem {
    fn from(denied: Denial) -> Self {
        let can_retry = denied.can_retry();
        Problem { can_retry, ..Problem::new(denied.code(), denied.to_string()) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or_default();
        if status.is_server_error() {
            tracing::warn!(code = self.code, detail = self.detail, "a request failed");
        }
        let (code, can_retry) = (self.code, self.can_retry || self.status == 429);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if can_retry {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        if code == "unauthenticated" {
            let schemes = HeaderValue::from_static("Basic realm=\"leftfold\", Bearer");
            headers.insert(header::WWW_AUTHENTICATE, schemes);
        }
        response
    }
}

impl crate::access::ChangeError for Problem {
    fn audited_code(&self) -> String {
        self.code.to_owned()
    }
}
