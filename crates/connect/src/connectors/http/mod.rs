//! Web hooks: each event is one request, signed as [Standard Webhooks](https://www.standardwebhooks.com) says.

mod address;
mod answer;
mod request;

use std::collections::BTreeMap;
use std::time::Duration;

use leftfold_api::{Coded, EventStore, Recorded};
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Client, Url};
use serde::Deserialize;
use uuid::Uuid;

use self::address::{PublicOnly, check_host};
use self::answer::{describe, judge};
use self::request::Signer;
use super::kind::{Check, Run};
use super::outlet::{Outlet, Pace, Undelivered, run_outlet};
use super::retry::Span;
use super::template::{EventFields, Template};
use super::{ConnectorError, SecretRef, Secrets};

/// Requests at a time, if the definition does not say.
const IN_FLIGHT: usize = 16;
/// How long a request may take, if the definition does not say.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The longest time for a request; below the limit for one delivery.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The table `[http]` of a definition.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpSettings {
    url: String,
    /// The key of the signatures: `whsec_` and base64.
    secret: Option<SecretRef>,
    #[serde(default)]
    headers: BTreeMap<String, Template>,
    /// Headers with a secret, such as `authorization`.
    #[serde(default)]
    secret_headers: BTreeMap<String, SecretRef>,
    /// Instead of the usual envelope.
    body: Option<Template>,
    content_type: Option<String>,
    timeout: Option<Span>,
    /// Whether addresses that only this network knows are allowed.
    #[serde(default)]
    allow_private: bool,
}

/// Returns the pauses that Standard Webhooks recommends.
pub(crate) fn usual_schedule() -> Vec<Duration> {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    let seconds = [
        5,
        5 * MINUTE,
        30 * MINUTE,
        2 * HOUR,
        5 * HOUR,
        10 * HOUR,
        14 * HOUR,
        20 * HOUR,
        24 * HOUR,
    ];
    seconds.map(Duration::from_secs).to_vec()
}

impl HttpSettings {
    /// Checks what can be checked without a connection.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.parsed_url()?;
        for name in self.headers.keys().chain(self.secret_headers.keys()) {
            let parsed = HeaderName::try_from(name.as_str())
                .map_err(|_| format!("{name:?} is no name of a header"))?;
            if request::is_own(&parsed) {
                return Err(format!("the header {parsed} is set by the connector itself"));
            }
        }
        if self.timeout.is_some_and(|timeout| timeout.0 > LONGEST_TIMEOUT || timeout.0.is_zero()) {
            return Err(format!("timeout: expected at most {}s", LONGEST_TIMEOUT.as_secs()));
        }
        if let Some(content_type) = &self.content_type {
            HeaderValue::try_from(content_type)
                .map_err(|_| "content_type is no text of a header".to_owned())?;
        }
        Ok(())
    }

    fn parsed_url(&self) -> Result<Url, String> {
        let url: Url = self.url.parse().map_err(|error| format!("url: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("url: expected http:// or https://".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "url: a name or password in it would be stored; use secret_headers".to_owned()
            );
        }
        check_host(&url, self.allow_private)?;
        Ok(url)
    }
}

/// Sends requests to a receiver.
struct HttpOutlet {
    client: Client,
    url: Url,
    signer: Option<Signer>,
    headers: Vec<(HeaderName, Template)>,
    secret_headers: Vec<(HeaderName, HeaderValue)>,
    body: Option<Template>,
    content_type: HeaderValue,
}

impl HttpOutlet {
    fn new(settings: &HttpSettings, secrets: &Secrets) -> Result<Self, ConnectorError> {
        let invalid = |what: String| ConnectorError::Definition(what);
        let url = settings.parsed_url().map_err(invalid)?;
        let timeout = settings.timeout.map_or(TIMEOUT, |timeout| timeout.0);
        // Another one may be installed already.
        _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder()
            // A redirect may lead to an address that is not allowed.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(timeout)
            .user_agent(concat!("leftfold/", env!("CARGO_PKG_VERSION")));
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
        Ok(HttpOutlet {
            client,
            url,
            signer: signer.transpose()?,
            headers,
            secret_headers,
            body,
            content_type,
        })
    }
}

impl Outlet for HttpOutlet {
    async fn deliver(&self, event: &Recorded, key: Uuid) -> Result<(), Undelivered> {
        let (body, headers) = {
            let fields = EventFields::new(event);
            let body = match &self.body {
                Some(template) => template.render(&fields).map_err(Undelivered::Refused)?,
                None => request::envelope(&fields),
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
            (body, headers)
        };
        let id = key.to_string();
        let mut request =
            self.client.post(self.url.clone()).header("content-type", self.content_type.clone());
        for (name, value) in headers.iter().chain(&self.secret_headers) {
            request = request.header(name, value.clone());
        }
        for (name, value) in request::own_headers(self.signer.as_ref(), &id, &body) {
            request = request.header(name, value);
        }
        let answer = request
            .body(body)
            .send()
            .await
            .map_err(|error| Undelivered::Retry(describe(&error), None))?;
        judge(answer).await
    }
}

/// Runs a connector.
pub(crate) async fn run<S: EventStore + 'static>(
    settings: &HttpSettings,
    run: Run<S>,
) -> Result<(), ConnectorError> {
    let outlet = HttpOutlet::new(settings, &run.secrets)?;
    run_outlet(run, outlet, Pace::by_stream(IN_FLIGHT)).await
}

/// Connects with the receiver: a request by `OPTIONS` has no effect.
pub(crate) async fn check(settings: &HttpSettings, secrets: &Secrets) -> Check {
    let mut check = Check::default();
    let outlet = match HttpOutlet::new(settings, secrets) {
        Ok(outlet) => outlet,
        Err(error) => {
            check.note(
                "settings and secrets",
                Err::<String, _>(format!("{error} ({})", error.code())),
            );
            return check;
        }
    };
    check.note("settings and secrets", Ok::<_, String>("are as they must be"));
    let asked = outlet.client.request(reqwest::Method::OPTIONS, outlet.url.clone()).send().await;
    let found = asked
        .map(|answer| format!("answers {}", answer.status()))
        .map_err(|error| describe(&error));
    check.note(format!("the receiver {}", outlet.url.host_str().unwrap_or_default()), found);
    check
}
