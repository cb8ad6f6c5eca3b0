//! Produce: a batch is one append, and has one outcome.

mod append;
mod expectations;
pub(super) mod kept;
pub(super) mod old;
mod producers;
mod record;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{
    InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse,
};
use leftfold_io::{OsRandom, Random};
use leftfold_kafka::{DecodeError, ResponseError, StoredBatch};

pub(super) use self::producers::Producers;
use self::producers::{BatchOrigin, Sequence, advance};
use self::record::{Received, RecordReader};
use super::dispatch::{Call, Reply};
use super::metadata::text;
use super::order::Turn;
use super::topics::Topic;
use crate::limits::{MemoryFull, Reservation};

/// What compressed records become at first, as a multiple of their bytes.
const USUAL_RATIO: usize = 16;
/// The records of a batch that are named in a refusal.
const NAMED: usize = 100;
/// What a transactional producer is told.
pub(super) const NO_TRANSACTIONS: &str = "there are no transactions here: leave out transactional.id; a batch is one \
     append, and may have conditions (expected-version)";
/// Memory that an event takes before it is appended, besides its data.
const EVENT_BYTES: usize = 512;
/// Memory that a header takes, besides its bytes.
const HEADER_BYTES: usize = 128;

/// Why a batch is refused as a whole.
#[derive(Debug)]
struct Refused {
    code: ResponseError,
    message: Option<String>,
    /// The records that are wrong, by their numbers in the batch.
    records: Vec<(usize, String)>,
}

impl From<ResponseError> for Refused {
    fn from(code: ResponseError) -> Self {
        Refused { code, message: None, records: Vec::new() }
    }
}

impl Refused {
    fn because(code: ResponseError, why: impl Into<String>) -> Self {
        Refused { code, message: Some(why.into()), records: Vec::new() }
    }

    fn of_records(records: Vec<(usize, String)>) -> Self {
        let message =
            records.first().map(|(number, why)| format!("record {number} of the batch: {why}"));
        Refused { code: ResponseError::InvalidRecord, message, records }
    }
}

impl Call {
    /// Appends the batches of a request. Those for one partition wait for those before.
    pub(super) async fn produce(
        self,
        request: ProduceRequest,
        turns: Vec<Turn>,
        memory: Reservation,
    ) -> Reply<ProduceResponse> {
        let acks = request.acks;
        let bytes =
            batches(&request).map(|batch| batch.records.as_ref().map_or(0, Bytes::len)).sum();
        let is_transactional = request.transactional_id.is_some();
        let call = Arc::new(self);
        let memory = Arc::new(parking_lot::Mutex::new((bytes, memory)));
        let mut turns = turns.into_iter();
        let mut topics = Vec::new();
        for topic in request.topic_data {
            let appended =
                topic.partition_data.into_iter().zip(&mut turns).map(|(data, mut turn)| {
                    let (call, name, memory) =
                        (call.clone(), topic.name.to_string(), memory.clone());
                    async move {
                        let index = data.index;
                        turn.begin().await;
                        let appended = match is_transactional {
                            true => Err(no_transactions()),
                            false if !matches!(acks, -1..=1) => {
                                Err(ResponseError::InvalidRequiredAcks.into())
                            }
                            false => call.append_batch(&name, data, &memory).await,
                        };
                        if let Err(Refused { code, message, .. }) = &appended {
                            // Many clients show neither the text nor which record it is.
                            tracing::debug!(topic = %name, partition = index, ?code, ?message, "a batch is refused");
                        }
                        answer(index, appended)
                    }
                });
            let appended: Vec<_> = appended.collect();
            topics.push(async move {
                TopicProduceResponse::default()
                    .with_name(topic.name)
                    .with_partition_responses(join_all(appended).await)
            });
        }
        let topics = join_all(topics).await;
        let throttle = call.broker.quotas.produced(&call.client, bytes);
        let answer = ProduceResponse::default()
            .with_responses(topics)
            .with_throttle_time_ms(i32::try_from(throttle.as_millis()).unwrap_or(i32::MAX));
        // Who wants no answer would take it for that of another request.
        Reply { answer: (acks != 0).then_some(answer), held: Vec::new(), throttle }
    }

