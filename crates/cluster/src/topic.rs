//! The topics of a cluster: their creation, and the settings without which events would be lost or refused.

use std::fmt;
use std::time::Duration;

use leftfold_kafka::{Client, KafkaError, NewTopic, ResponseError, TopicDescription};
use thiserror::Error;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// The most bytes of a batch unless the caller says otherwise: an append of 64 MiB fits, with its headers. Brokers
/// refuse requests of more than 100 MiB (`socket.request.max.bytes`).
const MOST_BYTES: i32 = 72 << 20;
/// The most time from the creation of a topic until every partition has a leader.
const CREATION_TIME: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

/// A topic that a cluster needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicOptions {
    /// The name.
    pub name: String,
    /// The number of partitions. With `None` a new topic gets one, and any number is accepted of one that exists.
    pub partitions: Option<i32>,
    /// The number of replicas of a new topic, or `None` for the brokers' default.
    pub replication: Option<i16>,
    /// The most bytes of a batch that the topic must accept.
    pub most_bytes: i32,
}

/// A topic that exists and has the right settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// The name.
    pub name: String,
    /// The id. A topic that is deleted and created again has another.
    pub id: Uuid,
    /// The number of partitions.
    pub partitions: i32,
    /// The id of Kafka's cluster.
    pub cluster_id: String,
}

/// The reason why a topic cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TopicError {
    /// The topic has settings under which events would be lost or refused.
    #[error("topic {topic} has wrong settings: {}. Run: {command}", list(.wrong))]
    SettingsWrong {
        /// The topic.
        topic: String,
        /// Each wrong setting.
        wrong: Vec<WrongSetting>,
        /// The command that mends them.
        command: String,
    },
    /// The topic has another number of partitions. It is fixed at the creation.
    #[error(
        "topic {topic}: expected {expected} partitions, found {found}. Use {found}, or another topic"
    )]
    PartitionsDiffer {
        /// The topic.
        topic: String,
        /// The number that was asked for.
        expected: i32,
        /// The number of partitions.
        found: i32,
    },
    /// The topic was created, but not every partition has a leader yet.
    #[error("topic {0} has partitions without a leader. Check that enough brokers run, and retry")]
    NotReady(String),
    /// A request failed.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
}

/// A setting of a topic that must be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongSetting {
    /// The name of the setting.
    pub name: &'static str,
    /// The value that is needed.
    pub expected: String,
    /// The value that the topic has.
    pub found: String,
}

/// A setting that the topic must have.
struct Setting {
    name: &'static str,
    value: String,
    /// Whether a greater number is right too.
    at_least: bool,
}

impl TopicOptions {
    /// Returns the options of a topic with this name, and defaults for all else.
    pub fn new(name: &str) -> Self {
        let (partitions, replication) = (None, None);
        TopicOptions { name: name.to_owned(), partitions, replication, most_bytes: MOST_BYTES }
    }
}

impl TopicError {
    /// Returns the code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            TopicError::SettingsWrong { .. } => "topic_settings_wrong",
            TopicError::PartitionsDiffer { .. } => "topic_partitions_differ",
            TopicError::NotReady(_) => "topic_not_ready",
            TopicError::Kafka(error) if error.is_retriable() => "kafka_unavailable",
            TopicError::Kafka(_) => "kafka_refused",
        }
    }
}

/// Creates the topic if it is missing, and checks the settings of one that exists. Both are safe to repeat.
///
/// # Errors
/// The topic has wrong settings or another number of partitions, or a request failed.
pub async fn ensure_topic(client: &Client, options: &TopicOptions) -> Result<Topic, TopicError> {
    let found = match client.describe_topic(&options.name).await? {
        Some(found) => found,
        None => create(client, options).await?,
    };
    check_partitions(options, found.partitions)?;
    check_settings(client, options, found.replication).await?;
    let TopicDescription { id, partitions, cluster_id, .. } = found;
    Ok(Topic { name: options.name.clone(), id, partitions, cluster_id })
}

async fn create(client: &Client, options: &TopicOptions) -> Result<TopicDescription, TopicError> {
    let mut topic = NewTopic {
        name: options.name.clone(),
        partitions: options.partitions.unwrap_or(1),
        replication: options.replication,
        settings: Vec::new(),
    };
    let created = match create_with_settings(client, options, &mut topic).await {
        // Another node was quicker; its topic is checked like any other.
        Err(error) if error.code() == Some(ResponseError::TopicAlreadyExists) => Ok(()),
        created => created,
    };
    created?;
    let deadline = Instant::now() + CREATION_TIME;
    loop {
        match client.describe_topic(&options.name).await? {
            Some(found) if found.has_leaders && found.partitions > 0 => return Ok(found),
            _ if Instant::now() >= deadline => {
                return Err(TopicError::NotReady(options.name.clone()));
            }
            _ => sleep(PAUSE).await,
        }
    }
}

