use std::time::Duration;

use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, ApiVersionsRequest, DescribeProducersRequest, EndTxnRequest,
    EndTxnResponse, InitProducerIdRequest, ProducerId as WireId,
};
use kafka_protocol::protocol::StrBytes;

use crate::batch::ProducerId;
use crate::client::Partition;
use crate::connection::{Connection, Reply};
use crate::error::KafkaError;
use crate::produce::transactional;

/// The end of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The transaction's records become readable.
    Commit,
    /// The transaction's records are discarded.
    Abort,
}

/// The protocol that ends a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndVersion {
    /// The producer keeps its epoch (until Kafka 4.0).
    Old,
    /// Each end raises the epoch, so a delayed request cannot affect the next transaction (KIP-890).
    New,
}

/// The feature of a cluster that names its protocol of transactions, and its level from KIP-890 on.
const FEATURE: &str = "transaction.version";
const NEW_LEVEL: i16 = 2;

/// A transaction that is open in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenTransaction {
    /// The producer of its records.
    pub producer: ProducerId,
    /// The offset of its first record: readers of committed records wait before it.
    pub start: i64,
}

/// The pending answer to the end of a transaction.
#[must_use]
#[derive(Debug)]
pub struct EndReply(Reply<EndTxnRequest>, ProducerId, EndVersion);

impl Connection {
    /// Returns a new, unique producer id without a transactional id.
    ///
    /// # Errors
    /// The request was refused, or no answer came in time.
    pub async fn new_producer_id(&self) -> Result<ProducerId, KafkaError> {
        let request = InitProducerIdRequest::default().with_transactional_id(None);
        self.init(request.with_transaction_timeout_ms(i32::MAX)).await
    }

    /// Returns the newest protocol of transactions that the cluster has switched on.
    ///
    /// # Errors
    /// The request was refused, or no answer came in time.
    pub async fn newest_end(&self) -> Result<EndVersion, KafkaError> {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("leftfold"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let answer = self.call(&request).await?;
        KafkaError::check("ApiVersionsRequest", answer.error_code, None)?;
        let feature = answer.finalized_features.iter().find(|feature| &*feature.name == FEATURE);
        Ok(match feature {
            Some(feature) if feature.max_version_level >= NEW_LEVEL => EndVersion::New,
            _ => EndVersion::Old,
        })
    }

    /// Takes a transactional id over: aborts its open transaction and returns the next epoch.
    ///
    /// The connection must lead to the id's coordinator.
    ///
    /// # Errors
    /// The request was refused, or no answer came in time.
    pub async fn take_over(
        &self,
        transactional_id: &str,
        timeout: Duration,
    ) -> Result<ProducerId, KafkaError> {
        let timeout = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(transactional(transactional_id)))
            .with_transaction_timeout_ms(timeout);
        self.init(request).await
    }

    async fn init(&self, request: InitProducerIdRequest) -> Result<ProducerId, KafkaError> {
        let request = request.with_producer_id(WireId(-1)).with_producer_epoch(-1);
        let answer = self.call(&request).await?;
        KafkaError::check("InitProducerIdRequest", answer.error_code, None)?;
        Ok(ProducerId { id: answer.producer_id.0, epoch: answer.producer_epoch })
    }

    /// Asks the leader of a partition for the transactions that are open in it. It needs the right to read the topic.
    ///
    /// # Errors
    /// The request was refused, or no answer came in time.
    pub async fn open_transactions(
        &self,
        partition: &Partition,
    ) -> Result<Vec<OpenTransaction>, KafkaError> {
        let topic = TopicRequest::default()
            .with_name(partition.topic_name())
            .with_partition_indexes(vec![partition.number]);
        let request = DescribeProducersRequest::default().with_topics(vec![topic]);
        let mut answer = self.call(&request).await?;
        let only = answer.topics.pop().and_then(|mut topic| topic.partitions.pop());
        let missing = || KafkaError::malformed("DescribeProducersRequest", "it names no partition");
        let only = only.ok_or_else(missing)?;
        let message = only.error_message.as_deref();
        KafkaError::check("DescribeProducersRequest", only.error_code, message)?;
        let open = only.active_producers.iter().filter(|it| it.current_txn_start_offset >= 0);
        open.map(|it| {
            // Epochs have 16 bits; this answer has room for more.
            let epoch = i16::try_from(it.producer_epoch);
            let epoch =
                epoch.map_err(|error| KafkaError::malformed("DescribeProducersRequest", error))?;
            let producer = ProducerId { id: it.producer_id.0, epoch };
            Ok(OpenTransaction { producer, start: it.current_txn_start_offset })
        })
        .collect()
    }

    /// Opens a transaction on a partition, as clients did until Kafka 4.0.
    ///
    /// # Errors
    /// The request was refused, or no answer came in time.
    pub async fn add_to_transaction(
        &self,
        transactional_id: &str,
        producer: ProducerId,
        partition: &Partition,
    ) -> Result<(), KafkaError> {
        let topic = AddPartitionsToTxnTopic::default()
            .with_name(partition.topic_name())
            .with_partitions(vec![partition.number]);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(transactional(transactional_id))
            .with_v3_and_below_producer_id(WireId(producer.id))
            .with_v3_and_below_producer_epoch(producer.epoch)
            .with_v3_and_below_topics(vec![topic]);
        let mut answer = self.call(&request).await?;
        let only = answer.results_by_topic_v3_and_below.pop();
        let only = only.and_then(|mut topic| topic.results_by_partition.pop());
        let missing =
            || KafkaError::malformed("AddPartitionsToTxnRequest", "it names no partition");
        let code = only.ok_or_else(missing)?.partition_error_code;
        KafkaError::check("AddPartitionsToTxnRequest", code, None)
    }

    /// Ends the open transaction.
    ///
    /// # Errors
    /// The request was not sent.
    pub fn end_transaction(
        &self,
        transactional_id: &str,
        producer: ProducerId,
        end: End,
        version: EndVersion,
    ) -> Result<EndReply, KafkaError> {
        let request = EndTxnRequest::default()
            .with_transactional_id(transactional(transactional_id))
            .with_producer_id(WireId(producer.id))
            .with_producer_epoch(producer.epoch)
            .with_committed(end == End::Commit);
        let sent = match version {
            EndVersion::Old => self.send_at(4, &request)?,
            EndVersion::New => self.send_at(5, &request)?,
        };
        Ok(EndReply(sent, producer, version))
    }
}

impl EndReply {
    /// Waits until the end is decided and returns the producer of the next transaction.
    ///
    /// The records become readable a little later, when the markers are written.
    ///
    /// # Errors
    /// The request was refused, or no answer came in time.
    pub async fn wait(self) -> Result<ProducerId, KafkaError> {
        let EndReply(reply, producer, version) = self;
        next_producer(reply.wait().await?, producer, version)
    }

    /// Waits at most `patience` from now on.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub async fn wait_for(self, patience: Duration) -> Result<ProducerId, KafkaError> {
        let EndReply(reply, producer, version) = self;
        next_producer(reply.wait_for(patience).await?, producer, version)
    }
}

fn next_producer(
    answer: EndTxnResponse,
    producer: ProducerId,
    version: EndVersion,
) -> Result<ProducerId, KafkaError> {
    KafkaError::check("EndTxnRequest", answer.error_code, None)?;
    Ok(match version {
        EndVersion::Old => producer,
        EndVersion::New => ProducerId { id: answer.producer_id.0, epoch: answer.producer_epoch },
    })
}
