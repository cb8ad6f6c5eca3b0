//! What a connector must know of the topics to which it writes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use leftfold_kafka::{Client, KafkaError, NewTopic, ResponseError, TopicDescription};

use super::failure::{Attempts, describe};
use crate::connectors::ConnectorError;

/// The most topics of which it remembers anything.
const MOST_TOPICS: usize = 1_000;
/// The bytes of a batch if the topic does not tell its limit, a little below what brokers usually have.
const USUAL_BATCH: usize = 1_000_000;
/// The bytes of a batch, also if the topic takes more, so that requests stay small.
const LARGEST_BATCH: usize = 1_000_000;
/// The greatest size of one record.
const LARGEST_RECORD: usize = 64 << 20;
/// The bytes of a batch beside its records.
const HEADER: usize = 128;
/// How long brokers may take to create a topic.
const WITHIN: Duration = Duration::from_secs(15);
const MAX_MESSAGE: &str = "max.message.bytes";

/// A topic to which records go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TopicLimits {
    pub(super) partitions: u32,
    /// The bytes of the records of a batch, unless one record alone is larger.
    pub(super) batch: usize,
    /// The most bytes of a record.
    pub(super) record: usize,
}

/// How topics are created.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Creation {
    pub(super) is_allowed: bool,
    pub(super) partitions: Option<i32>,
    pub(super) replication: Option<i16>,
}

/// The topics that were met.
pub(super) struct Topics {
    client: Arc<Client>,
    creation: Creation,
    known: HashMap<String, TopicLimits>,
}

impl Creation {
    pub(super) fn of(self, name: &str, settings: &[(&str, &str)]) -> NewTopic {
        let settings = settings.iter();
        NewTopic {
            name: name.to_owned(),
            partitions: self.partitions.unwrap_or(-1),
            replication: self.replication,
            settings: settings.map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        }
    }
}

impl Topics {
    pub(super) fn new(client: Arc<Client>, creation: Creation) -> Self {
        Topics { client, creation, known: HashMap::new() }
    }

    /// Returns what is known of a topic; creates it if that is allowed.
    pub(super) async fn find(&mut self, name: &str) -> Result<TopicLimits, ConnectorError> {
        if let Some(known) = self.known.get(name) {
            return Ok(*known);
        }
        let found = self.look_up(name).await?;
        if self.known.len() >= MOST_TOPICS {
            self.known.clear();
        }
        self.known.insert(name.to_owned(), found);
        Ok(found)
    }

    async fn look_up(&self, name: &str) -> Result<TopicLimits, ConnectorError> {
        let failed = |error| describe(&format!("the topic {name}"), &error);
        let described = match self.client.describe_topic(name).await.map_err(failed)? {
            Some(described) => described,
            None if self.creation.is_allowed => {
                create(&self.client, &self.creation.of(name, &[])).await?
            }
            None => {
                let why =
                    format!("there is no topic {name}: create it, or set create_topics = true");
                return Err(ConnectorError::unavailable(why));
            }
        };
        // A client without the right to read settings takes the usual limit.
        let limit = self.client.topic_settings(name, &[MAX_MESSAGE]).await.ok();
        let limit = limit.and_then(|settings| settings.get(MAX_MESSAGE)?.parse::<usize>().ok());
        let limit = limit.map_or(USUAL_BATCH, |limit| limit.saturating_sub(HEADER).max(1));
        Ok(TopicLimits {
            partitions: u32::try_from(described.partitions).unwrap_or(1),
            batch: limit.min(LARGEST_BATCH),
            record: limit.min(LARGEST_RECORD),
        })
    }
}

/// Creates a topic, if it is not there by now, and waits until brokers know it.
pub(super) async fn create(
    client: &Client,
    topic: &NewTopic,
) -> Result<TopicDescription, ConnectorError> {
    let failed = |error| describe(&format!("creating the topic {}", topic.name), &error);
    match client.create_topic(topic, WITHIN).await {
        Err(error) if error.code() == Some(ResponseError::TopicAlreadyExists) => {}
        created => created.map_err(failed)?,
    }
    let mut attempts = Attempts::within(WITHIN);
    loop {
        let described = client.describe_topic(&topic.name).await.map_err(failed)?;
        match described.filter(|found| found.has_leaders) {
            Some(described) => return Ok(described),
            None => {
                attempts.after(KafkaError::NoBroker(topic.name.clone())).await.map_err(failed)?
            }
        }
    }
}
