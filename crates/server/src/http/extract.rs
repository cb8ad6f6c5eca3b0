//! Extractors of the parts of a request; each fails with a problem document.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Path, Query as QueryString, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::body::{self, Memory, Most};
use super::json::guard;
use super::problem::Problem;
use super::wording;
use crate::access::Caller;
use crate::limits::{Client, Lease, MemoryFull, Reservation};
use crate::state::State;

/// The caller of the request, who was authenticated when it was admitted.
pub(super) struct RequestCaller(pub(super) Caller);

impl FromRequestParts<Arc<State>> for RequestCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<State>) -> Result<Self, Problem> {
        Ok(RequestCaller(Caller::of(&parts.extensions)?))
    }
}

/// The authenticated caller of an append, who may append something. Others are refused before their
/// body is received.
pub(super) struct AppendCaller(pub(super) Caller);

impl FromRequestParts<Arc<State>> for AppendCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Problem> {
        let RequestCaller(caller) = RequestCaller::from_request_parts(parts, state).await?;
        caller.may_append_some()?;
        Ok(AppendCaller(caller))
    }
}

/// The parameters of the query string.
pub(super) struct QueryParams<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<State>> for QueryParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<State>) -> Result<Self, Problem> {
        let read = QueryString::<T>::try_from_uri(&parts.uri);
        read.map(|QueryString(params)| QueryParams(params))
            .map_err(|wrong| Problem::new("parameter_invalid", wording::plain(&wrong.body_text())))
    }
}

/// The parameters in the path, percent-decoded.
pub(super) struct PathParams<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<State>> for PathParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Problem> {
        let read = Path::<T>::from_request_parts(parts, state).await;
        read.map(|Path(names)| PathParams(names))
            .map_err(|wrong| Problem::new("parameter_invalid", wording::plain(&wrong.body_text())))
    }
}

/// A JSON body. Its memory stays reserved until the request is done.
pub(super) struct JsonBody<T> {
    pub(super) content: T,
    client: Client,
    memory: Vec<Lease>,
}

impl<T> JsonBody<T> {
    /// Reserves memory for what the content is translated into, if that is not counted as its parts.
    ///
    /// # Errors
    /// `server_overloaded`.
    pub(super) fn reserve(&mut self, state: &State, bytes: usize) -> Result<(), Problem> {
        let mut reservation = Reservation::new(state, self.client.clone());
        reservation.grow_to(bytes).map_err(|MemoryFull| body::memory_full())?;
        self.memory.extend(reservation.into_lease());
        Ok(())
    }
}

impl<T: DeserializeOwned> FromRequest<Arc<State>> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Arc<State>) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let message = "the body must be JSON: send content-type: application/json";
            return Err(Problem::new("media_type_unsupported", message));
        }
        let client = Caller::of(request.extensions())?.client();
        let (bytes, received) = receive(request, state, Most::of_all(state)).await?;
        let (content, parsed) = guard::parse(&bytes, Reservation::new(state, client.clone()))?;
        let memory = received.into_iter().chain(parsed.into_lease()).collect();
        Ok(JsonBody { content, client, memory })
    }
}

/// Receives a body within `limits.body_time`.
async fn receive(
    request: Request,
    state: &Arc<State>,
    most: Most,
) -> Result<(Bytes, Memory), Problem> {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let length: u64 = length.and_then(|length| length.parse().ok()).unwrap_or(0);
    if length > most.bytes {
        return Err(most.exceeded());
    }
    let within = state.config.body_time;
    let body = body::receive(request, state, most);
    tokio::time::timeout(within, body).await.unwrap_or_else(|_| {
        let message = format!("the body did not arrive within {within:?} (limits.body_time)");
        Err(Problem::new("body_late", message))
    })
}

/// A body with SQL: the file of a view, or a query of views.
pub(super) struct SqlBody(pub(super) String);

impl FromRequest<Arc<State>> for SqlBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Arc<State>) -> Result<Self, Problem> {
        Ok(SqlBody(receive_text(request, state, ["SQL", "application/sql"]).await?))
    }
}

/// A body with TOML: the file of a connector.
pub(super) struct TomlBody(pub(super) String);

impl FromRequest<Arc<State>> for TomlBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Arc<State>) -> Result<Self, Problem> {
        Ok(TomlBody(receive_text(request, state, ["TOML", "application/toml"]).await?))
    }
}

/// Receives the text of a definition, in a language with this media type.
async fn receive_text(
    request: Request,
    state: &Arc<State>,
    [language, media_type]: [&str; 2],
) -> Result<String, Problem> {
    let headers = request.headers();
    let is = |media_type: &str| media_type_of(headers).eq_ignore_ascii_case(media_type);
    // A web page of another site may send plain text without being asked whether it may.
    let is_right = is(media_type) || is("text/plain") && !headers.contains_key(ORIGIN);
    if !is_right {
        let message = format!(
            "the body must be {language}: send content-type: {media_type}, or text/plain if it is no web page that \
             sends it"
        );
        return Err(Problem::new("media_type_unsupported", message));
    }
    let (bytes, _memory) = receive(request, state, Most::of_definition(state)).await?;
    String::from_utf8(bytes.into()).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Problem::new("body_invalid", format!("the body is no UTF-8 from byte {at} on"))
    })
}

/// Returns the media type of a body, without its parameters.
fn media_type_of(headers: &HeaderMap) -> &str {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    value.split(';').next().unwrap_or("").trim()
}

pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    leftfold_api::is_json_type(value)
}

/// Returns whether the client accepts an answer of a media type.
pub(super) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let mut ranges = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let kind = media_type.split('/').next().unwrap_or("");
    let takes = |range: &str| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or("");
        let refused = parts.any(|part| part.replace(' ', "").trim_end_matches(['0', '.']) == "q=");
        let whole_kind = name.strip_suffix("/*") == Some(kind);
        !refused && (name == "*/*" || whole_kind || name.eq_ignore_ascii_case(media_type))
    };
    !headers.contains_key(header::ACCEPT) || ranges.any(|value| value.split(',').any(takes))
}
