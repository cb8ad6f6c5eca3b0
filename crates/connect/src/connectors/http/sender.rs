//! Sends requests to a receiver.

use std::fmt::Write;

use leftfold_api::{Recorded, Timestamp};
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Client, Url};
use sha2::{Digest, Sha256};

use super::address::PublicOnly;
use super::answer::judge;
use super::client::{client_builder, describe};
use super::request::{self, Signer};
use super::{HttpSettings, REQUESTS, TIMEOUT};
use crate::connectors::batch::{BatchLimits, Batches, Delivered};
use crate::connectors::outlet::{Attempt, Outlet, Undelivered};
use crate::connectors::template::{EventFields, Template};
use crate::connectors::{ConnectorError, Secrets};

/// The largest batch, in bytes of the bodies of its events.
const BATCH_BYTES: usize = 1 << 20;

/// Sends requests to a receiver.
pub(super) struct Sender {
    pub(super) client: Client,
    pub(super) url: Url,
    signer: Option<Signer>,
    headers: Vec<(HeaderName, Template)>,
    secret_headers: Vec<(HeaderName, HeaderValue)>,
    body: Option<Template>,
    content_type: HeaderValue,
}

/// A request that is about to be sent.
struct Request {
    id: String,
    /// The time of its event, or of the latest one.
    time: Timestamp,
    body: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Sender {
    pub(super) fn new(settings: &HttpSettings, secrets: &Secrets) -> Result<Self, ConnectorError> {
        let invalid = |what: String| ConnectorError::Definition(what);
        let url = settings.parsed_url().map_err(invalid)?;
        let timeout = settings.timeout.map_or(TIMEOUT, |timeout| timeout.0);
        let mut client = client_builder(timeout);
        if !settings.allow_private {
            client = client.dns_resolver(PublicOnly);
        }
        let client = client.build().map_err(ConnectorError::unusable)?;
        let signer = settings.secret.as_ref().map(|reference| {
            Signer::new(secrets.read(reference)?.expose())
                .map_err(|why| ConnectorError::Secret(format!("{reference} {why}")))
        });
        let header_name = |name: &String| {
            HeaderName::try_from(name.as_str())
                .map_err(|_| ConnectorError::Definition(format!("{name:?} is no name of a header")))
        };
        let mut headers = Vec::new();
        for (name, template) in &settings.headers {
            headers.push((header_name(name)?, template.clone()));
        }
        let mut secret_headers = Vec::new();
        for (name, reference) in &settings.secret_headers {
            let mut value =
                HeaderValue::try_from(secrets.read(reference)?.expose()).map_err(|_| {
                    ConnectorError::Secret(format!("{reference} is no text of a header"))
                })?;
            value.set_sensitive(true);
            secret_headers.push((header_name(name)?, value));
        }
        let content_type = settings.content_type.as_deref().unwrap_or("application/json");
        let content_type = HeaderValue::try_from(content_type).map_err(|_| {
            ConnectorError::Definition("content_type is no text of a header".to_owned())
        })?;
        let body = settings.body.clone();
        Ok(Sender {
            client,
            url,
            signer: signer.transpose()?,
            headers,
            secret_headers,
            body,
            content_type,
        })
    }

    /// Returns the request of one event.
    fn request(&self, event: &Recorded, id: String) -> Result<Request, Undelivered> {
        let fields = EventFields::new(event);
        let body = match &self.body {
            Some(template) => template.render(&fields).map_err(Undelivered::Refused)?,
            None => request::envelope(&fields).to_string(),
        };
        let mut headers = Vec::with_capacity(self.headers.len());
        for (name, template) in &self.headers {
            let text = template.render(&fields).map_err(Undelivered::Refused)?;
            let value = HeaderValue::try_from(text).map_err(|_| {
                Undelivered::Refused(format!(
                    "the header {name} would have a line break or another control character"
                ))
            })?;
            headers.push((name.clone(), value));
        }
        Ok(Request { id, time: event.event_time(), body, headers })
    }

    async fn send(&self, Request { id, body, headers, .. }: Request) -> Delivered {
        let mut request =
            self.client.post(self.url.clone()).header("content-type", self.content_type.clone());
        for (name, value) in headers.iter().chain(&self.secret_headers) {
            request = request.header(name, value.clone());
        }
        for (name, value) in request::own_headers(self.signer.as_ref(), &id, &body) {
            request = request.header(name, value);
        }
        let answer = request.body(body).send().await.map_err(|error| match error.is_connect() {
            true => Undelivered::NotTaken(describe(&error, "the receiver")),
            false => Undelivered::Retry(describe(&error, "the receiver"), None),
        })?;
        judge(answer).await
    }
}

/// Delivers each event in a request of its own.
pub(super) struct Single(pub(super) Sender);

impl Outlet for Single {
    async fn deliver(&self, event: &Recorded, attempt: Attempt) -> Delivered {
        self.0.send(self.0.request(event, attempt.key.to_string())?).await
    }
}

/// Delivers events in batches. One that has failed is sent again in a batch of its own, so that it takes no other with it.
pub(super) struct Batched {
    sender: Sender,
    batches: Batches<Request>,
}

impl Batched {
    pub(super) fn new(sender: Sender, events: usize) -> Self {
        let limits = BatchLimits { items: events, bytes: BATCH_BYTES, requests: REQUESTS };
        Batched { sender, batches: Batches::new(limits) }
    }

    async fn send(&self, requests: Vec<Request>) -> Vec<Delivered> {
        let count = requests.len();
        vec![self.sender.send(one_of(requests)).await; count]
    }
}

impl Outlet for Batched {
    async fn deliver(&self, event: &Recorded, attempt: Attempt) -> Delivered {
        let request = self.sender.request(event, attempt.key.to_string())?;
        if attempt.number > 1 {
            return self.batches.alone(|| self.sender.send(one_of(vec![request]))).await;
        }
        let bytes = request.body.len();
        self.batches.deliver(request, bytes, |requests| self.send(requests)).await
    }
}

/// Returns the request of a batch: its id and body are the same whenever it has the same events.
fn one_of(requests: Vec<Request>) -> Request {
    let mut digest = Sha256::new();
    let mut data = String::from("[");
    let (mut headers, mut time) = (Vec::new(), Timestamp::MIN);
    for (n, request) in requests.into_iter().enumerate() {
        digest.update(request.id);
        let comma = if n == 0 { "" } else { "," };
        data.push_str(comma);
        data.push_str(&request.body);
        // They are the same for all.
        headers = request.headers;
        time = time.max(request.time);
    }
    data.push(']');
    let mut id = String::from("batch-");
    for byte in digest.finalize().iter().take(16) {
        // Writing to a text can't fail.
        _ = write!(id, "{byte:02x}");
    }
    let body = format!(r#"{{"type":"events","timestamp":"{time}","data":{data}}}"#);
    Request { id, time, body, headers }
}
