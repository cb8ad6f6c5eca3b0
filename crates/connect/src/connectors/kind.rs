//! What a connector connects with.

use std::sync::Arc;

use leftfold_api::{Cursor, EventStore, Query};
use leftfold_fold::time::Time;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::export::ExportSettings;
use super::files::FilesSettings;
use super::follow::StopSignal;
use super::http::HttpSettings;
use super::kafka::{KafkaSettings, KafkaSourceSettings};
use super::mail::MailSettings;
use super::outbox::OutboxSettings;
use super::redis::RedisSettings;
use super::retry::RetryPlan;
use super::search::SearchSettings;
use super::status::GaugesCell;
use super::{ConnectorDefinition, ConnectorError, Delivery, OnError, Secrets};

/// What a connector connects with, and its settings.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// Requests to a web server.
    Http(Box<HttpSettings>),
    /// Documents of Elasticsearch or OpenSearch.
    Search(Box<SearchSettings>),
    /// Keys and messages of Redis.
    Redis(Box<RedisSettings>),
    /// Mails by SMTP.
    Mail(Box<MailSettings>),
    /// Files that arrive in a directory.
    Files(Box<FilesSettings>),
    /// Files with events.
    FileExport(Box<ExportSettings>),
    /// The outbox of a PostgreSQL.
    Outbox(Box<OutboxSettings>),
    /// Records of Kafka.
    Kafka(Box<KafkaSettings>),
    /// The records of a topic of Kafka, which come in.
    KafkaSource(Box<KafkaSourceSettings>),
}

/// What a run of a connector works with.
pub(crate) struct Run<S> {
    pub(crate) store: Arc<S>,
    pub(crate) definition: Arc<ConnectorDefinition>,
    /// The name under which it keeps its place: another one after a reset.
    pub(crate) progress: String,
    /// Where an outgoing connector without a place begins.
    pub(crate) start: Cursor,
    pub(crate) secrets: Secrets,
    pub(crate) time: Arc<dyn Time>,
    pub(crate) gauges: GaugesCell,
    /// When it is to end: what is in progress may come to its end first.
    pub(crate) stop: StopSignal,
}

/// What a check of a connector has found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// Each thing that was looked at.
    pub findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Whether it is as it must be.
    pub ok: bool,
    /// What was looked at.
    pub what: String,
    /// What is wrong and what to do, or what was found.
    pub detail: String,
}

impl Check {
    /// Whether all is as it must be.
    pub fn is_ok(&self) -> bool {
        self.findings.iter().all(|finding| finding.ok)
    }

    /// Notes what was found.
    pub(crate) fn note(
        &mut self,
        what: impl Into<String>,
        found: Result<impl Into<String>, impl std::fmt::Display>,
    ) {
        let (ok, detail) = match found {
            Ok(detail) => (true, detail.into()),
            Err(wrong) => (false, wrong.to_string()),
        };
        self.findings.push(Finding { ok, what: what.into(), detail });
    }
}

impl<S> Run<S> {
    /// Returns the query of an outgoing connector.
    pub(crate) fn query(&self) -> Query {
        self.definition.query.clone().unwrap_or(Query::All)
    }
}

/// What is the same for all connectors of a kind.
pub(super) struct KindInfo {
    pub(super) name: &'static str,
    /// Whether it sends events, rather than bringing them in.
    pub(super) is_outgoing: bool,
    /// What it can promise; the first is usual.
    pub(super) deliveries: &'static [Delivery],
    /// What it can do with an event that can't be delivered; the first is usual.
    pub(super) on_error: &'static [OnError],
}

const ANY: &[OnError] = &[OnError::Park, OnError::Skip, OnError::Stop];
/// Of those that commit many events together with their place: a parked event has no place there.
const NEVER_PARKED: &[OnError] = &[OnError::Stop, OnError::Skip];
const ONCE: &[Delivery] = &[Delivery::ExactlyOnce];

impl KindInfo {
    const fn outgoing(
        name: &'static str,
        deliveries: &'static [Delivery],
        on_error: &'static [OnError],
    ) -> Self {
        KindInfo { name, is_outgoing: true, deliveries, on_error }
    }

    const fn incoming(name: &'static str, on_error: &'static [OnError]) -> Self {
        KindInfo { name, is_outgoing: false, deliveries: ONCE, on_error }
    }
}

const HTTP: KindInfo =
    KindInfo::outgoing("http", &[Delivery::AtLeastOnce, Delivery::AtMostOnce], ANY);
const SEARCH: KindInfo = KindInfo::outgoing("search", &[Delivery::AtLeastOnce], ANY);
const REDIS: KindInfo =
    KindInfo::outgoing("redis", &[Delivery::AtLeastOnce, Delivery::AtMostOnce], ANY);
const MAIL: KindInfo =
    KindInfo::outgoing("mail", &[Delivery::AtMostOnce, Delivery::AtLeastOnce], ANY);
const KAFKA: KindInfo =
    KindInfo::outgoing("kafka", &[Delivery::ExactlyOnce, Delivery::AtLeastOnce], NEVER_PARKED);
