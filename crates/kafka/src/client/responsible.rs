//! Questions of who is responsible.

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponse, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{FindCoordinatorRequest, MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::{Client, Partition};
use crate::address::Address;
use crate::connection::Connection;
use crate::error::KafkaError;

const COORDINATOR_OF_GROUPS: i8 = 0;
const COORDINATOR_OF_TRANSACTIONS: i8 = 1;

/// A partition's leader.
#[derive(Debug, Clone)]
pub struct PartitionLeader {
    /// What the cluster knows of the partition.
    pub partition: MetadataResponsePartition,
    /// The address of its leader.
    pub address: Address,
}

impl Client {
    /// Asks any broker for the metadata of a topic.
    ///
    /// # Errors
    /// No broker answers, or the topic is unknown.
    pub async fn topic(
        &self,
        topic: &str,
    ) -> Result<(MetadataResponse, MetadataResponseTopic), KafkaError> {
        let name = TopicName(StrBytes::from_string(topic.to_owned()));
        let wanted = MetadataRequestTopic::default().with_name(Some(name));
        let request = MetadataRequest::default()
            .with_topics(Some(vec![wanted]))
            .with_allow_auto_topic_creation(false);
        let mut answer = self.any().await?.call(&request).await?;
        self.learn(&answer);
        let found = answer.topics.pop().ok_or_else(|| KafkaError::NoBroker(topic.to_owned()))?;
        KafkaError::check("MetadataRequest", found.error_code, None)?;
        Ok((answer, found))
    }

    /// Asks any broker for the metadata of a partition and the address of its leader.
    ///
    /// # Errors
    /// No broker answers, the topic is unknown, or the partition has no leader at the moment.
    pub async fn locate(&self, partition: &Partition) -> Result<PartitionLeader, KafkaError> {
        let (answer, topic) = self.topic(&partition.topic).await?;
        let missing = || KafkaError::NoBroker(partition.to_string());
        let found =
            topic.partitions.into_iter().find(|found| found.partition_index == partition.number);
        let found = found.ok_or_else(missing)?;
        let leader = answer.brokers.iter().find(|broker| broker.node_id == found.leader_id);
        let leader = leader.ok_or_else(missing)?;
        let address = Address::of_answer(&leader.host, leader.port)?;
        Ok(PartitionLeader { partition: found, address })
    }

    /// Returns a connection to the partition's leader.
    ///
    /// # Errors
    /// As [`locate`](Self::locate), or the leader is not reachable.
    pub async fn leader(&self, partition: &Partition) -> Result<Connection, KafkaError> {
        let leader = self.locate(partition).await?;
        self.at(&leader.address).await
    }

    /// Returns a connection to the coordinator of a transactional id.
    ///
    /// # Errors
    /// No broker answers, there is no coordinator at the moment, or it is not reachable.
    pub async fn coordinator(&self, transactional_id: &str) -> Result<Connection, KafkaError> {
        let address =
            self.locate_coordinator(transactional_id, COORDINATOR_OF_TRANSACTIONS).await?;
        self.at(&address).await
    }

    /// Returns the address of the coordinator of a consumer group.
    ///
    /// # Errors
    /// No broker answers, or there is no coordinator at the moment.
    pub async fn locate_group_coordinator(&self, group: &str) -> Result<Address, KafkaError> {
        self.locate_coordinator(group, COORDINATOR_OF_GROUPS).await
    }

    async fn locate_coordinator(&self, key: &str, kind: i8) -> Result<Address, KafkaError> {
        let request = FindCoordinatorRequest::default()
            .with_key(StrBytes::from_string(key.to_owned()))
            .with_key_type(kind);
        let answer = self.any().await?.call(&request).await?;
        let message = answer.error_message.as_deref();
        KafkaError::check("FindCoordinatorRequest", answer.error_code, message)?;
        Address::of_answer(&answer.host, answer.port)
    }
}
