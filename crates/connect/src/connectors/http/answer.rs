//! What the answers of a receiver mean.

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Response, StatusCode};

use crate::connectors::ConnectorError;
use crate::connectors::outlet::Undelivered;

/// The longest that a receiver can ask for by `Retry-After`.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
/// The bytes of an answer that are shown if it is an error.
const SHOWN_BYTES: usize = 512;

/// Decides what an answer means.
pub(super) async fn judge(answer: Response) -> Result<(), Undelivered> {
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    if status == StatusCode::GONE {
        let message = "the receiver answers 410 Gone: it wants no more events. Remove the connector, or resume it to try again";
        return Err(Undelivered::Stop(ConnectorError::unusable(message)));
    }
    if status.is_redirection() {
        let message =
            format!("the receiver answers {status}: redirects are not followed; change the url");
        return Err(Undelivered::Retry(message, None));
    }
    let after = answer
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let after = after.map(|seconds: u64| Duration::from_secs(seconds).min(LONGEST_WAIT));
    let shown = first_bytes(answer).await;
    Err(Undelivered::Retry(format!("the receiver answers {status}{shown}"), after))
}

/// Returns the begin of an error's text.
async fn first_bytes(mut answer: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < SHOWN_BYTES {
        match answer.chunk().await {
            Ok(Some(chunk)) => bytes
                .extend_from_slice(chunk.get(..SHOWN_BYTES.min(chunk.len())).unwrap_or_default()),
            Ok(None) | Err(_) => break,
        }
    }
    bytes.truncate(SHOWN_BYTES);
    let text: String = String::from_utf8_lossy(&bytes)
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    match text.trim() {
        "" => String::new(),
        text => format!(": {text}"),
    }
}

/// Returns what went wrong with a request, with its causes and without the url, which may be long.
pub(super) fn describe(error: &reqwest::Error) -> String {
    let what = match error {
        error if error.is_timeout() => "the receiver has not answered in time",
        error if error.is_connect() => "the receiver can't be reached",
        _ => "the request was not answered",
    };
    let mut text = what.to_owned();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}
