//! An event as JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use leftfold_api::{Recorded, is_json_type};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// An event as it is stored.
#[derive(Serialize, ToSchema)]
pub(crate) struct Event<'a> {
    /// Its place in the log, from 1.
    #[schema(minimum = 1)]
    position: u64,
    /// Its ordinal in the query, if the request asked for ordinals.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ordinal: Option<u64>,
    /// Its stream.
    #[schema(example = "order-1")]
    stream: &'a str,
    /// Its number in its stream, from 0.
    version: u64,
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    id: uuid::Uuid,
    /// What kind of event it is.
    #[schema(example = "OrderPlaced")]
    r#type: &'a str,
    /// When it happened; when it was stored, if its client gave no time.
    #[schema(format = "date-time")]
    event_time: String,
    /// Whether its client gave the event time.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    event_time_given: bool,
    /// When it was stored.
    #[schema(format = "date-time")]
    commit_time: String,
    /// What it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    correlation: Option<&'a str>,
    /// What caused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    causation: Option<&'a str>,
    /// Its tags, each `key=value`.
    #[schema(example = json!(["customer=42"]))]
    tags: Vec<String>,
    /// Its media type.
    #[schema(example = "application/json")]
    content_type: &'a str,
    /// The version of the data's shape.
    schema_version: u16,
    /// JSON about it, if there is any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    metadata: Option<&'a RawValue>,
    /// Bytes about it that are not JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    metadata_base64: Option<String>,
    /// Its data, where they are JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>, example = json!({"total": "9.90"}))]
    data: Option<&'a RawValue>,
    /// Its data in base64, where they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    data_base64: Option<String>,
}

/// JSON as it was written, without the white space around it; or base64.
fn shown(bytes: &[u8], may_be_json: bool) -> (Option<&RawValue>, Option<String>) {
    if bytes.is_empty() {
        return (None, None);
    }
    let json = serde_json::from_slice(bytes).ok().filter(|_| may_be_json);
    let base64 = json.is_none().then(|| STANDARD.encode(bytes));
    (json, base64)
}

/// Writes an event as JSON.
pub(crate) fn write(event: &Recorded, out: &mut Vec<u8>) -> serde_json::Result<()> {
    let (data, metadata) = (event.data(), event.metadata());
    let (data, data_base64) = shown(&data, is_json_type(event.content_type()));
    let (metadata, metadata_base64) = shown(&metadata, true);
    let shown = Event {
        position: event.position(),
        ordinal: event.ordinal(),
        stream: event.stream(),
        version: event.version(),
        id: event.id(),
        r#type: event.event_type(),
        event_time: event.event_time().to_string(),
        event_time_given: event.event_time_given(),
        commit_time: event.commit_time().to_string(),
        correlation: event.correlation(),
        causation: event.causation(),
        tags: event.tags().map(|(key, value)| format!("{key}={value}")).collect(),
        content_type: event.content_type(),
        schema_version: event.schema_version(),
        metadata,
        metadata_base64,
        data,
        data_base64,
    };
    serde_json::to_writer(out, &shown)
}