    /// Appends a batch, and returns its first offset.
    async fn append_batch(
        &self,
        name: &str,
        data: PartitionProduceData,
        memory: &parking_lot::Mutex<(usize, Reservation)>,
    ) -> Result<i64, Refused> {
        let topic = self.topic(name, false).await;
        let topic = topic.map_err(|error| Refused::because(error.code(), error.to_string()))?;
        let partition = topic.has(data.index).ok_or(ResponseError::UnknownTopicOrPartition)?;
        if topic.prefix.is_none() {
            let why = format!(
                "topic {name} is read only: it is neither a category nor a prefix of streams, but {}",
                topic.query
            );
            return Err(Refused::because(ResponseError::InvalidTopicException, why));
        }
        let batch = self.decode(data.records.unwrap_or_default(), memory)?;
        let brokers = self.broker.nodes.brokers();
        let term = brokers.term(topic.store_partition(partition, brokers.store_partitions()));
        let origin = batch.producer.map(|producer| BatchOrigin {
            producer,
            topic: topic.id,
            partition,
            term,
        });
        if let Some(origin) = &origin {
            match self.broker.producers.check(origin, &batch)? {
                Sequence::Next => {}
                Sequence::Repeated(offset) => return Ok(offset),
            }
        }
        let received = self.read_records(&topic, partition, &batch, origin.as_ref())?;
        let offset = self.append(&topic, partition, received).await?;
        if let Some(origin) = &origin {
            self.broker.producers.written(origin, &batch, offset);
        }
        Ok(offset)
    }

    fn decode(
        &self,
        records: Bytes,
        memory: &parking_lot::Mutex<(usize, Reservation)>,
    ) -> Result<StoredBatch, Refused> {
        let config = &self.broker.state.config;
        let most = config.append_bytes.get();
        let too_large = |found: usize| {
            let why = format!("a batch of {found} bytes is larger than store.append_bytes, {most}");
            Refused::because(ResponseError::MessageTooLarge, why)
        };
        if records.len() > most {
            return Err(too_large(records.len()));
        }
        let reserve = |bytes: usize| {
            let (all, reservation) = &mut *memory.lock();
            let wanted = all.saturating_add(bytes);
            reservation.grow_to(wanted).map(|()| *all = wanted).map_err(|MemoryFull| {
                // Clients try again.
                Refused::because(ResponseError::KafkaStorageError, crate::limits::BODIES_FULL)
            })
        };
        let mut room = records.len();
        if StoredBatch::is_compressed(&records) {
            room = records.len().saturating_mul(USUAL_RATIO).min(most);
            reserve(room)?;
        }
        let decode = |room| StoredBatch::decode_sent(records.clone(), room, config.append_events);
        let decoded = match decode(room) {
            Err(DecodeError::TooLarge) if room < most => {
                reserve(most - room)?;
                decode(most)
            }
            decoded => decoded,
        };
        let batch = decoded.map_err(|error| {
            let code = match error {
                DecodeError::Version => ResponseError::UnsupportedForMessageFormat,
                DecodeError::TooLarge => return too_large(most.saturating_add(1)),
                DecodeError::TooManyHeaders => ResponseError::MessageTooLarge,
                DecodeError::TooManyRecords(found) => {
                    let most = config.append_events;
                    let why = format!(
                        "a batch of {found} records is larger than store.append_events, {most}"
                    );
                    return Refused::because(ResponseError::MessageTooLarge, why);
                }
                DecodeError::Record | DecodeError::Offsets => ResponseError::InvalidRecord,
                _ => ResponseError::CorruptMessage,
            };
            Refused::because(code, error.to_string())
        })?;
        if batch.transactional || batch.marker.is_some() {
            return Err(no_transactions());
        }
        if batch.records.is_empty() || (batch.producer.is_some() && batch.sequence < 0) {
            return Err(Refused::because(
                ResponseError::InvalidRecord,
                "the batch has no records, or no sequence",
            ));
        }
        let headers: usize = batch.records.iter().map(|stored| stored.record.headers.len()).sum();
        reserve(batch.records.len() * EVENT_BYTES + headers * HEADER_BYTES)?;
        Ok(batch)
    }

