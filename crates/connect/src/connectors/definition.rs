//! The file of a connector.

use leftfold_api::Query;
use leftfold_fold::react::Retry;
use serde::Deserialize;
use std::collections::BTreeMap;

use super::ConnectorError;
use super::kind::Kind;
use super::retry::{RetryPlan, RetrySettings};

/// The longest text of a definition, in bytes.
pub(crate) const MOST_TEXT: usize = 64 << 10;
/// The longest name of a connector.
const MOST_NAME: usize = 64;
/// The most deliveries at a time that a definition can ask for.
pub(crate) const MOST_IN_FLIGHT: usize = 4_096;

/// How often the effect of a delivery may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Delivery {
    /// Again after a crash, or if the outcome is unknown.
    AtLeastOnce,
    /// Never again: what was interrupted is parked.
    AtMostOnce,
    /// Once: the effect and the place are committed together.
    ExactlyOnce,
}

/// What happens with an event that can't be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum OnError {
    /// The connector stops until it is resumed.
    Stop,
    /// It is parked, and later events of its stream wait behind it.
    Park,
    /// It is left out, with a line in the log.
    Skip,
}

/// What a connector connects, and how: the content of its file.
#[derive(Debug, Clone)]
pub struct ConnectorDefinition {
    pub(crate) name: String,
    pub(crate) text: String,
    /// The events that go out; `None` if it brings events in.
    pub(crate) query: Option<Query>,
    pub(crate) delivery: Delivery,
    pub(crate) on_error: OnError,
    pub(crate) retry: RetryPlan,
    pub(crate) in_flight: Option<usize>,
    pub(crate) kind: Kind,
}

#[derive(Deserialize)]
struct File {
    name: String,
    kind: String,
    query: Option<String>,
    delivery: Option<Delivery>,
    on_error: Option<OnError>,
    #[serde(default)]
    retry: RetrySettings,
    in_flight: Option<usize>,
    /// The table with the kind's settings.
    #[serde(flatten)]
    tables: BTreeMap<String, toml::Value>,
}

impl ConnectorDefinition {
    /// Parses a file. Nothing is connected.
    ///
    /// # Errors
    /// What is wrong, as a sentence.
    pub fn parse(text: &str) -> Result<Self, ConnectorError> {
        Self::read(text).map_err(ConnectorError::Definition)
    }

    fn read(text: &str) -> Result<Self, String> {
        if text.len() > MOST_TEXT {
            return Err(format!(
                "the definition has {} bytes, at most {MOST_TEXT} are read",
                text.len()
            ));
        }
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        check_name(&file.name)?;
        Kind::check_name(&file.kind)?;
        let mut tables = file.tables;
        let settings = tables.remove(&file.kind);
        if let Some((other, _)) = tables.first_key_value() {
            return Err(format!(
                "{other} is no setting of a connector of the kind {0}; its own settings are in the table [{0}]",
                file.kind
            ));
        }
        let settings = settings.unwrap_or_else(|| toml::Value::Table(toml::Table::new()));
        let kind = Kind::parse(&file.kind, settings)?;
        let info = kind.info();
        let query = match (file.query, info.is_outgoing) {
            (Some(query), true) => {
                Some(query.parse::<Query>().map_err(|error| format!("query: {error}"))?)
            }
            (None, true) => return Err("query is missing: which events go out?".to_owned()),
            (Some(_), false) => {
                return Err(format!(
                    "query is of connectors that send events; {} brings them in",
                    file.kind
                ));
            }
            (None, false) => None,
        };
        let delivery = choose("delivery", &file.kind, file.delivery, info.deliveries)?;
        let on_error = choose("on_error", &file.kind, file.on_error, info.on_error)?;
        if file.in_flight.is_some_and(|found| !(1..=MOST_IN_FLIGHT).contains(&found)) {
            return Err(format!("in_flight: expected 1 to {MOST_IN_FLIGHT}"));
        }
        let usual = kind.usual_retry().unwrap_or_else(|| RetryPlan::BackOff(Retry::default()));
        Ok(ConnectorDefinition {
            name: file.name,
            text: text.to_owned(),
            query,
            delivery,
            on_error,
            retry: file.retry.plan(usual)?,
            in_flight: file.in_flight,
            kind,
        })
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what it connects with, such as `http`.
    pub fn kind(&self) -> &'static str {
        self.kind.info().name
    }

    /// Returns the text of the file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the events that go out; `None` if it brings events in.
    pub fn query(&self) -> Option<&Query> {
        self.query.as_ref()
    }
}

/// Returns the choice of a setting that a kind offers; the first is usual.
fn choose<T: Copy + PartialEq + Choice>(
    setting: &str,
    kind: &str,
    wanted: Option<T>,
    offered: &[T],
) -> Result<T, String> {
    let names = || offered.iter().map(|choice| choice.name()).collect::<Vec<_>>().join(" or ");
    let choice = wanted.or(offered.first().copied());
    choice.filter(|choice| offered.contains(choice)).ok_or_else(|| {
        format!("{setting}: for a connector of the kind {kind} expected {}", names())
    })
}

/// A choice that has a name in the file.
trait Choice {
    fn name(&self) -> &'static str;
}

impl Choice for Delivery {
    fn name(&self) -> &'static str {
        match self {
            Delivery::AtLeastOnce => "at-least-once",
            Delivery::AtMostOnce => "at-most-once",
            Delivery::ExactlyOnce => "exactly-once",
        }
    }
}

impl Choice for OnError {
    fn name(&self) -> &'static str {
        match self {
            OnError::Stop => "stop",
            OnError::Park => "park",
            OnError::Skip => "skip",
        }
    }
}

/// Checks a name: it is part of the names of streams, files and topics.
fn check_name(name: &str) -> Result<(), String> {
    let is_fit = |letter: char| {
        letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_-".contains(letter)
    };
    match (1..=MOST_NAME).contains(&name.len()) && name.chars().all(is_fit) {
        true => Ok(()),
        false => Err(format!(
            "{name:?} is no name of a connector: expected 1 to {MOST_NAME} small letters, digits, - and _"
        )),
    }
}
