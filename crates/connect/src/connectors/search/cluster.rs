//! Requests to a cluster.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Certificate, Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;

use super::SearchSettings;
use crate::connectors::http::client::{client_builder, describe};
use crate::connectors::{ConnectorError, Secrets};

/// What errors call it.
pub(super) const CLUSTER: &str = "the search engine";
/// The most bytes of a file with authorities.
const MOST_CA_BYTES: u64 = 4 << 20;
/// The most bytes of an answer.
pub(super) const MOST_ANSWER_BYTES: usize = 4 << 20;

/// Sends requests to a cluster, as one user.
pub(super) struct Cluster {
    client: Client,
    url: Url,
    authorization: Option<HeaderValue>,
}

/// Why the body of an answer was not read.
#[derive(Debug)]
pub(super) enum BodyError {
    TooLarge,
    Cut(String),
}

impl Cluster {
    pub(super) fn new(
        settings: &SearchSettings,
        secrets: &Secrets,
    ) -> Result<Self, ConnectorError> {
        let url = settings.parsed_url().map_err(ConnectorError::Definition)?;
        let mut client = client_builder(settings.timeout());
        if let Some(path) = &settings.ca {
            client = client.tls_certs_only(read_authorities(path)?);
        }
        let client = client.build().map_err(ConnectorError::unusable)?;
        Ok(Cluster { client, url, authorization: authorization(settings, secrets)? })
    }

    /// Begins a request to a path of the cluster.
    pub(super) fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let request = self.client.request(method, url);
        match &self.authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization.clone()),
            None => request,
        }
    }

    /// Asks for JSON. Null is an answer that is none.
    pub(super) async fn ask(&self, request: RequestBuilder) -> Result<(StatusCode, Value), String> {
        let answer = request.send().await.map_err(|error| describe(&error, CLUSTER))?;
        let status = answer.status();
        let body = read_body(answer).await.map_err(|error| match error {
            BodyError::TooLarge => format!("the answer has more than {MOST_ANSWER_BYTES} bytes"),
            BodyError::Cut(reason) => reason,
        })?;
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    /// Returns where it is, for a person.
    pub(super) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }
}

/// Reads the body of an answer, up to a limit.
pub(super) async fn read_body(mut answer: Response) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MOST_ANSWER_BYTES => {
                return Err(BodyError::TooLarge);
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) => return Err(BodyError::Cut(describe(&error, CLUSTER))),
        }
    }
}

fn authorization(
    settings: &SearchSettings,
    secrets: &Secrets,
) -> Result<Option<HeaderValue>, ConnectorError> {
    let (reference, text) = match settings {
        SearchSettings { api_key: Some(key), .. } => {
            (key, format!("ApiKey {}", secrets.read(key)?.expose()))
        }
        SearchSettings { username: Some(name), password: Some(password), .. } => {
            let pair = format!("{name}:{}", secrets.read(password)?.expose());
            (password, format!("Basic {}", STANDARD.encode(pair)))
        }
        _ => return Ok(None),
    };
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| ConnectorError::Secret(format!("{reference} is no text of a header")))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn read_authorities(path: &Path) -> Result<Vec<Certificate>, ConnectorError> {
    let unusable = |why: String| ConnectorError::unusable(format!("ca: {}: {why}", path.display()));
    let length = std::fs::metadata(path).map_err(|error| unusable(error.to_string()))?.len();
    if length > MOST_CA_BYTES {
        return Err(unusable(format!("has {length} bytes, expected at most {MOST_CA_BYTES}")));
    }
    let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(unusable("expected certificates in PEM".to_owned())),
    }
}
