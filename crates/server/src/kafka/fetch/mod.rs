//! Fetch: a partition is read from an ordinal on, and its events are encoded as one batch.

mod digits;
mod partition;
mod record;
mod session;
mod wait;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesOrdered, StreamExt};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{FetchRequest, FetchResponse};
use leftfold_api::EventStore;
use leftfold_kafka::ResponseError;
use tokio::time::Instant;

pub(super) use self::record::millis;
pub(super) use self::session::FetchSessions;
use self::session::{Opened, TopicRef, Wanted};
use super::dispatch::{Call, Reply};
use super::metadata::topic_name;
use crate::limits::Lease;

/// The longest that a Fetch waits, whatever its client asks for.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Bytes of one answer, whatever its client asks for. Its first record comes at any size.
pub(super) const MOST_BYTES: usize = 64 << 20;
/// A consumer that waits for many bytes is looked after this often while some are there.
const PAUSE: Duration = Duration::from_millis(5);
/// The fewest bytes for which it pays to read a partition.
const LEAST: usize = 1 << 10;
/// Partitions of one Fetch that are read at a time.
const AT_ONCE: usize = 4;
/// The first version that names topics by id.
const BY_ID: i16 = 13;

/// What a partition has.
struct Found {
    code: i16,
    /// The offset behind its last record.
    end: i64,
    records: Bytes,
    memory: Option<Lease>,
}

impl Found {
    fn failed(code: ResponseError) -> Self {
        Found { code: code.code(), end: -1, records: Bytes::new(), memory: None }
    }
}

/// Returns the bytes that are promised and left once a partition was read.
fn settled(promised: usize, left: usize, promise: usize, found: &Found) -> (usize, usize) {
    (promised.saturating_sub(promise), left.saturating_sub(found.records.len()))
}

impl Call {
    pub(super) async fn fetch(self, request: FetchRequest) -> Reply<FetchResponse> {
        let opened = match self.broker.sessions.open(&request) {
            Ok(opened) => opened,
            Err(error) => return FetchResponse::default().with_error_code(error.code()).into(),
        };
        let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
        let deadline = Instant::now() + wait.min(LONGEST_WAIT);
        let least = usize::try_from(request.min_bytes).unwrap_or(0).min(MOST_BYTES);
        let most = usize::try_from(request.max_bytes).unwrap_or(0).clamp(1, MOST_BYTES);
        let names = self.names_of(&opened).await;
        let found = loop {
            // Before anything is read: what comes later wakes the wait.
            let since = self.broker.state.store.head().await;
            let found = self.read_all(&opened, &names, most).await;
            let bytes: usize = found.iter().map(|found| found.records.len()).sum();
            let is_due = Instant::now() >= deadline || opened.partitions.is_empty();
            let has_news = found.iter().any(|found| found.code != 0) || bytes >= least;
            let (false, false, Ok(since)) = (is_due, has_news, since) else { break found };
            if self.broker.state.is_closing() {
                break found;
            }
            // Its memory is for others meanwhile.
            drop(found);
            if bytes > 0 {
                // There is too little yet, and it would end the wait at once.
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            self.wait_for_events(&opened, &names, since, deadline).await;
        };
        self.fetched(&request, &opened, found)
    }

    /// Returns the names of the topics that are named by id.
    async fn names_of(&self, opened: &Opened) -> HashMap<TopicRef, Arc<str>> {
        let mut names = HashMap::new();
        for wanted in &opened.partitions {
            if names.contains_key(&wanted.topic) {
                continue;
            }
            let name = match self.version < BY_ID {
                true => Some(wanted.topic.name.clone()),
                false => match self.broker.topics.name_of(wanted.topic.id) {
                    Some(name) => Some(name.into()),
                    None => self.name_of(wanted.topic.id).await.map(Into::into),
                },
            };
            if let Some(name) = name {
                names.insert(wanted.topic.clone(), name);
            }
        }
        names
    }

    /// Reads all partitions, to `most` bytes together, some at a time. What a partition gets is decided in their order.
    async fn read_all(
        &self,
        opened: &Opened,
        names: &HashMap<TopicRef, Arc<str>>,
        most: usize,
    ) -> Vec<Found> {
        let (mut all, mut left) = (Vec::with_capacity(opened.partitions.len()), most);
        let (mut running, mut promised) = (FuturesOrdered::new(), 0);
        for wanted in &opened.partitions {
            let wants = usize::try_from(wanted.max_bytes).unwrap_or(0);
            // One that may get less than it wants waits for those before it, as does one that wants so little that
            // it gets a record only if those had none.
            while running.len() == AT_ONCE
                || (!running.is_empty() && wants.max(LEAST) > left.saturating_sub(promised))
                || (!running.is_empty() && wants < LEAST)
            {
                let Some((promise, found)) = running.next().await else { break };
                (promised, left) = settled(promised, left, promise, &found);
                all.push(found);
            }
            let is_first =
                running.is_empty() && all.iter().all(|one: &Found| one.records.is_empty());
            let room = left.saturating_sub(promised);
            promised += wants;
            running.push_back(async move {
                let found = match names.get(&wanted.topic) {
                    Some(name) => self.read_partition(name, wanted, room, is_first).await,
                    None => Found::failed(ResponseError::UnknownTopicId),
                };
                (wants, found)
            });
        }
        all.extend(running.map(|(_, found)| found).collect::<Vec<_>>().await);
        all
    }

    fn fetched(
        &self,
        request: &FetchRequest,
        opened: &Opened,
        found: Vec<Found>,
    ) -> Reply<FetchResponse> {
        let mut topics: Vec<FetchableTopicResponse> = Vec::new();
        let mut places: HashMap<&TopicRef, usize> = HashMap::new();
        let (mut held, mut ends, mut bytes, mut rotated) = (Vec::new(), Vec::new(), 0, 0);
        for (at, (wanted, found)) in opened.partitions.iter().zip(found).enumerate() {
            let is_news =
                found.code != 0 || !found.records.is_empty() || found.end != wanted.told_end;
            if !found.records.is_empty() {
                rotated = at + 1;
            }
            if opened.is_incremental && !is_news {
                continue;
            }
            ends.push((at, found.end));
            bytes += found.records.len();
            held.extend(found.memory);
            let place = *places.entry(&wanted.topic).or_insert_with(|| {
                let topic = FetchableTopicResponse::default();
                topics.push(match self.version < BY_ID {
                    true => topic.with_topic(topic_name(&wanted.topic.name)),
                    false => topic.with_topic_id(wanted.topic.id),
                });
                topics.len() - 1
            });
            let partition = PartitionData::default()
                .with_partition_index(wanted.partition)
                .with_error_code(found.code)
                .with_high_watermark(found.end)
                .with_last_stable_offset(found.end)
                .with_log_start_offset(if found.code == 0 { 0 } else { -1 })
                // What is read committed has no aborted transactions, since there are none.
                .with_aborted_transactions((request.isolation_level == 1).then(Vec::new))
                .with_records(Some(found.records));
            if let Some(topic) = topics.get_mut(place) {
                topic.partitions.push(partition);
            }
        }
        opened.close(ends.into_iter(), rotated);
        let throttle = self.broker.quotas.fetched(&self.client, bytes);
        let answer = FetchResponse::default()
            .with_session_id(opened.id)
            .with_throttle_time_ms(i32::try_from(throttle.as_millis()).unwrap_or(i32::MAX))
            .with_responses(topics);
        Reply { answer: Some(answer), held, throttle }
    }
}
