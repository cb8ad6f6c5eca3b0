//! Topics: what they are, their creation and their settings.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::{CreateTopicsRequest, DescribeConfigsRequest};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::client::Client;
use crate::error::KafkaError;

const RESOURCE_TOPIC: i8 = 2;
/// Asks the broker for its default.
const DEFAULT: i16 = -1;

/// A topic as the cluster knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDescription {
    /// The id of the topic. A topic that is deleted and created again has another.
    pub id: Uuid,
    /// The id of the cluster.
    pub cluster_id: String,
    /// The number of partitions.
    pub partitions: i32,
    /// The least number of replicas of a partition.
    pub replication: usize,
    /// Whether every partition has a leader.
    pub has_leaders: bool,
}

/// A topic to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    /// The name.
    pub name: String,
    /// The number of partitions.
    pub partitions: i32,
    /// The number of replicas of each partition, or `None` for the brokers' default.
    pub replication: Option<i16>,
    /// The settings that differ from the brokers'.
    pub settings: Vec<(String, String)>,
}

impl Client {
    /// Asks any broker for a topic; `None` if it does not know the topic.
    ///
    /// # Errors
    /// No broker answers, or the request is refused.
    pub async fn describe_topic(&self, name: &str) -> Result<Option<TopicDescription>, KafkaError> {
        let (answer, topic) = match self.topic(name).await {
            Err(error) if error.code() == Some(ResponseError::UnknownTopicOrPartition) => {
                return Ok(None);
            }
            found => found?,
        };
        let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        let replicas = topic.partitions.iter().map(|found| found.replica_nodes.len());
        Ok(Some(TopicDescription {
            id: topic.topic_id,
            cluster_id: answer.cluster_id.map(|id| id.to_string()).unwrap_or_default(),
            partitions: count,
            replication: replicas.min().unwrap_or(0),
            has_leaders: topic.partitions.iter().all(|found| found.leader_id.0 >= 0),
        }))
    }

    /// Creates a topic. Brokers may learn of it a little later.
    ///
    /// # Errors
    /// No broker answers, or the topic exists or is refused for another reason.
    pub async fn create_topic(&self, topic: &NewTopic, within: Duration) -> Result<(), KafkaError> {
        self.create(topic, within, false).await.map(|_| ())
    }

    /// Returns the number of replicas that the topic would get; creates nothing.
    ///
    /// # Errors
    /// As [`create_topic`](Self::create_topic).
    pub async fn try_create_topic(
        &self,
        topic: &NewTopic,
        within: Duration,
    ) -> Result<i16, KafkaError> {
        self.create(topic, within, true).await.map(|created| created.replication_factor)
    }

    async fn create(
        &self,
        topic: &NewTopic,
        within: Duration,
        validate_only: bool,
    ) -> Result<CreatableTopicResult, KafkaError> {
        let setting = |(name, value): &(String, String)| {
            CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)))
        };
        let wanted = CreatableTopic::default()
            .with_name(text(&topic.name).into())
            .with_num_partitions(topic.partitions)
            .with_replication_factor(topic.replication.unwrap_or(DEFAULT))
            .with_configs(topic.settings.iter().map(setting).collect());
        let request = CreateTopicsRequest::default()
            .with_topics(vec![wanted])
            .with_timeout_ms(i32::try_from(within.as_millis()).unwrap_or(i32::MAX))
            .with_validate_only(validate_only);
        let sent = self.any().await?.send(&request)?;
        let mut answer = sent.wait_for(within.saturating_add(self.patience())).await?;
        let missing = || KafkaError::malformed("CreateTopicsRequest", "it names no topic");
        let only = answer.topics.pop().ok_or_else(missing)?;
        let message = only.error_message.as_deref();
        KafkaError::check("CreateTopicsRequest", only.error_code, message)?;
        Ok(only)
    }

    /// Returns the settings of a topic with these names, including those that it has from the brokers.
    ///
    /// # Errors
    /// No broker answers, or the topic is unknown, or the request is refused.
    pub async fn topic_settings(
        &self,
        topic: &str,
        names: &[&str],
    ) -> Result<BTreeMap<String, String>, KafkaError> {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(RESOURCE_TOPIC)
            .with_resource_name(text(topic))
            .with_configuration_keys(Some(names.iter().map(|name| text(name)).collect()));
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let mut answer = self.any().await?.call(&request).await?;
        let missing = || KafkaError::malformed("DescribeConfigsRequest", "it names no topic");
        let only = answer.results.pop().ok_or_else(missing)?;
        let message = only.error_message.as_deref();
        KafkaError::check("DescribeConfigsRequest", only.error_code, message)?;
        let settings = only.configs.into_iter();
        let settings = settings.map(|one| {
            (one.name.to_string(), one.value.map(|value| value.to_string()).unwrap_or_default())
        });
        Ok(settings.collect())
    }
}

fn text(of: &str) -> StrBytes {
    StrBytes::from_string(of.to_owned())
}