    fn read_records(
        &self,
        topic: &Topic,
        partition: u32,
        batch: &StoredBatch,
        origin: Option<&BatchOrigin>,
    ) -> Result<Vec<Received>, Refused> {
        let keyless = topic.keyless(partition).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let source = self.broker.state.config.kafka_source.as_str();
        let reader = RecordReader { topic, partition, keyless: &keyless, source };
        let (mut received, mut wrong) = (Vec::with_capacity(batch.records.len()), Vec::new());
        for (number, record) in batch.records.iter().enumerate() {
            match reader.read(record) {
                Ok(mut one) => {
                    if let Some(origin) = origin {
                        let sequence = advance(batch.sequence, number);
                        one.event
                            .id
                            .get_or_insert_with(|| origin.event_id(sequence, record.timestamp));
                    }
                    received.push(one);
                }
                Err(why) => {
                    wrong.push((number, why));
                    if wrong.len() == NAMED {
                        break;
                    }
                }
            }
        }
        match wrong.is_empty() {
            true => Ok(received),
            false => Err(Refused::of_records(wrong)),
        }
    }

    /// Gives an idempotent producer its id. A transactional one can't be had.
    pub(super) async fn init_producer_id(
        self,
        request: InitProducerIdRequest,
    ) -> InitProducerIdResponse {
        let answer = InitProducerIdResponse::default();
        if request.transactional_id.is_some() {
            let code = ResponseError::UnsupportedVersion.code();
            return answer
                .with_error_code(code)
                .with_producer_id((-1).into())
                .with_producer_epoch(-1);
        }
        if let Err(denial) = self.caller.may_append_some() {
            tracing::debug!(%denial, "a producer without the right to append");
            let code = ResponseError::ClusterAuthorizationFailed.code();
            return answer
                .with_error_code(code)
                .with_producer_id((-1).into())
                .with_producer_epoch(-1);
        }
        let (known, epoch) = (request.producer_id.0, request.producer_epoch);
        // A producer that has lost count goes on with its next epoch.
        if known >= 0 && (0..i16::MAX - 1).contains(&epoch) {
            return answer.with_producer_id(known.into()).with_producer_epoch(epoch + 1);
        }
        // So large a number is not drawn twice, so nothing need be remembered over restarts.
        let id = (OsRandom.next_u128() as u64 >> 1).cast_signed();
        answer.with_producer_id(id.into()).with_producer_epoch(0)
    }
}

fn no_transactions() -> Refused {
    Refused::because(ResponseError::UnsupportedForMessageFormat, NO_TRANSACTIONS)
}

fn batches(request: &ProduceRequest) -> impl Iterator<Item = &PartitionProduceData> {
    request.topic_data.iter().flat_map(|topic| &topic.partition_data)
}

fn answer(index: i32, appended: Result<i64, Refused>) -> PartitionProduceResponse {
    let answer = PartitionProduceResponse::default().with_index(index).with_log_append_time_ms(-1);
    let refused = match appended {
        Ok(offset) => return answer.with_base_offset(offset).with_log_start_offset(0),
        Err(refused) => refused,
    };
    let records = refused.records.into_iter().map(|(number, why)| {
        BatchIndexAndErrorMessage::default()
            .with_batch_index(i32::try_from(number).unwrap_or(i32::MAX))
            .with_batch_index_error_message(Some(text(why)))
    });
    answer
        .with_error_code(refused.code.code())
        .with_base_offset(-1)
        .with_log_start_offset(-1)
        .with_record_errors(records.collect())
        .with_error_message(refused.message.map(text))
}
