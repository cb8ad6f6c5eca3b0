use std::time::Duration;

use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{
    ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
};
use leftfold_api::{EventStore, Point, Read, Start, Timestamp};
use leftfold_kafka::ResponseError;
use tokio::time::Instant;

use super::dispatch::Call;
use super::errors::{of_denial, of_page, of_read};
use super::fetch::millis;
use super::topics::Topic;
use crate::access::ReadPermit;

/// What a client asks for instead of a time.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const GREATEST_TIME: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
/// The first version whose answer has an epoch.
const WITH_EPOCH: i16 = 4;
/// The longest that one search for a time may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of a page of a search.
const PAGE_BYTES: usize = 1 << 20;
/// By how much the time of an event may be ahead of its commit for it to be found by its time.
const AHEAD: Duration = Duration::from_secs(3_600);
/// Events at the end of a partition among which the one with the greatest time is looked for.
const LAST_EVENTS: usize = 10_000;

/// An offset, and the time of its record; -1 if that was not asked for.
struct Place {
    offset: i64,
    time: i64,
}

impl Call {
    pub(super) async fn list_offsets(self, request: ListOffsetsRequest) -> ListOffsetsResponse {
        let mut topics = Vec::new();
        for wanted in request.topics {
            let mut partitions = Vec::new();
            for partition in wanted.partitions {
                let answer = ListOffsetsPartitionResponse::default()
                    .with_partition_index(partition.partition_index);
                let found =
                    self.place(&wanted.name, partition.partition_index, partition.timestamp);
                partitions.push(match found.await {
                    Ok(place) => {
                        // Where nothing was found there is no epoch.
                        let has_epoch = self.version >= WITH_EPOCH && place.offset >= 0;
                        let answer = answer.with_offset(place.offset).with_timestamp(place.time);
                        answer.with_leader_epoch(if has_epoch { 0 } else { -1 })
                    }
                    Err(error) => {
                        answer.with_error_code(error.code()).with_offset(-1).with_timestamp(-1)
                    }
                });
            }
            let topic = ListOffsetsTopicResponse::default().with_name(wanted.name);
            topics.push(topic.with_partitions(partitions));
        }
        ListOffsetsResponse::default().with_topics(topics)
    }

    async fn place(&self, name: &str, partition: i32, time: i64) -> Result<Place, ResponseError> {
        self.topic(name, true).await.map_err(|error| error.code())?;
        let found = self.broker.topics.find_for(&self.caller, name).await;
        let (topic, permit) = found.map_err(|error| error.code())?;
        let partition = topic.has(partition).ok_or(ResponseError::UnknownTopicOrPartition)?;
        match time {
            LATEST => {
                let end = self.broker.topics.end_of(&topic, partition).await;
                Ok(Place { offset: end.map_err(|error| of_read(&error))?.cast_signed(), time: -1 })
            }
            EARLIEST | EARLIEST_LOCAL => Ok(Place { offset: 0, time: -1 }),
            // Nothing lies on another tier.
            LATEST_TIERED => Ok(Place { offset: -1, time: -1 }),
            GREATEST_TIME => self.greatest_time(&topic, &permit, partition).await,
            time if time >= 0 => self.first_from(&topic, &permit, partition, time).await,
            _ => Err(ResponseError::InvalidRequest),
        }
    }

    /// Returns the first record whose time is not before this one.
    ///
    /// Times of events need no order, but their commit times have one: nothing that was committed an hour before that
    /// time is looked at.
    async fn first_from(
        &self,
        topic: &Topic,
        permit: &ReadPermit,
        partition: u32,
        time: i64,
    ) -> Result<Place, ResponseError> {
        let began = Instant::now();
        let earliest = time.saturating_mul(1_000).saturating_sub(AHEAD.as_micros() as i64);
        let from = Timestamp(earliest).clamp(Timestamp::MIN, Timestamp::MAX);
        let query = topic.query_of(partition);
        let store = &self.broker.state.store;
        let start = Start::Including(Point::CommitTime(from));
        let first = match store.ordinal(query.clone(), start).await {
            Ok(first) => first,
            // It lies in the future.
            Err(error) if of_read(&error) == ResponseError::OffsetOutOfRange => {
                return Ok(Place { offset: -1, time: -1 });
            }
            Err(error) => return Err(of_read(&error)),
        };
        let mut read = Read::forward(query).including(Point::Ordinal(first));
        read = read.with_ordinals().max_bytes(PAGE_BYTES);
        loop {
            let page = self.broker.state.read_in_turn_with(&read, |page| page).await;
            let page = page.map_err(|error| of_page(&error))?;
            permit.admit(&page.events).map_err(|denial| of_denial(&denial))?;
            let found = page.events.iter().find(|event| millis(event.event_time()) >= time);
            if let Some(event) = found {
                let offset = event.ordinal().unwrap_or(first).cast_signed();
                return Ok(Place { offset, time: millis(event.event_time()) });
            }
            if !page.more {
                return Ok(Place { offset: -1, time: -1 });
            }
            if began.elapsed() > PATIENCE {
                return Err(ResponseError::RequestTimedOut);
            }
            read.from = Start::Excluding(Point::Cursor(page.cursor));
        }
    }

    /// Returns the record with the greatest time among the last ones.
    async fn greatest_time(
        &self,
        topic: &Topic,
        permit: &ReadPermit,
        partition: u32,
    ) -> Result<Place, ResponseError> {
        let began = Instant::now();
        let mut read = Read::backward(topic.query_of(partition)).limit(LAST_EVENTS).with_ordinals();
        let page = loop {
            let page = self.broker.state.read_in_turn_with(&read, |page| page).await;
            let page = page.map_err(|error| of_page(&error))?;
            permit.admit(&page.events).map_err(|denial| of_denial(&denial))?;
            // A page of what retention hides may have no event.
            if !page.events.is_empty() || !page.more {
                break page;
            }
            if began.elapsed() > PATIENCE {
                return Err(ResponseError::RequestTimedOut);
            }
            read.from = Start::Excluding(Point::Cursor(page.cursor));
        };
        let places = page.events.iter().map(|event| Place {
            offset: event.ordinal().unwrap_or_default().cast_signed(),
            time: millis(event.event_time()),
        });
        // Of equal times the first offset.
        let greatest = places.max_by_key(|place| (place.time, -place.offset));
        Ok(greatest.unwrap_or(Place { offset: -1, time: -1 }))
    }

    /// All records have the one epoch that there is, so a partition ends where it ends.
    pub(super) async fn offsets_for_leader_epochs(
        self,
        request: OffsetForLeaderEpochRequest,
    ) -> OffsetForLeaderEpochResponse {
        let mut topics = Vec::new();
        for wanted in request.topics {
            let mut partitions = Vec::new();
            for partition in &wanted.partitions {
                let answer = EpochEndOffset::default().with_partition(partition.partition);
                partitions.push(
                    match self.place(&wanted.topic, partition.partition, LATEST).await {
                        Ok(_) if partition.leader_epoch > 0 => {
                            answer.with_error_code(ResponseError::UnknownLeaderEpoch.code())
                        }
                        Ok(place) => answer.with_leader_epoch(0).with_end_offset(place.offset),
                        Err(error) => answer.with_error_code(error.code()),
                    },
                );
            }
            let topic = OffsetForLeaderTopicResult::default().with_topic(wanted.topic);
            topics.push(topic.with_partitions(partitions));
        }
        OffsetForLeaderEpochResponse::default().with_topics(topics)
    }
}
