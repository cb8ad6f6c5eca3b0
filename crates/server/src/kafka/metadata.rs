use std::collections::HashSet;
use std::sync::Arc;

use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::describe_topic_partitions_response::{
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    BrokerId, DescribeClusterRequest, DescribeClusterResponse, DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse, MetadataRequest, MetadataResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use leftfold_api::IndexInfo;
use leftfold_kafka::ResponseError;
use uuid::Uuid;

use super::cluster::{Brokers, parse_address};
use super::dispatch::Call;
use super::topics::{NewTopic, Topic, TopicError, is_legal};

/// Operations that a client may be told it is allowed, as bits.
mod operations {
    pub(super) const READ: i32 = 1 << 3;
    pub(super) const WRITE: i32 = 1 << 4;
    pub(super) const DESCRIBE: i32 = 1 << 8;
    pub(super) const DESCRIBE_CONFIGS: i32 = 1 << 10;
}

/// Operations that were not asked for.
const NOT_ASKED: i32 = i32::MIN;
/// The most partitions of one answer to DescribeTopicPartitions.
const MOST_PARTITIONS: usize = 2_000;

/// Returns a text of the protocol.
pub(super) fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

/// Returns the name of a topic.
pub(super) fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

impl Call {
    /// Returns the address at which clients reach this server.
    pub(super) fn address(&self) -> (String, i32) {
        match parse_address(&self.broker.state.config.kafka_advertised) {
            Some((host, port)) => (host, i32::from(port)),
            None => {
                let reached = self.peer.reached;
                (reached.ip().to_canonical().to_string(), i32::from(reached.port()))
            }
        }
    }

    /// Returns the number, the host and the port of each broker; this server is the first.
    fn addresses(&self, brokers: &Brokers) -> Vec<(BrokerId, StrBytes, i32)> {
        let (host, port) = self.address();
        let own = (BrokerId(brokers.own), text(host), port);
        let others = brokers.others.iter();
        let others = others
            .map(|other| (BrokerId(other.id), text(other.host.as_str()), i32::from(other.port)));
        std::iter::once(own).chain(others).collect()
    }

    /// Returns the number, the host and the port of a broker.
    pub(super) fn address_of(
        &self,
        brokers: &Brokers,
        id: i32,
    ) -> Option<(BrokerId, StrBytes, i32)> {
        self.addresses(brokers).into_iter().find(|(of, ..)| of.0 == id)
    }

    /// Returns a topic by its name that the caller may read or write. If there is none, it may begin to be.
    pub(super) async fn topic(
        &self,
        name: &str,
        may_create: bool,
    ) -> Result<Arc<Topic>, TopicError> {
        let topics = &self.broker.topics;
        let error = match topics.find(name).await {
            Ok(topic) => {
                let may_know = self.caller.can_read_all(&topic.query)
                    || self.caller.can_append_all(&topic.query);
                return match may_know {
                    true => Ok(topic),
                    // As if it did not exist.
                    false => topics.find_for(&self.caller, name).await.map(|(topic, _)| topic),
                };
            }
            Err(error) => error,
        };
        let TopicError::Unknown = error else { return Err(error) };
        let settings = &self.broker.topic_settings;
        if may_create && topics.create_on_first_use(&self.caller, name, settings).await {
            return Err(TopicError::Building);
        }
        match topics.find_for(&self.caller, name).await {
            Err(error @ TopicError::Denied(_)) => {
                let wanted = super::topics::default_query(name).0;
                Err(if self.caller.can_append_all(&wanted) { TopicError::Unknown } else { error })
            }
            Err(error) => Err(error),
            Ok((topic, _)) => Ok(topic),
        }
    }

    /// Returns all topics that the caller may read or write, also those that begin to be when they are used.
    async fn all_topics(&self) -> Result<Vec<Arc<Topic>>, TopicError> {
        let (mut topics, categories) = self.broker.topics.list(&self.caller).await?;
        if self.broker.topic_settings.on_first_use {
            topics.extend(categories.into_iter().filter_map(|name| self.future_topic(name)));
        }
        Ok(topics)
    }

    /// Returns the topic that a category becomes when it is first used.
    fn future_topic(&self, name: String) -> Option<Arc<Topic>> {
        let wanted = NewTopic { name, ..NewTopic::default() };
        let definition = wanted.definition(&self.broker.topic_settings).ok()?;
        Some(Arc::new(Topic::of(IndexInfo {
            name: definition.name,
            query: definition.query,
            partitioning: definition.partitioning,
            ready: false,
            events: 0,
        })))
    }

    /// Returns a topic to describe: one that there is, or that a category becomes when it is first used. Clients that
    /// create no topics, such as consumers of librdkafka, read it as well: their Fetch makes it.
    pub(super) async fn described_topic(&self, name: &str) -> Result<Arc<Topic>, TopicError> {
        let found = self.topic(name, false).await;
        let is_missing = matches!(found, Err(TopicError::Unknown));
        if !is_missing || !self.broker.topic_settings.on_first_use {
            return found;
        }
        let Some(topic) = is_legal(name).then(|| self.future_topic(name.to_owned())).flatten()
        else {
            return found;
        };
        let may_read = self.caller.can_read_all(&topic.query);
        match may_read && self.broker.topics.has_events(name).await.unwrap_or(false) {
            true => Ok(topic),
            false => found,
        }
    }

    /// Returns the name of the topic with an id.
    pub(super) async fn name_of(&self, id: Uuid) -> Option<String> {
        let topics = self.all_topics().await.ok()?;
        topics.into_iter().find(|topic| topic.id == id).map(|topic| topic.name.clone())
    }

    pub(super) async fn metadata(self, request: MetadataRequest) -> MetadataResponse {
        let brokers = self.broker.nodes.brokers();
        let wants_all = match &request.topics {
            None => true,
            // Before version 1 an empty list asks for all.
            Some(topics) => topics.is_empty() && self.version == 0,
        };
        let mut topics = Vec::new();
        let with_operations = request.include_topic_authorized_operations;
        if wants_all {
            match self.all_topics().await {
                Ok(all) => {
                    topics.extend(
                        all.iter().map(|topic| self.described(topic, &brokers, with_operations)),
                    );
                }
                Err(error) => tracing::warn!(%error, "the topics can't be listed"),
            }
        }
        // Each is described once: many partitions take a lot more than a name.
        let mut seen = HashSet::new();
        let wanted = request.topics.into_iter().flatten();
        for wanted in wanted.filter(|one| seen.insert((one.name.clone(), one.topic_id))) {
            let name = match wanted.name {
                Some(name) => name.to_string(),
                None => match self.name_of(wanted.topic_id).await {
                    Some(name) => name,
                    None => {
                        let code = ResponseError::UnknownTopicId.code();
                        let unknown = MetadataResponseTopic::default().with_error_code(code);
                        topics.push(unknown.with_topic_id(wanted.topic_id).with_name(None));
                        continue;
                    }
                },
            };
            let may_create = self.version < 4 || request.allow_auto_topic_creation;
            let found = match may_create {
                true => self.topic(&name, true).await,
                false => self.described_topic(&name).await,
            };
            topics.push(match found {
                Ok(topic) => self.described(&topic, &brokers, with_operations),
                Err(error) => MetadataResponseTopic::default()
                    .with_error_code(error.code().code())
                    .with_topic_authorized_operations(NOT_ASKED)
                    .with_name(Some(topic_name(&name))),
            });
        }
        let addresses = self.addresses(&brokers).into_iter().map(|(id, host, port)| {
            MetadataResponseBroker::default().with_node_id(id).with_host(host).with_port(port)
        });
        let cluster_operations = match request.include_cluster_authorized_operations {
            true if self.version >= 8 && self.version <= 10 => operations::DESCRIBE,
            _ => NOT_ASKED,
        };
        MetadataResponse::default()
            .with_brokers(addresses.collect())
            .with_cluster_id(Some(text(self.broker.cluster_id.as_str())))
            .with_controller_id(BrokerId(brokers.controller()))
            .with_cluster_authorized_operations(cluster_operations)
            .with_topics(topics)
    }

    fn described(
        &self,
        topic: &Topic,
        brokers: &Brokers,
        with_operations: bool,
    ) -> MetadataResponseTopic {
        let partitions = (0..topic.partitions()).map(|number| {
            let Leader { error_code, id, replicas } = Leader::of(topic, number, brokers);
            MetadataResponsePartition::default()
                .with_error_code(error_code)
                .with_partition_index(number.cast_signed())
                .with_leader_id(id)
                .with_leader_epoch(0)
                .with_replica_nodes(replicas.clone())
                .with_isr_nodes(replicas)
        });
        let operations = if with_operations { self.operations_on(topic) } else { NOT_ASKED };
        MetadataResponseTopic::default()
            .with_name(Some(topic_name(&topic.name)))
            .with_topic_id(topic.id)
            .with_partitions(partitions.collect())
            .with_topic_authorized_operations(operations)
    }

    fn operations_on(&self, topic: &Topic) -> i32 {
        let mut allowed = operations::DESCRIBE | operations::DESCRIBE_CONFIGS;
        if self.caller.can_read_all(&topic.query) {
            allowed |= operations::READ;
        }
        if topic.prefix.is_some() && self.caller.can_append_all(&topic.query) {
            allowed |= operations::WRITE;
        }
        allowed
    }

    pub(super) async fn describe_cluster(
        self,
        request: DescribeClusterRequest,
    ) -> DescribeClusterResponse {
        let answer = DescribeClusterResponse::default().with_endpoint_type(request.endpoint_type);
        if request.endpoint_type != 1 {
            let why = "there are no controllers to connect to: ask for brokers";
            let code = ResponseError::MismatchedEndpointType.code();
            return answer.with_error_code(code).with_error_message(Some(text(why)));
        }
        let brokers = self.broker.nodes.brokers();
        let addresses = self.addresses(&brokers).into_iter().map(|(id, host, port)| {
            DescribeClusterBroker::default().with_broker_id(id).with_host(host).with_port(port)
        });
        let operations = match request.include_cluster_authorized_operations {
            true => operations::DESCRIBE,
            false => NOT_ASKED,
        };
        answer
            .with_cluster_id(text(self.broker.cluster_id.as_str()))
            .with_controller_id(BrokerId(brokers.controller()))
            .with_brokers(addresses.collect())
            .with_cluster_authorized_operations(operations)
    }

    pub(super) async fn describe_topic_partitions(
        self,
        request: DescribeTopicPartitionsRequest,
    ) -> DescribeTopicPartitionsResponse {
        let most = usize::try_from(request.response_partition_limit).unwrap_or(0);
        let brokers = self.broker.nodes.brokers();
        let mut left = most.clamp(1, MOST_PARTITIONS);
        let from =
            request.cursor.as_ref().map(|at| (at.topic_name.to_string(), at.partition_index));
        let mut names: Vec<String> =
            request.topics.iter().map(|topic| topic.name.to_string()).collect();
        if names.is_empty()
            && let Ok(all) = self.all_topics().await
        {
            names = all.iter().map(|topic| topic.name.clone()).collect();
        }
        names.sort();
        names.dedup();
        let mut answer = DescribeTopicPartitionsResponse::default();
        for name in names {
            let first = match &from {
                Some((topic, _)) if name < *topic => continue,
                Some((topic, partition)) if name == *topic => {
                    u32::try_from(*partition).unwrap_or(0)
                }
                _ => 0,
            };
            if left == 0 {
                answer.next_cursor = Some(next_partition(&name, 0));
                break;
            }
            let described =
                DescribeTopicPartitionsResponseTopic::default().with_name(Some(topic_name(&name)));
            let topic = match self.described_topic(&name).await {
                Ok(topic) => topic,
                Err(error) => {
                    answer.topics.push(described.with_error_code(error.code().code()));
                    continue;
                }
            };
            let end = topic
                .partitions()
                .min(first.saturating_add(u32::try_from(left).unwrap_or(u32::MAX)));
            left -= end.saturating_sub(first) as usize;
            let partitions = (first..end).map(|number| {
                let Leader { error_code, id, replicas } = Leader::of(&topic, number, &brokers);
                DescribeTopicPartitionsResponsePartition::default()
                    .with_error_code(error_code)
                    .with_partition_index(number.cast_signed())
                    .with_leader_id(id)
                    .with_leader_epoch(0)
                    .with_replica_nodes(replicas.clone())
                    .with_isr_nodes(replicas)
                    // Kafka's admin client takes no null for them.
                    .with_eligible_leader_replicas(Some(Vec::new()))
                    .with_last_known_elr(Some(Vec::new()))
            });
            answer.topics.push(
                described
                    .with_topic_id(topic.id)
                    .with_topic_authorized_operations(self.operations_on(&topic))
                    .with_partitions(partitions.collect()),
            );
            if end < topic.partitions() {
                answer.next_cursor = Some(next_partition(&name, end));
                break;
            }
        }
        answer
    }
}

/// The broker to which a partition's records are sent.
struct Leader {
    /// Why there is none.
    error_code: i16,
    id: BrokerId,
    replicas: Vec<BrokerId>,
}

impl Leader {
    fn of(topic: &Topic, partition: u32, brokers: &Brokers) -> Self {
        match brokers.leader(topic.store_partition(partition, brokers.store_partitions())) {
            Some(id) => Leader { error_code: 0, id: BrokerId(id), replicas: vec![BrokerId(id)] },
            None => Leader {
                error_code: ResponseError::LeaderNotAvailable.code(),
                id: BrokerId(-1),
                replicas: Vec::new(),
            },
        }
    }
}

fn next_partition(
    topic: &str,
    partition: u32,
) -> kafka_protocol::messages::describe_topic_partitions_response::Cursor {
    kafka_protocol::messages::describe_topic_partitions_response::Cursor::default()
        .with_topic_name(topic_name(topic))
        .with_partition_index(partition.cast_signed())
}
