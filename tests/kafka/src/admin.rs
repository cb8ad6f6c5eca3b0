//! Administration of a cluster: topics, settings, leaders, and the producers that brokers remember.

use std::time::{Duration, Instant};

use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, BrokerId, CreateTopicsRequest, DescribeProducersRequest,
    DescribeTransactionsRequest, ElectLeadersRequest, IncrementalAlterConfigsRequest,
    TransactionalId,
};
use kafka_protocol::protocol::StrBytes;

use crate::wire::{
    Client, Isolation, KafkaError, OffsetSpec, Partition, ProducerId, ResponseError,
};

const WITHIN_MILLIS: i32 = 20_000;
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(20);
const SET: i8 = 0;
const BROKERS: i8 = 4;
const PREFERRED: i8 = 0;

/// The state that a leader remembers of a producer of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownProducer {
    /// The producer with its newest epoch.
    pub producer: ProducerId,
    /// The sequence of its last record.
    pub last_sequence: i32,
    /// The first offset of its open transaction, if there is one.
    pub open_from: Option<i64>,
}

fn text(of: &str) -> StrBytes {
    StrBytes::from_string(of.to_owned())
}

/// Asks repeatedly until `wanted` accepts the answer; returns the last answer on a timeout.
pub fn poll<T>(
    patience: Duration,
    mut ask: impl FnMut() -> Result<T, KafkaError>,
    wanted: impl Fn(&T) -> bool,
) -> Result<T, KafkaError> {
    let deadline = Instant::now() + patience;
    loop {
        let answer = ask();
        let good = answer.as_ref().is_ok_and(&wanted);
        if good || Instant::now() > deadline {
            return answer;
        }
        std::thread::sleep(BETWEEN_QUESTIONS);
    }
}

