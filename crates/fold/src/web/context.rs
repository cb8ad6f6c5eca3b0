use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use uuid::Uuid;

use super::Problem;
use crate::execute::CommandContext;

/// The headers that may have the correlation id. The first one counts.
const CORRELATION: [&str; 2] = ["x-correlation-id", "correlation-id"];
/// The most bytes of a key or a correlation id.
const MAX_BYTES: usize = 255;
/// The longest `tracestate`, as its specification asks for.
const MAX_STATE: usize = 512;
/// The namespace of command ids that derive from keys.
const NAMESPACE: Uuid = Uuid::from_u128(0x6c65_6674_666f_6c64_8000_6964_656d_706f);

/// Reads the context of a command from the headers of a request; see [`context_of`].
///
/// A UUID in `idempotency-key` is the command's id as it is.
impl<S: Send + Sync> FromRequestParts<S> for CommandContext {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        context_of(&parts.headers, "")
    }
}

/// Returns the context of a command that a request brings.
///
/// - `idempotency-key`: the command's id, as text, in quotes or without. With a scope, such as
///   the name of the user, the id derives from the scope and the key, so that users can't meet each
///   other's keys. Without a scope a UUID is the id, and the id derives from any other text.
/// - `x-correlation-id` or `correlation-id`: the correlation id.
/// - `traceparent` and `tracestate` (W3C): metadata of the events; the trace id is the correlation id if
///   there is no other. An invalid one is ignored.
///
/// # Errors
/// 400 `parameter_invalid`: a header is given twice, is empty, has more than 255 bytes, or is not
/// ASCII text.
pub fn context_of(headers: &HeaderMap, scope: &str) -> Result<CommandContext, Problem> {
    let mut context = match text_of(headers, "idempotency-key")? {
        Some(key) => CommandContext::with_id(id_of(scope, key)?),
        None => CommandContext::new(),
    };
    let mut correlation = None;
    for name in CORRELATION {
        correlation = correlation.or(text_of(headers, name)?);
    }
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let parent = text("traceparent");
    let trace = parent.and_then(trace_id);
    if let (Some(parent), Some(_)) = (parent, trace) {
        context = context.metadata("traceparent", parent);
        if let Some(state) = text("tracestate").filter(|state| state.len() <= MAX_STATE) {
            context = context.metadata("tracestate", state);
        }
    }
    if let Some(correlation) = correlation.or(trace) {
        context = context.correlation(correlation);
    }
    Ok(context)
}

fn id_of(scope: &str, key: &str) -> Result<Uuid, Problem> {
    let quoted = key.strip_prefix('"').and_then(|key| key.strip_suffix('"'));
    let key = quoted.unwrap_or(key);
    match (scope, Uuid::try_parse(key)) {
        _ if key.is_empty() => Err(invalid("idempotency-key", "is empty")),
        ("", Ok(id)) => Ok(id),
        _ => {
            let name = format!("{}:{scope}:{key}", scope.len());
            Ok(Uuid::new_v5(&NAMESPACE, name.as_bytes()))
        }
    }
}

fn text_of<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().map_err(|_| invalid(name, "is not ASCII text"))?;
    match text.len() {
        _ if values.next().is_some() => Err(invalid(name, "is given twice")),
        0 => Err(invalid(name, "is empty")),
        1..=MAX_BYTES => Ok(Some(text)),
        _ => Err(invalid(name, "has more than 255 bytes")),
    }
}

/// Returns the trace id of a `traceparent`, such as `00-TRACE-PARENT-01`.
fn trace_id(text: &str) -> Option<&str> {
    let is_hex = |text: &str, digits: usize| {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        text.len() == digits && text.bytes().all(hex)
    };
    if text.len() > MAX_BYTES {
        return None;
    }
    let is_zero = |text: &str| text.bytes().all(|byte| byte == b'0');
    let mut parts = text.split('-');
    let (version, trace, parent, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    // Later versions may have more parts.
    let is_valid = is_hex(version, 2)
        && version != "ff"
        && (version != "00" || parts.next().is_none())
        && is_hex(trace, 32)
        && !is_zero(trace)
        && is_hex(parent, 16)
        && !is_zero(parent)
        && is_hex(flags, 2);
    is_valid.then_some(trace)
}

fn invalid(header: &str, what: &str) -> Problem {
    let detail = format!("the header {header} {what}");
    Problem::new(StatusCode::BAD_REQUEST, "parameter_invalid", detail)
}
