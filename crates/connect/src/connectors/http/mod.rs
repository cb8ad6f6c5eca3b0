//! Web hooks: each event, or each batch of events, is one request, signed as [Standard Webhooks](https://www.standardwebhooks.com) says.

mod address;
mod answer;
pub(super) mod client;
mod request;
mod sender;

use std::collections::BTreeMap;
use std::time::Duration;

use leftfold_api::{Coded, EventStore};
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use serde::Deserialize;

use self::address::check_host;
use self::client::{describe, parse_url};
use self::sender::{Batched, Sender, Single};
use super::definition::MOST_IN_FLIGHT;
use super::kind::{Check, Run};
use super::outlet::{Pace, run_outlet};
use super::retry::Span;
use super::template::Template;
use super::{ConnectorError, SecretRef, Secrets};

/// Requests at a time, if the definition does not say.
const IN_FLIGHT: usize = 16;
/// Requests with batches at a time.
const REQUESTS: usize = 4;
/// The most events in a request that a definition can ask for.
const MOST_BATCHED: usize = 1_000;
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
    /// The most events in a request; without it, each event has its own.
    batch: Option<usize>,
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
        if let Some(events) = self.batch {
            self.check_batch(events)?;
        }
        if let Some(content_type) = &self.content_type {
            HeaderValue::try_from(content_type)
                .map_err(|_| "content_type is no text of a header".to_owned())?;
        }
        Ok(())
    }

    fn check_batch(&self, events: usize) -> Result<(), String> {
        if !(1..=MOST_BATCHED).contains(&events) {
            return Err(format!("batch: expected 1 to {MOST_BATCHED} events"));
        }
        if self.body.is_some() || self.content_type.is_some() {
            return Err("batch: the events of a request have the usual body; leave out body and content_type".to_owned());
        }
        match self.headers.iter().find(|header| header.1.fixed().is_none()) {
            Some((name, _)) => {
                Err(format!("batch: the header {name} would be another one for each event"))
            }
            None => Ok(()),
        }
    }

    fn parsed_url(&self) -> Result<Url, String> {
        let url = parse_url(&self.url, "secret_headers")?;
        check_host(&url, self.allow_private)?;
        Ok(url)
    }
}

/// Runs a connector.
pub(crate) async fn run<S: EventStore + 'static>(
    settings: &HttpSettings,
    run: Run<S>,
) -> Result<(), ConnectorError> {
    let sender = Sender::new(settings, &run.secrets)?;
    match settings.batch {
        None => run_outlet(run, Single(sender), Pace::by_stream(IN_FLIGHT)).await,
        Some(events) => {
            let pace = Pace::batched(events.saturating_mul(REQUESTS).min(MOST_IN_FLIGHT));
            run_outlet(run, Batched::new(sender, events), pace).await
        }
    }
}

/// Connects with the receiver: a request by `OPTIONS` has no effect.
pub(crate) async fn check(settings: &HttpSettings, secrets: &Secrets) -> Check {
    let mut check = Check::default();
    let sender = match Sender::new(settings, secrets) {
        Ok(sender) => sender,
        Err(error) => {
            check.note(
                "settings and secrets",
                Err::<String, _>(format!("{error} ({})", error.code())),
            );
            return check;
        }
    };
    check.note("settings and secrets", Ok::<_, String>("are as they must be"));
    let asked = sender.client.request(reqwest::Method::OPTIONS, sender.url.clone()).send().await;
    let found = asked
        .map(|answer| format!("answers {}", answer.status()))
        .map_err(|error| describe(&error, "the receiver"));
    check.note(format!("the receiver {}", sender.url.host_str().unwrap_or_default()), found);
    check
}
