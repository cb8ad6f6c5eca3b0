//! Records of Kafka: each event is a record, and a transaction commits records together with the cursor behind them.

mod cursor;
mod failure;
mod outbound;
mod plain;
mod record;
mod relay;
mod security;
mod sender;
mod sink;
mod source;
mod topics;
mod transaction;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use leftfold_kafka::{Client, Compression, EndVersion, KafkaError};
use serde::Deserialize;

use self::cursor::CursorTopic;
use self::failure::{Attempts, describe};
use self::record::{Composer, Shape, check_topic};
use self::security::{SecuritySettings, check_bootstrap, connect};
use self::topics::Creation;
use super::kind::Check;
use super::template::Template;
use super::{ConnectorError, Secrets};

pub(crate) use self::relay::run;
pub(crate) use self::source::{KafkaSourceSettings, check as check_source, run as run_source};

const USUAL_CURSOR_TOPIC: &str = "leftfold-connector-cursors";
const USUAL_KEY: &str = "{stream}";
const USUAL_SOURCE: &str = "leftfold";
const MOST_PARTITIONS: i32 = 10_000;
/// How long a check waits for the coordinator of transactions.
const CHECK_TIME: Duration = Duration::from_secs(10);

/// The table `[kafka]` of a definition.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KafkaSettings {
    bootstrap: String,
    topic: Template,
    key: Option<Template>,
    #[serde(default)]
    shape: Shape,
    /// The source of the events, for CloudEvents.
    source: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, Template>,
    #[serde(default)]
    compression: CompressionSetting,
    cursor_topic: Option<String>,
    #[serde(default)]
    create_topics: bool,
    /// Of topics that it makes.
    partitions: Option<i32>,
    replication: Option<i16>,
    #[serde(default)]
    security: SecuritySettings,
}

/// The compression of batches.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum CompressionSetting {
    #[default]
    None,
    Lz4,
    Zstd,
}

impl KafkaSettings {
    /// Checks what can be checked without a connection.
    pub(crate) fn check(&self) -> Result<(), String> {
        check_bootstrap(&self.bootstrap)?;
        self.security.check()?;
        check_topic(self.cursor_topic()).map_err(|why| format!("cursor_topic: {why}"))?;
        if let Some(topic) = self.topic.fixed() {
            check_topic(topic).map_err(|why| format!("topic: {why}"))?;
            if topic == self.cursor_topic() {
                return Err("topic: the topic of the cursors can't hold events too".to_owned());
            }
        }
        if self.partitions.is_some_and(|count| !(1..=MOST_PARTITIONS).contains(&count)) {
            return Err(format!("partitions: expected 1 to {MOST_PARTITIONS}"));
        }
        if self.replication.is_some_and(|count| count < 1) {
            return Err("replication: expected at least 1".to_owned());
        }
        Ok(())
    }

    fn cursor_topic(&self) -> &str {
        self.cursor_topic.as_deref().unwrap_or(USUAL_CURSOR_TOPIC)
    }

    fn composer(&self) -> Result<Composer, ConnectorError> {
        let key = match &self.key {
            Some(key) => key.clone(),
            None => Template::parse(USUAL_KEY).map_err(ConnectorError::Definition)?,
        };
        Ok(Composer {
            topic: self.topic.clone(),
            key,
            shape: self.shape,
            source: self.source.clone().unwrap_or_else(|| USUAL_SOURCE.to_owned()),
            headers: self.headers.clone(),
        })
    }

    fn compression(&self) -> Compression {
        match self.compression {
            CompressionSetting::None => Compression::None,
            CompressionSetting::Lz4 => Compression::Lz4,
            CompressionSetting::Zstd => Compression::Zstd,
        }
    }

    fn creation(&self) -> Creation {
        Creation {
            is_allowed: self.create_topics,
            partitions: self.partitions,
            replication: self.replication,
        }
    }

    fn connect(&self, secrets: &Secrets) -> Result<Arc<Client>, ConnectorError> {
        connect(&self.bootstrap, &self.security, secrets).map(Arc::new)
    }
}

/// Connects with the brokers, and looks at topics and transactions. Nothing is written.
pub(crate) async fn check(settings: &KafkaSettings, secrets: &Secrets) -> Check {
    let mut check = Check::default();
    let client = match settings.connect(secrets) {
        Ok(client) => client,
        Err(error) => {
            check.note("settings and secrets", Err::<String, _>(error));
            return check;
        }
    };
    check.note("settings and secrets", Ok::<_, String>("are as they must be"));
    let reached = client.any().await.map(|broker| format!("{} answers", broker.address()));
    let is_reached = reached.is_ok();
    check.note(format!("the brokers {}", settings.bootstrap), reached);
    if !is_reached {
        return check;
    }
    if let Some(topic) = settings.topic.fixed() {
        check.note(format!("the topic {topic}"), topic_found(&client, topic, settings).await);
    }
    check.note("transactions", transactions_found(&client).await);
    let topic = settings.cursor_topic();
    let found = cursor_topic_found(&client, topic, settings).await;
    check.note(format!("the cursor topic {topic}"), found);
    check
}

async fn topic_found(
    client: &Client,
    topic: &str,
    settings: &KafkaSettings,
) -> Result<String, ConnectorError> {
    let failed = |error: KafkaError| describe(topic, &error);
    match client.describe_topic(topic).await.map_err(failed)? {
        Some(found) => Ok(format!("has {} partitions", found.partitions)),
        None if settings.create_topics => {
            let wanted = settings.creation().of(topic, &[]);
            client.try_create_topic(&wanted, client.patience()).await.map_err(failed)?;
            Ok("will be created".to_owned())
        }
        None => {
            let why = "is not there: create it, or set create_topics = true";
            Err(ConnectorError::unavailable(why))
        }
    }
}

async fn transactions_found(client: &Client) -> Result<String, KafkaError> {
    // A cluster without any transaction so far has no coordinator until it is asked for one.
    let mut attempts = Attempts::within(CHECK_TIME);
    let coordinator = loop {
        match client.coordinator("leftfold-check").await {
            Ok(coordinator) => break coordinator,
            Err(error) => attempts.after(error).await?,
        }
    };
    Ok(match coordinator.newest_end().await? {
        EndVersion::New => "are those of KIP-890".to_owned(),
        EndVersion::Old => "are those before KIP-890".to_owned(),
    })
}

async fn cursor_topic_found(
    client: &Client,
    topic: &str,
    settings: &KafkaSettings,
) -> Result<String, ConnectorError> {
    let cursor = CursorTopic::new(topic, "");
    if cursor.exists(client).await? {
        return Ok("is compacted".to_owned());
    }
    let wanted = cursor.wanted(settings.replication);
    let tried = client.try_create_topic(&wanted, client.patience()).await;
    tried.map_err(|error| describe(topic, &error))?;
    Ok("will be created".to_owned())
}
