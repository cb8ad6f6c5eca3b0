//! What a connector connects with.

use std::sync::Arc;

use leftfold_api::{Cursor, EventStore, Query};
use leftfold_fold::time::Time;
use serde::Serialize;

use super::export::ExportSettings;
use super::files::FilesSettings;
use super::follow::StopSignal;
use super::http::HttpSettings;
use super::kafka::{KafkaSettings, KafkaSourceSettings};
use super::outbox::OutboxSettings;
use super::retry::RetryPlan;
use super::status::GaugesCell;
use super::{ConnectorDefinition, ConnectorError, Delivery, Secrets};

/// What a connector connects with, and its settings.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// Requests to a web server.
    Http(Box<HttpSettings>),
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

/// The names of all kinds.
const NAMES: [&str; 6] = ["http", "kafka", "kafka-source", "outbox", "files", "file-export"];

impl Kind {
    pub(super) fn check_name(name: &str) -> Result<(), String> {
        match NAMES.contains(&name) {
            true => Ok(()),
            false => Err(format!("{name} is no kind of connector: expected {}", NAMES.join(", "))),
        }
    }

    pub(super) fn parse(name: &str, settings: toml::Value) -> Result<Self, String> {
        let wrong = |error: toml::de::Error| format!("[{name}]: {}", error.message());
        match name {
            "http" => {
                let settings: HttpSettings = settings.try_into().map_err(wrong)?;
                settings.check()?;
                Ok(Kind::Http(Box::new(settings)))
            }
            "files" => {
                let settings: FilesSettings = settings.try_into().map_err(wrong)?;
                settings.check()?;
                Ok(Kind::Files(Box::new(settings)))
            }
            "file-export" => {
                let settings: ExportSettings = settings.try_into().map_err(wrong)?;
                settings.check()?;
                Ok(Kind::FileExport(Box::new(settings)))
            }
            "outbox" => {
                let settings: OutboxSettings = settings.try_into().map_err(wrong)?;
                settings.check()?;
                Ok(Kind::Outbox(Box::new(settings)))
            }
            "kafka" => {
                let settings: KafkaSettings = settings.try_into().map_err(wrong)?;
                settings.check()?;
                Ok(Kind::Kafka(Box::new(settings)))
            }
            "kafka-source" => {
                let settings: KafkaSourceSettings = settings.try_into().map_err(wrong)?;
                settings.check()?;
                Ok(Kind::KafkaSource(Box::new(settings)))
            }
            _ => Err(format!("{name} is no kind of connector")),
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Kind::Http(_) => "http",
            Kind::Files(_) => "files",
            Kind::FileExport(_) => "file-export",
            Kind::Outbox(_) => "outbox",
            Kind::Kafka(_) => "kafka",
            Kind::KafkaSource(_) => "kafka-source",
        }
    }

    /// Whether it sends events, rather than bringing them in.
    pub(super) fn is_outgoing(&self) -> bool {
        match self {
            Kind::Http(_) | Kind::FileExport(_) | Kind::Kafka(_) => true,
            Kind::Files(_) | Kind::Outbox(_) | Kind::KafkaSource(_) => false,
        }
    }

    /// Returns what it can promise; the first is usual.
    pub(super) fn deliveries(&self) -> &'static [Delivery] {
        match self {
            Kind::Http(_) => &[Delivery::AtLeastOnce, Delivery::AtMostOnce],
            Kind::Kafka(_) => &[Delivery::ExactlyOnce, Delivery::AtLeastOnce],
            Kind::Files(_) | Kind::FileExport(_) | Kind::Outbox(_) | Kind::KafkaSource(_) => {
                &[Delivery::ExactlyOnce]
            }
        }
    }

    pub(super) fn usual_delivery(&self) -> Delivery {
        self.deliveries().first().copied().unwrap_or(Delivery::AtLeastOnce)
    }

    /// Returns when it tries a failed delivery again, if nothing else is said.
    pub(super) fn usual_retry(&self) -> Option<RetryPlan> {
        match self {
            Kind::Http(_) => Some(RetryPlan::Schedule(super::http::usual_schedule())),
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
            Kind::Kafka(settings) => super::kafka::run(settings, run).await,
            Kind::KafkaSource(settings) => super::kafka::run_source(settings, run).await,
        }
    }
}
