//! What a request of a web hook has.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderName;
use ring::hmac;
use serde_json::{Value, json};

use crate::connectors::template::EventFields;

/// What a key begins with.
const PREFIX: &str = "whsec_";
/// The lengths of a key in bytes that Standard Webhooks allows.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

const ID: &str = "webhook-id";
const TIMESTAMP: &str = "webhook-timestamp";
const SIGNATURE: &str = "webhook-signature";

/// Signs the body of a request with its id and its time.
pub(super) struct Signer(hmac::Key);

impl Signer {
    /// Makes a signer of a key as Standard Webhooks writes it. The error does not show it.
    pub(super) fn new(secret: &str) -> Result<Self, String> {
        let wrong = || format!("is no key: expected {PREFIX} and base64 of 24 to 64 bytes");
        let bytes =
            STANDARD.decode(secret.strip_prefix(PREFIX).unwrap_or(secret)).map_err(|_| wrong())?;
        match KEY_BYTES.contains(&bytes.len()) {
            true => Ok(Signer(hmac::Key::new(hmac::HMAC_SHA256, &bytes))),
            false => Err(wrong()),
        }
    }

    fn sign(&self, id: &str, timestamp: &str, body: &str) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        for part in [id, ".", timestamp, ".", body] {
            context.update(part.as_bytes());
        }
        format!("v1,{}", STANDARD.encode(context.sign()))
    }
}

/// Whether a header is set by the connector itself.
pub(super) fn is_own(name: &HeaderName) -> bool {
    [
        ID,
        TIMESTAMP,
        SIGNATURE,
        "content-type",
        "content-length",
        "host",
        "transfer-encoding",
        "connection",
    ]
    .contains(&name.as_str())
}

/// Returns the headers of Standard Webhooks for a request that is sent now.
pub(super) fn own_headers(
    signer: Option<&Signer>,
    id: &str,
    body: &str,
) -> Vec<(&'static str, String)> {
    let now =
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().to_string();
    let signature = signer.map(|signer| (SIGNATURE, signer.sign(id, &now, body)));
    [(ID, id.to_owned()), (TIMESTAMP, now)].into_iter().chain(signature).collect()
}

/// Returns the usual body: the type, the time and the data of the event, and what identifies it.
pub(super) fn envelope(fields: &EventFields<'_>) -> Value {
    let event = fields.event;
    let mut body = json!({
        "type": event.event_type(),
        "timestamp": event.event_time().to_string(),
        "id": event.id().to_string(),
        "stream": event.stream(),
        "version": event.version(),
        "position": event.position(),
    });
    match fields.data() {
        Some(data) => body["data"] = data.clone(),
        // It is no JSON.
        None => body["data_base64"] = Value::String(STANDARD.encode(&*event.data())),
    }
    for (name, text) in
        [("correlation_id", event.correlation()), ("causation_id", event.causation())]
    {
        if let Some(text) = text {
            body[name] = text.into();
        }
    }
    body
}
