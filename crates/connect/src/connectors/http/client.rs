//! What connectors that send requests share.

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Client, ClientBuilder, Response, Url};

/// The longest that a receiver can ask for by `Retry-After`.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
/// The bytes of an answer that are shown if it is an error.
const SHOWN_BYTES: usize = 512;

/// Parses the address of a receiver. A name or a password in it is refused: `instead` has a place for them.
pub(in crate::connectors) fn parse_url(text: &str, instead: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("url: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("url: expected http:// or https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("url: a name or password in it would be stored; use {instead}"));
    }
    Ok(url)
}

/// Returns a client that sends requests to one receiver alone.
pub(in crate::connectors) fn client_builder(timeout: Duration) -> ClientBuilder {
    // Another one may be installed already.
    _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        // A redirect may lead to an address that is not allowed.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(timeout)
        .user_agent(concat!("leftfold/", env!("CARGO_PKG_VERSION")))
}

/// Returns after which time the receiver wants another request.
pub(in crate::connectors) fn retry_after(answer: &Response) -> Option<Duration> {
    let value = answer.headers().get(RETRY_AFTER)?;
    let seconds: u64 = value.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

/// Returns the begin of an error's text, to be put behind its status.
pub(in crate::connectors) async fn first_bytes(mut answer: Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < SHOWN_BYTES {
        match answer.chunk().await {
            Ok(Some(chunk)) => bytes
                .extend_from_slice(chunk.get(..SHOWN_BYTES.min(chunk.len())).unwrap_or_default()),
            Ok(None) | Err(_) => break,
        }
    }
    match shown(&String::from_utf8_lossy(&bytes)).trim() {
        "" => String::new(),
        text => format!(": {text}"),
    }
}

/// Returns the begin of a text of the receiver, without control characters.
pub(in crate::connectors) fn shown(text: &str) -> String {
    let end = text.floor_char_boundary(SHOWN_BYTES);
    let begin = text.get(..end).unwrap_or_default();
    begin.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// Returns what went wrong with a request to a receiver, with its causes and without the url, which may be long.
pub(in crate::connectors) fn describe(error: &reqwest::Error, receiver: &str) -> String {
    let mut text = match error {
        error if error.is_timeout() => format!("{receiver} has not answered in time"),
        error if error.is_connect() => format!("{receiver} can't be reached"),
        _ => "the request was not answered".to_owned(),
    };
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
