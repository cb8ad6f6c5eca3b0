//! The table `[outbox]` of a definition.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};

use super::super::retry::Span;
use super::super::{ConnectorError, SecretRef, Secrets};
use super::stream::StreamTemplate;
use super::table::{MOST_NAME, TableName};

/// Rows of an append, if the definition does not say.
const BATCH: usize = 500;
/// The most rows of an append, which is also the most that a store takes.
const MOST_BATCH: usize = 10_000;
/// The pause after all rows were relayed, if the definition does not say.
const POLL: Duration = Duration::from_millis(200);
/// The shortest and the longest such pause.
const POLLS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(60 * 60);
/// How long one address of the server may take to answer.
const CONNECT: Duration = Duration::from_secs(5);
/// How long the server may leave a packet without an answer.
const SILENCE: Duration = Duration::from_secs(15);
/// After how long without packets the connection is probed.
const IDLE: Duration = Duration::from_secs(15);

/// The table `[outbox]` of a definition.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutboxSettings {
    /// Without a password.
    url: Option<String>,
    password: Option<SecretRef>,
    /// A whole url, with its password.
    url_secret: Option<SecretRef>,
    /// A file with the authorities that are trusted, instead of those of the system.
    pub(super) ca: Option<PathBuf>,
    #[serde(default)]
    pub(super) table: TableName,
    #[serde(default)]
    pub(super) stream: StreamTemplate,
    batch: Option<usize>,
    poll: Option<Span>,
    #[serde(default)]
    pub(super) after: After,
    #[serde(default)]
    pub(super) mode: Mode,
    slot: Option<String>,
    publication: Option<String>,
}

/// How rows come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    /// The table is read again and again.
    #[default]
    Polling,
    /// PostgreSQL sends what was inserted.
    Replication,
}

/// What becomes of a row whose event is in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum After {
    /// It is deleted.
    #[default]
    Delete,
    /// Its column `relayed_at` is set.
    Mark,
    /// It stays as it is.
    Keep,
}

impl OutboxSettings {
    /// Checks what can be checked without a connection.
    pub(crate) fn check(&self) -> Result<(), String> {
        match (&self.url, &self.url_secret) {
            (Some(url), None) => {
                let config = parse_url(url, "url")?;
                if config.get_password().is_some() {
                    return Err(
                        "url: a password in it would be stored; use password = \"env:NAME\""
                            .to_owned(),
                    );
                }
                if self.ca.is_some() && config.get_ssl_mode() != SslMode::Require {
                    return Err("ca: the url has no TLS; add ?sslmode=require".to_owned());
                }
            }
            (None, Some(_)) if self.password.is_some() => {
                return Err("password: the url of url_secret has it already".to_owned());
            }
            (None, Some(_)) => {}
            _ => return Err("expected either url or url_secret".to_owned()),
        }
        if !(1..=MOST_BATCH).contains(&self.batch()) {
            return Err(format!("batch is {}, expected 1 to {MOST_BATCH}", self.batch()));
        }
        if !POLLS.contains(&self.poll()) {
            return Err("poll: expected 1ms to 1h".to_owned());
        }
        self.check_mode()
    }

    /// Whether it reads the log of PostgreSQL rather than the table.
    pub(crate) fn reads_log(&self) -> bool {
        self.mode == Mode::Replication
    }

    fn check_mode(&self) -> Result<(), String> {
        for (name, value) in [("slot", &self.slot), ("publication", &self.publication)] {
            let Some(value) = value else { continue };
            if self.mode == Mode::Polling {
                return Err(format!("{name}: that is of mode = \"replication\""));
            }
            let is_fit =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            if !(1..=MOST_NAME).contains(&value.len()) || !value.bytes().all(is_fit) {
                return Err(format!(
                    "{name}: {value:?} is no name: expected 1 to {MOST_NAME} small letters, digits and _"
                ));
            }
        }
        match self.mode {
            Mode::Polling if self.after == After::Keep => Err(
                "after: rows that are kept would be read again; that is of mode = \"replication\""
                    .to_owned(),
            ),
            Mode::Replication if self.poll.is_some() => {
                Err("poll: that is of mode = \"polling\"".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Returns the rights at the table that the role must have.
    pub(super) fn needed_rights(&self) -> &'static [&'static str] {
        match self.after {
            After::Keep => &["select"],
            After::Delete | After::Mark => &["select", "update", "delete"],
        }
    }

    /// Returns the name of the replication slot.
    pub(super) fn slot(&self) -> String {
        self.slot.clone().unwrap_or_else(|| self.table.publication().to_ascii_lowercase())
    }

    /// Returns the name of the publication.
    pub(super) fn publication(&self) -> String {
        self.publication.clone().unwrap_or_else(|| self.table.publication())
    }

    pub(super) fn batch(&self) -> usize {
        let most = match self.mode {
            Mode::Polling => usize::MAX,
            // The place is appended with the rows.
            Mode::Replication => MOST_BATCH - 1,
        };
        self.batch.unwrap_or(BATCH).min(most)
    }

    pub(super) fn poll(&self) -> Duration {
        self.poll.map_or(POLL, |poll| poll.0)
    }

    /// Returns how to connect, with the secrets.
    pub(super) fn config(&self, secrets: &Secrets) -> Result<Config, ConnectorError> {
        let mut config = match (&self.url, &self.url_secret) {
            (Some(url), _) => parse_url(url, "url").map_err(ConnectorError::Definition)?,
            (None, Some(reference)) => {
                parse_url(secrets.read(reference)?.expose(), &reference.to_string())
                    .map_err(ConnectorError::Secret)?
            }
            (None, None) => {
                return Err(ConnectorError::Definition("expected either url or url_secret".into()));
            }
        };
        if let Some(reference) = &self.password {
            config.password(secrets.read(reference)?.expose());
        }
        Ok(config)
    }
}

/// Parses a url. The error has nothing of it, as it may have a password.
fn parse_url(text: &str, source: &str) -> Result<Config, String> {
    let mut config: Config = text.trim().parse().map_err(|_| {
        format!("{source}: expected a URL such as postgres://USER@HOST:5432/DATABASE")
    })?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(format!("{source}: the URL has no host"));
    }
    if config.get_ssl_mode() != SslMode::Require {
        // With a server that may have TLS or not there is nothing to verify.
        config.ssl_mode(SslMode::Disable);
    }
    // Rows are deleted, which a standby refuses; with several hosts it is the primary that is looked for.
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    config.connect_timeout(CONNECT).tcp_user_timeout(SILENCE);
    config.keepalives(true).keepalives_idle(IDLE);
    if config.get_application_name().is_none() {
        config.application_name("leftfold");
    }
    Ok(config)
}