/// Creates the topic. The settings depend on the number of replicas, so the brokers are asked for it first.
async fn create_with_settings(
    client: &Client,
    options: &TopicOptions,
    topic: &mut NewTopic,
) -> Result<(), KafkaError> {
    let replication = client.try_create_topic(topic, CREATION_TIME).await?;
    let settings = settings(options, usize::try_from(replication).unwrap_or(0));
    topic.settings = settings.into_iter().map(|one| (one.name.to_owned(), one.value)).collect();
    client.create_topic(topic, CREATION_TIME).await
}

fn check_partitions(options: &TopicOptions, found: i32) -> Result<(), TopicError> {
    match options.partitions {
        Some(expected) if expected != found => {
            Err(TopicError::PartitionsDiffer { topic: options.name.clone(), expected, found })
        }
        _ => Ok(()),
    }
}

async fn check_settings(
    client: &Client,
    options: &TopicOptions,
    replication: usize,
) -> Result<(), TopicError> {
    let settings = settings(options, replication);
    let names: Vec<&str> = settings.iter().map(|one| one.name).collect();
    let found = client.topic_settings(&options.name, &names).await?;
    let wrong: Vec<WrongSetting> = settings
        .into_iter()
        .filter_map(|setting| {
            let found = found.get(setting.name).map_or("", String::as_str);
            setting.differs_from(found)
        })
        .collect();
    if wrong.is_empty() {
        return Ok(());
    }
    let topic = options.name.clone();
    let command = mending_command(client, &topic, &wrong);
    Err(TopicError::SettingsWrong { topic, wrong, command })
}

/// Returns the settings that a topic with this number of replicas must have.
fn settings(options: &TopicOptions, replication: usize) -> [Setting; 7] {
    let exactly = |name, value: &str| Setting { name, value: value.to_owned(), at_least: false };
    let at_least = |name, value: i32| Setting { name, value: value.to_string(), at_least: true };
    let in_sync = if replication >= 3 { 2 } else { 1 };
    [
        exactly("cleanup.policy", "delete"),
        exactly("retention.ms", "-1"),
        exactly("retention.bytes", "-1"),
        exactly("unclean.leader.election.enable", "false"),
        at_least("min.insync.replicas", in_sync),
        at_least("max.message.bytes", options.most_bytes),
        exactly("message.timestamp.type", "CreateTime"),
    ]
}

impl Setting {
    fn differs_from(self, found: &str) -> Option<WrongSetting> {
        let is_right = if self.at_least {
            let number = |text: &str| text.parse::<i64>().ok();
            number(found) >= number(&self.value)
        } else {
            found == self.value
        };
        let Setting { name, value, .. } = self;
        (!is_right).then(|| WrongSetting { name, expected: value, found: found.to_owned() })
    }
}

fn mending_command(client: &Client, topic: &str, wrong: &[WrongSetting]) -> String {
    let bootstrap: Vec<String> = client.bootstrap().iter().map(ToString::to_string).collect();
    let settings: Vec<String> =
        wrong.iter().map(|one| format!("{}={}", one.name, one.expected)).collect();
    format!(
        "kafka-configs.sh --bootstrap-server {} --alter --entity-type topics --entity-name {topic} \
         --add-config {}",
        bootstrap.join(","),
        settings.join(",")
    )
}

fn list(wrong: &[WrongSetting]) -> String {
    wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl fmt::Display for WrongSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, found {}", self.name, self.expected, self.found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_replicas_must_be_in_sync_where_there_are_three() {
        for (replication, expected) in [(1, "1"), (2, "1"), (3, "2"), (5, "2")] {
            let settings = settings(&TopicOptions::new("events"), replication);
            let found = settings.iter().find(|one| one.name == "min.insync.replicas").unwrap();
            assert_eq!(found.value, expected);
        }
    }

    #[test]
    fn greater_bounds_are_right_and_lesser_ones_are_wrong() {
        let bound = || Setting { name: "x", value: "72".to_owned(), at_least: true };
        assert_eq!(bound().differs_from("100"), None);
        assert_eq!(bound().differs_from("72"), None);
        for found in ["9", "", "many"] {
            assert_eq!(bound().differs_from(found).unwrap().found, found);
        }
    }
}