impl Client {
    /// Creates a topic with one partition on these brokers, the first being its preferred leader,
    /// and waits until its leader answers.
    pub fn create_topic(
        &self,
        name: &str,
        brokers: &[i32],
        settings: &[(&str, &str)],
    ) -> Result<Partition, KafkaError> {
        let assignment = CreatableReplicaAssignment::default()
            .with_broker_ids(brokers.iter().copied().map(BrokerId).collect());
        let setting = |(name, value): &(&str, &str)| {
            CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)))
        };
        let topic = CreatableTopic::default()
            .with_name(text(name).into())
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_assignments(vec![assignment])
            .with_configs(settings.iter().map(setting).collect());
        let request = CreateTopicsRequest::default().with_topics(vec![topic]);
        let answer = self.any()?.call(&request.with_timeout_ms(WITHIN_MILLIS))?;
        for topic in &answer.topics {
            let message = topic.error_message.as_deref();
            KafkaError::check("CreateTopicsRequest", topic.error_code, message)?;
        }
        let partition = Partition::first_of(name);
        // The leader may learn of the topic later than other brokers.
        let ask = || {
            self.leader(&partition)?.offset(&partition, OffsetSpec::Latest, Isolation::Uncommitted)
        };
        poll(Duration::from_secs(20), ask, |_| true)?;
        Ok(partition)
    }

    /// Changes a dynamic setting of all brokers.
    pub fn set_on_brokers(&self, name: &str, value: &str) -> Result<(), KafkaError> {
        let config = AlterableConfig::default()
            .with_name(text(name))
            .with_config_operation(SET)
            .with_value(Some(text(value)));
        let resource =
            AlterConfigsResource::default().with_resource_type(BROKERS).with_configs(vec![config]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let answer = self.any()?.call(&request)?;
        answer.responses.iter().try_for_each(|one| {
            let message = one.error_message.as_deref();
            KafkaError::check("IncrementalAlterConfigsRequest", one.error_code, message)
        })
    }

    /// Returns the leader of a partition and the leader epoch.
    pub fn leader_id(&self, partition: &Partition) -> Result<(i32, i32), KafkaError> {
        let (found, _) = self.locate(partition)?;
        Ok((found.leader_id.0, found.leader_epoch))
    }

    /// Waits until another broker than `former` leads the partition; returns its id.
    pub fn wait_for_leader_other_than(
        &self,
        partition: &Partition,
        former: i32,
    ) -> Result<i32, KafkaError> {
        let ask = || self.leader_id(partition);
        let (leader, _) = poll(Duration::from_secs(30), ask, |(id, _)| *id != former)?;
        if leader == former {
            return Err(KafkaError::NoBroker(partition.to_string()));
        }
        self.wait_until_led(partition)?;
        Ok(leader)
    }

    /// Waits until the leader answers as leader. It may learn of its role later than other brokers.
    pub fn wait_until_led(&self, partition: &Partition) -> Result<(), KafkaError> {
        let ask = || {
            self.leader(partition)?.offset(partition, OffsetSpec::Latest, Isolation::Uncommitted)
        };
        poll(Duration::from_secs(20), ask, |_| true).map(|_| ())
    }

    /// Waits until at least `count` replicas of the partition are in sync.
    pub fn wait_in_sync(&self, partition: &Partition, count: usize) -> Result<(), KafkaError> {
        let ask = || self.locate(partition);
        let (found, _) =
            poll(Duration::from_secs(30), ask, |(found, _)| found.isr_nodes.len() >= count)?;
        if found.isr_nodes.len() >= count {
            return Ok(());
        }
        Err(KafkaError::NoBroker(format!("{partition}: in sync are {:?} only", found.isr_nodes)))
    }

    /// Makes a broker with a replica the leader, as an operator would.
    pub fn move_leader(&self, partition: &Partition, to: i32) -> Result<(), KafkaError> {
        let (found, _) = self.locate(partition)?;
        let mut order = found.replica_nodes;
        order.sort_by_key(|id| id.0 != to);
        let moved = ReassignablePartition::default()
            .with_partition_index(partition.number)
            .with_replicas(Some(order));
        let topic = ReassignableTopic::default().with_name(partition.topic_name());
        let request = AlterPartitionReassignmentsRequest::default()
            .with_timeout_ms(WITHIN_MILLIS)
            .with_topics(vec![topic.with_partitions(vec![moved])]);
        let answer = self.any()?.call(&request)?;
        let message = answer.error_message.as_deref();
        KafkaError::check("AlterPartitionReassignmentsRequest", answer.error_code, message)?;
        self.elect_preferred(partition)?;
        poll(Duration::from_secs(20), || self.leader_id(partition), |(id, _)| *id == to)?;
        self.wait_until_led(partition)
    }

    fn elect_preferred(&self, partition: &Partition) -> Result<(), KafkaError> {
        let topic = TopicPartitions::default()
            .with_topic(partition.topic_name())
            .with_partitions(vec![partition.number]);
        let request = ElectLeadersRequest::default()
            .with_election_type(PREFERRED)
            .with_topic_partitions(Some(vec![topic]))
            .with_timeout_ms(WITHIN_MILLIS);
        let answer = self.any()?.call(&request)?;
        KafkaError::check("ElectLeadersRequest", answer.error_code, None)
    }

    /// Returns the producers that the partition's leader remembers.
    pub fn producers(&self, partition: &Partition) -> Result<Vec<KnownProducer>, KafkaError> {
        let topic = TopicRequest::default()
            .with_name(partition.topic_name())
            .with_partition_indexes(vec![partition.number]);
        let request = DescribeProducersRequest::default().with_topics(vec![topic]);
        let mut answer = self.leader(partition)?.call(&request)?;
        let only = answer.topics.pop().and_then(|mut topic| topic.partitions.pop());
        let missing = || KafkaError::malformed("DescribeProducersRequest", "it names no partition");
        let only = only.ok_or_else(missing)?;
        let message = only.error_message.as_deref();
        KafkaError::check("DescribeProducersRequest", only.error_code, message)?;
        let known = only.active_producers.iter().map(|one| KnownProducer {
            producer: ProducerId { id: one.producer_id.0, epoch: one.producer_epoch as i16 },
            last_sequence: one.last_sequence,
            open_from: (one.current_txn_start_offset >= 0).then_some(one.current_txn_start_offset),
        });
        Ok(known.collect())
    }

    /// Returns the state of a transactional id, such as `Ongoing`.
    ///
    /// It is `None` if the coordinator has forgotten the id.
    pub fn transaction_state(&self, transactional_id: &str) -> Result<Option<String>, KafkaError> {
        let request = DescribeTransactionsRequest::default()
            .with_transactional_ids(vec![TransactionalId(text(transactional_id))]);
        let mut answer = self.coordinator(transactional_id)?.call(&request)?;
        let missing = || KafkaError::malformed("DescribeTransactionsRequest", "it names no id");
        let only = answer.transaction_states.pop().ok_or_else(missing)?;
        match KafkaError::check("DescribeTransactionsRequest", only.error_code, None) {
            Ok(()) => Ok(Some(only.transaction_state.to_string())),
            Err(error) if error.code() == Some(ResponseError::TransactionalIdNotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
