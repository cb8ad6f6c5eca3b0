//! The table `[redis]` of a definition.

use std::path::PathBuf;
use std::time::Duration;

use leftfold_api::Recorded;
use redis::RedisConnectionInfo;
use serde::Deserialize;
use url::Url;

use super::super::retry::Span;
use super::super::socket::ServerAddress;
use super::super::template::Template;
use super::super::tls::client_config;
use super::super::{ConnectorError, SecretRef, Secrets};

/// The port of a URL without one.
const PORT: u16 = 6379;
/// The most rules of a definition, and the most types of a rule.
const MOST_RULES: usize = 100;

/// The table `[redis]` of a definition.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedisSettings {
    /// Without a name or password.
    url: String,
    username: Option<String>,
    password: Option<SecretRef>,
    /// A file with the authorities that are trusted, instead of those of the system.
    ca: Option<PathBuf>,
    #[serde(default, rename = "rule")]
    pub(super) rules: Vec<Rule>,
}

/// A command for the events of some types.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "RuleSettings")]
pub(super) struct Rule {
    /// All types, if there is none.
    types: Option<Vec<String>>,
    pub(super) action: Action,
}

/// What is done for an event.
#[derive(Debug, Clone)]
pub(super) enum Action {
    Set { key: Template, value: Template, expire: Option<Duration> },
    Delete { key: Template },
    Publish { channel: Template, message: Template },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleSettings {
    types: Option<Vec<String>>,
    set: Option<Template>,
    value: Option<Template>,
    expire: Option<Span>,
    delete: Option<Template>,
    publish: Option<Template>,
    message: Option<Template>,
}

impl Rule {
    /// Whether it is for an event.
    pub(super) fn is_for(&self, event: &Recorded) -> bool {
        let is_type = |types: &Vec<String>| types.iter().any(|one| one == event.event_type());
        self.types.as_ref().is_none_or(is_type)
    }
}

impl TryFrom<RuleSettings> for Rule {
    type Error = String;

    fn try_from(settings: RuleSettings) -> Result<Self, String> {
        let RuleSettings { types, set, value, expire, delete, publish, message } = settings;
        if (value.is_some() || expire.is_some()) && set.is_none() {
            return Err("value and expire are of a rule with set".to_owned());
        }
        if message.is_some() && publish.is_none() {
            return Err("message is of a rule with publish".to_owned());
        }
        if expire.is_some_and(|expire| expire.0.is_zero()) {
            return Err("expire: expected 1ms to 7d".to_owned());
        }
        if types.as_ref().is_some_and(|types| !(1..=MOST_RULES).contains(&types.len())) {
            return Err(format!("types: expected 1 to {MOST_RULES}, or leave it out for all"));
        }
        let data = || Template::parse("{data}");
        let action = match (set, delete, publish) {
            (Some(key), None, None) => {
                let value = value.map_or_else(data, Ok)?;
                Action::Set { key, value, expire: expire.map(|expire| expire.0) }
            }
            (None, Some(key), None) => Action::Delete { key },
            (None, None, Some(channel)) => {
                Action::Publish { channel, message: message.map_or_else(data, Ok)? }
            }
            _ => return Err("a rule has one of set, delete and publish".to_owned()),
        };
        Ok(Rule { types, action })
    }
}

/// Where Redis is.
struct Location {
    host: String,
    port: u16,
    database: i64,
    has_tls: bool,
}

impl RedisSettings {
    /// Whether each key that is set or deleted is of one stream.
    pub(super) fn has_keys_of_streams(&self) -> bool {
        self.rules.iter().all(|rule| match &rule.action {
            Action::Set { key, .. } | Action::Delete { key } => key.names_stream(),
            Action::Publish { .. } => true,
        })
    }

    /// Checks what can be checked without a connection.
    pub(crate) fn check(&self) -> Result<(), String> {
        let location = self.location()?;
        if self.ca.is_some() && !location.has_tls {
            return Err("ca: the url has no TLS; write rediss://".to_owned());
        }
        if self.username.is_some() && self.password.is_none() {
            return Err("username: a password is missing".to_owned());
        }
        if !(1..=MOST_RULES).contains(&self.rules.len()) {
            return Err(format!("expected 1 to {MOST_RULES} tables [[redis.rule]]"));
        }
        Ok(())
    }

    fn location(&self) -> Result<Location, String> {
        let expected = "url: expected redis://HOST:6379 or rediss://HOST:6379, with /NUMBER of a database if it is another than 0";
        let url: Url = self.url.parse().map_err(|_| expected.to_owned())?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("url: a name or password in it would be stored; use username and password = \"env:NAME\"".to_owned());
        }
        let has_tls = match url.scheme() {
            "redis" => false,
            "rediss" => true,
            _ => return Err(expected.to_owned()),
        };
        if url.query().is_some() || url.fragment().is_some() {
            return Err(expected.to_owned());
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(expected)?;
        // An address of IPv6 is in brackets.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let database = match url.path().trim_start_matches('/') {
            "" => 0,
            number => number.parse::<u16>().map_err(|_| expected.to_owned())?.into(),
        };
        Ok(Location { host, port: url.port().unwrap_or(PORT), database, has_tls })
    }

    /// Returns where and how to connect.
    pub(super) fn server(
        &self,
        secrets: &Secrets,
    ) -> Result<(ServerAddress, RedisConnectionInfo), ConnectorError> {
        let location = self.location().map_err(ConnectorError::Definition)?;
        let tls = location.has_tls.then(|| client_config(self.ca.as_deref())).transpose()?;
        let mut info = RedisConnectionInfo::default().set_db(location.database);
        if let Some(username) = &self.username {
            info = info.set_username(username);
        }
        if let Some(reference) = &self.password {
            info = info.set_password(secrets.read(reference)?.expose());
        }
        Ok((ServerAddress { host: location.host, port: location.port, tls }, info))
    }
}