const FILE_EXPORT: KindInfo = KindInfo::outgoing("file-export", ONCE, NEVER_PARKED);
const KAFKA_SOURCE: KindInfo = KindInfo::incoming("kafka-source", NEVER_PARKED);
const OUTBOX: KindInfo = KindInfo::incoming("outbox", ANY);
/// A log can't be mended, so nothing waits in it.
const OUTBOX_LOG: KindInfo = KindInfo::incoming("outbox", NEVER_PARKED);
const FILES: KindInfo = KindInfo::incoming("files", ANY);

const ALL: [&KindInfo; 9] =
    [&HTTP, &SEARCH, &MAIL, &REDIS, &KAFKA, &KAFKA_SOURCE, &OUTBOX, &FILES, &FILE_EXPORT];

/// Reads the settings of a kind, and checks what can be checked without a connection.
fn settings<T: DeserializeOwned>(
    table: toml::Value,
    check: fn(&T) -> Result<(), String>,
) -> Result<Box<T>, String> {
    let settings: T =
        table.try_into().map_err(|error: toml::de::Error| error.message().to_owned())?;
    check(&settings)?;
    Ok(Box::new(settings))
}

fn unknown(name: &str) -> String {
    let names: Vec<_> = ALL.iter().map(|kind| kind.name).collect();
    format!("{name} is no kind of connector: expected {}", names.join(", "))
}

impl Kind {
    /// Checks that there is a kind of a name.
    pub(super) fn check_name(name: &str) -> Result<(), String> {
        match ALL.iter().any(|kind| kind.name == name) {
            true => Ok(()),
            false => Err(unknown(name)),
        }
    }

    /// Reads the table of a kind.
    pub(super) fn parse(name: &str, table: toml::Value) -> Result<Self, String> {
        let kind = match name {
            "http" => settings(table, HttpSettings::check).map(Kind::Http),
            "search" => settings(table, SearchSettings::check).map(Kind::Search),
            "redis" => settings(table, RedisSettings::check).map(Kind::Redis),
            "mail" => settings(table, MailSettings::check).map(Kind::Mail),
            "kafka" => settings(table, KafkaSettings::check).map(Kind::Kafka),
            "kafka-source" => settings(table, KafkaSourceSettings::check).map(Kind::KafkaSource),
            "outbox" => settings(table, OutboxSettings::check).map(Kind::Outbox),
            "files" => settings(table, FilesSettings::check).map(Kind::Files),
            "file-export" => settings(table, ExportSettings::check).map(Kind::FileExport),
            _ => return Err(unknown(name)),
        };
        kind.map_err(|why| format!("[{name}]: {why}"))
    }

    /// Returns what is the same for all connectors of the kind.
    pub(super) fn info(&self) -> &'static KindInfo {
        match self {
            Kind::Http(_) => &HTTP,
            Kind::Search(_) => &SEARCH,
            Kind::Redis(_) => &REDIS,
            Kind::Mail(_) => &MAIL,
            Kind::Kafka(_) => &KAFKA,
            Kind::KafkaSource(_) => &KAFKA_SOURCE,
            Kind::Outbox(settings) if settings.reads_log() => &OUTBOX_LOG,
            Kind::Outbox(_) => &OUTBOX,
            Kind::Files(_) => &FILES,
            Kind::FileExport(_) => &FILE_EXPORT,
        }
    }

    /// Returns when it tries a failed delivery again, if nothing else is said.
    pub(super) fn usual_retry(&self) -> Option<RetryPlan> {
        match self {
            Kind::Http(_) => Some(RetryPlan::Schedule(super::http::usual_schedule())),
            Kind::Search(_) => Some(RetryPlan::BackOff(super::search::usual_retry())),
            Kind::Mail(_) => Some(RetryPlan::Schedule(super::mail::usual_schedule())),
            _ => None,
        }
    }

    /// Connects, and checks rights and settings. Nothing is sent that has an effect.
    pub(super) async fn check(&self, secrets: &Secrets) -> Check {
        match self {
            Kind::Http(settings) => super::http::check(settings, secrets).await,
            Kind::Files(settings) => super::files::check(settings).await,
            Kind::FileExport(settings) => super::export::check(settings).await,
            Kind::Outbox(settings) => super::outbox::check(settings, secrets).await,
            Kind::Search(settings) => super::search::check(settings, secrets).await,
            Kind::Redis(settings) => super::redis::check(settings, secrets).await,
            Kind::Mail(settings) => super::mail::check(settings, secrets).await,
            Kind::Kafka(settings) => super::kafka::check(settings, secrets).await,
            Kind::KafkaSource(settings) => super::kafka::check_source(settings, secrets).await,
        }
    }

    /// Runs until an error, or until it is to stop.
    pub(super) async fn run<S: EventStore + 'static>(
        &self,
        run: Run<S>,
    ) -> Result<(), ConnectorError> {
        match self {
            Kind::Http(settings) => super::http::run(settings, run).await,
            Kind::Files(settings) => super::files::run(settings, run).await,
            Kind::FileExport(settings) => super::export::run(settings, run).await,
            Kind::Outbox(settings) => super::outbox::run(settings, run).await,
            Kind::Search(settings) => super::search::run(settings, run).await,
            Kind::Redis(settings) => super::redis::run(settings, run).await,
            Kind::Mail(settings) => super::mail::run(settings, run).await,
            Kind::Kafka(settings) => super::kafka::run(settings, run).await,
            Kind::KafkaSource(settings) => super::kafka::run_source(settings, run).await,
        }
    }
}
