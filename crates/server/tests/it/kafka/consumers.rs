//! What consumers see equals what reads of the same partitions see, whatever the history.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use leftfold_api::{
    Append, EventStore, IndexDefinition, NewEvent, PartitionKey, Partitioner, Point, Query, Read,
    Recorded, Retention, RetentionRule, Start, Timestamp,
};
use leftfold_io::fake::FakeDisk;
use leftfold_kafka::{Batch, Connection, Record, StoredBatch, StoredRecord};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use uuid::Uuid;

use super::support::{
    Broker, broker_of, config, fetch_request, list_offset, produce, read_all, store_on,
};

/// Histories in one run; more with this variable.
const CASES: u32 = 24;
const CASES_VARIABLE: &str = "KAFKA_HISTORIES";

/// The streams of the histories.
const STREAMS: [&str; 10] = [
    "order-1",
    "order-2",
    "order-3",
    "order-x-y",
    "order",
    "a-b-1",
    "a-b-2",
    "a-b-",
    "a-1",
    "cart-1",
];
/// The keys of produced records; some belong to streams that appends write too.
const KEYS: [&str; 5] = ["1", "2", "x-y", "é", ""];

#[derive(Debug, Clone)]
struct TopicPlan {
    partitions: u32,
    partitioner: Partitioner,
    /// After this step it is defined; 0 is before the history.
    defined_at: usize,
}

/// What an event or a record has besides its stream.
#[derive(Debug, Clone)]
struct Content {
    value: Option<Vec<u8>>,
    headers: Vec<(String, Vec<u8>)>,
    tag: Option<bool>,
    /// Milliseconds in the past.
    time: Option<u32>,
}

#[derive(Debug, Clone)]
enum Step {
    Append { stream: usize, content: Content, copies: usize },
    Produce { topic: usize, keys: Vec<Option<usize>>, content: Content },
    MaxCount { stream: usize, events: u64 },
    Truncate { stream: usize, version: u64 },
    Rule { events: Option<u64> },
    Delete { stream: usize },
    Seal,
    Scavenge,
    Reopen,
}

fn content() -> impl Strategy<Value = Content> {
    let name = prop::sample::select(vec!["trace", "ce_source", "x", "metadata", ""]);
    let header = (name.prop_map(str::to_owned), vec(any::<u8>(), 0..12));
    let value = option::weighted(0.9, vec(any::<u8>(), 0..3_000));
    (value, vec(header, 0..3), any::<Option<bool>>(), option::of(0..100_000_000_u32))
        .prop_map(|(value, headers, tag, time)| Content { value, headers, tag, time })
}

fn step() -> impl Strategy<Value = Step> {
    let stream = || 0..STREAMS.len();
    prop_oneof![
        6 => (stream(), content(), 1..4_usize)
            .prop_map(|(stream, content, copies)| Step::Append { stream, content, copies }),
        6 => (0..3_usize, vec(option::weighted(0.8, 0..KEYS.len()), 1..5), content())
            .prop_map(|(topic, keys, content)| Step::Produce { topic, keys, content }),
        1 => (stream(), 1..4_u64).prop_map(|(stream, events)| Step::MaxCount { stream, events }),
        1 => (stream(), 0..6_u64).prop_map(|(stream, version)| Step::Truncate { stream, version }),
        1 => option::of(1..4_u64).prop_map(|events| Step::Rule { events }),
        1 => stream().prop_map(|stream| Step::Delete { stream }),
        1 => Just(Step::Seal),
        1 => Just(Step::Scavenge),
        1 => Just(Step::Reopen),
    ]
}

const TOPICS: usize = 6;

fn plan() -> impl Strategy<Value = TopicPlan> {
    let partitioner = prop::sample::select(vec![Partitioner::Murmur2, Partitioner::Crc32]);
    let defined_at = prop_oneof![Just(0), 0..40_usize];
    (1..=8_u32, partitioner, defined_at).prop_map(|(partitions, partitioner, defined_at)| {
        TopicPlan { partitions, partitioner, defined_at }
    })
}

/// The topics; the first three are written to.
fn definition(topic: usize, plan: &TopicPlan) -> IndexDefinition {
    let orders = Query::category("order");
    let (name, query, key) = match topic {
        0 => ("order", orders, PartitionKey::StreamId),
        1 => ("a-b", "stream:a-b-*".parse().unwrap(), PartitionKey::Behind("a-b-".to_owned())),
        2 => ("whole", orders, PartitionKey::Stream),
        3 => ("by-tag", "*".parse().unwrap(), PartitionKey::Tag("color".to_owned())),
        4 => ("filtered", "category:order tag:color=true".parse().unwrap(), PartitionKey::Stream),
        _ => return IndexDefinition::new("plain", orders),
    };
    IndexDefinition::new(name, query)
        .partitioned(plan.partitions, key)
        .partitioner(plan.partitioner)
}

/// A history that is under way.
struct Run {
    disk: Arc<FakeDisk>,
    broker: Broker,
    connection: Connection,
    plans: Vec<TopicPlan>,
    defined: Vec<bool>,
    /// What was produced, by the ids of its events; with the topic and its partition.
    sent: HashMap<Uuid, (usize, Record)>,
    ids: u128,
}

impl Run {
    async fn begin(plans: Vec<TopicPlan>) -> Self {
        let disk = Arc::new(FakeDisk::new());
        let broker = broker_of(config(), store_on(disk.clone())).await;
        let connection = broker.connect().await;
        let defined = vec![false; TOPICS];
        Run { disk, broker, connection, plans, defined, sent: HashMap::new(), ids: 0 }
    }

    async fn define_up_to(&mut self, step: usize) {
        for topic in 0..TOPICS {
            if !self.defined[topic] && self.plans[topic].defined_at <= step {
                self.broker.define(definition(topic, &self.plans[topic])).await;
                self.defined[topic] = true;
            }
        }
    }

    fn next_id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u128(self.ids << 80 | 0x7000_8000_0000_0000_0000)
    }

    async fn take(&mut self, step: Step) {
        let store = self.broker.store.clone();
        match step {
            Step::Append { stream, content, copies } => {
                let mut append = Append::new();
                for _ in 0..copies {
                    let value = content.value.clone().unwrap_or_default();
                    let mut event = NewEvent::new("Appended", value).id(self.next_id());
                    if let Some(color) = content.tag {
                        event = event.tag("color", color.to_string()).tag("also", "x");
                    }
                    if let Some((_, metadata)) = content.headers.first() {
                        event = event.metadata(metadata.clone()).correlation("c").causation("d");
                    }
                    if let Some(past) = content.time {
                        event = event.event_time(Timestamp(micros(past) + 321));
                    }
                    append = append.event(STREAMS[stream], event);
                }
                store.append(append).await.unwrap();
            }
            Step::Produce { topic, keys, content } => self.produce(topic, &keys, &content).await,
            Step::MaxCount { stream, events } => {
                let retention = Retention::default().max_count(events);
                store.set_retention(STREAMS[stream], retention).await.unwrap();
            }
            Step::Truncate { stream, version } => {
                let retention = Retention::default().truncate_before(version);
                store.set_retention(STREAMS[stream], retention).await.unwrap();
            }
            Step::Rule { events: Some(events) } => {
                let (name, query) = ("short".to_owned(), Query::category("order"));
                let retention = Retention::default().max_count(events);
                store.set_retention_rule(RetentionRule { name, query, retention }).await.unwrap();
            }
            // There may be none.
            Step::Rule { events: None } => _ = store.drop_retention_rule("short").await,
            Step::Delete { stream } => {
                _ = store.delete_stream(STREAMS[stream], leftfold_api::Expected::Any).await;
            }
            Step::Seal => store.seal().unwrap(),
            Step::Scavenge => _ = store.scavenge(|_, _| {}).unwrap(),
            Step::Reopen => {
                drop(store);
                self.reopen().await;
            }
        }
    }

    async fn reopen(&mut self) {
        self.connection.close();
        // All that holds the store ends before it is opened again.
        let closed = broker_of(config(), store_on(Arc::new(FakeDisk::new()))).await;
        let before = std::mem::replace(&mut self.broker, closed);
        before.end().await;
        self.broker = broker_of(config(), store_on(self.disk.clone())).await;
        self.connection = self.broker.connect().await;
    }

    /// Produces a batch of the records whose keys belong to one partition.
    async fn produce(&mut self, topic: usize, keys: &[Option<usize>], content: &Content) {
        if !self.defined[topic] {
            return;
        }
        let plan = self.plans[topic].clone();
        let definition = definition(topic, &plan);
        let key_of = |key: usize| match topic {
            2 => format!("order-{}", KEYS[key]),
            _ => KEYS[key].to_owned(),
        };
        let partition = match keys[0] {
            Some(key) => plan.partitioner.partition_of(key_of(key).as_bytes(), plan.partitions),
            None => 0,
        };
        let mut records = Vec::new();
        for key in keys {
            let key = key.map(key_of);
            let of_key = key.as_ref().map_or(partition, |key| {
                plan.partitioner.partition_of(key.as_bytes(), plan.partitions)
            });
            if of_key != partition {
                continue;
            }
            let id = self.next_id();
            let mut record = Record {
                key: key.map(Bytes::from),
                value: content.value.clone().map(Bytes::from),
                headers: Vec::new(),
            };
            for (name, value) in &content.headers {
                record = record.header(name.clone(), value.clone());
            }
            self.sent.insert(id, (topic, record.clone()));
            let mut record = record.header("ce_id", id.to_string());
            if let Some(color) = content.tag {
                record = record.header("tag", format!("color={color}"));
            }
            records.push(record);
        }
        let time = content.time.map_or(-1, |past| micros(past) / 1_000);
        let batch = Batch::of(time, records).encode();
        let partition = partition.cast_signed();
        let answer = produce(&self.connection, &definition.name, partition, batch).await;
        // A source that is no text is refused. A second one is a header like others.
        let source = content.headers.iter().find(|(name, _)| name == "ce_source");
        let is_legal = source.is_none_or(|(_, value)| std::str::from_utf8(value).is_ok());
        assert_eq!(answer.error_code == 0, is_legal, "{answer:?}");
        if is_legal {
            let query = Query::partition(definition.name.as_str(), partition.cast_unsigned());
            let from = Point::Ordinal(answer.base_offset.cast_unsigned());
            // Retention may hide it at once.
            let read = Read::forward(query).including(from).with_ordinals();
            for event in read_all(&self.broker.store, read).await {
                assert!(self.sent.contains_key(&event.id()), "its own records come last");
            }
        }
    }

    async fn check(&self, limits: &[i32]) {
        for topic in 0..TOPICS {
            let definition = definition(topic, &self.plans[topic]);
            let partitions = definition.partitioning.as_ref().map_or(1, |of| of.count);
            let mut seen = 0;
            for partition in 0..partitions {
                let query = match definition.partitioning {
                    Some(_) => Query::partition(definition.name.as_str(), partition),
                    None => Query::index(definition.name.as_str()),
                };
                let end = Start::Including(Point::Ordinal(u64::MAX));
                let end = self.broker.store.ordinal(query.clone(), end).await.unwrap();
                let read = Read::forward(query).with_ordinals();
                let plain = read_all(&self.broker.store, read).await;
                seen += end;
                let place = (topic, partition.cast_signed());
                self.check_partition(place, &definition, &plain, end, limits).await;
            }
            let info = self.broker.store.index(&definition.name).await.unwrap().unwrap();
            assert_eq!(seen, info.events, "{}", definition.name);
        }
    }

    async fn check_partition(
        &self,
        (topic, partition): (usize, i32),
        definition: &IndexDefinition,
        plain: &[Recorded],
        end: u64,
        limits: &[i32],
    ) {
        let name = definition.name.as_str();
        let consumed = self.consume(name, partition, 0, end.cast_signed(), limits).await;
        let offsets = |records: &[StoredRecord]| -> Vec<u64> {
            records.iter().map(|record| record.offset.cast_unsigned()).collect()
        };
        let ordinals: Vec<u64> = plain.iter().map(|event| event.ordinal().unwrap()).collect();
        assert_eq!(offsets(&consumed), ordinals, "{name}/{partition}");
        for (record, event) in consumed.iter().zip(plain) {
            self.check_record(topic, definition, record, event);
        }
        for from in [end / 3, end / 2, end.saturating_sub(1), end] {
            let from = from.cast_signed();
            let rest = self.consume(name, partition, from, end.cast_signed(), limits).await;
            let expected: Vec<_> =
                consumed.iter().filter(|record| record.offset >= from).cloned().collect();
            assert_eq!(rest, expected, "{name}/{partition} from {from}");
        }
        let latest = list_offset(&self.connection, name, partition, -1).await;
        let earliest = list_offset(&self.connection, name, partition, -2).await;
        assert_eq!((latest.error_code, latest.offset), (0, end.cast_signed()));
        assert!(earliest.error_code == 0 && earliest.offset <= ordinals.first().map_or(0, |_| 0));
        for time in plain.iter().map(time_of).flat_map(|time| [time, time + 1]).take(12) {
            let found = list_offset(&self.connection, name, partition, time).await;
            let expected = plain.iter().find(|event| time_of(event) >= time);
            let expected = expected
                .map_or((-1, -1), |event| (event.ordinal().unwrap().cast_signed(), time_of(event)));
            assert_eq!(
                (found.error_code, found.offset, found.timestamp),
                (0, expected.0, expected.1)
            );
        }
        let greatest = list_offset(&self.connection, name, partition, -3).await;
        let expected = plain.iter().map(time_of).max();
        assert_eq!(greatest.timestamp, expected.unwrap_or(-1), "{name}/{partition}");
    }

    /// Fetches as a consumer does, until it is at the end.
    async fn consume(
        &self,
        topic: &str,
        partition: i32,
        from: i64,
        end: i64,
        limits: &[i32],
    ) -> Vec<StoredRecord> {
        let (mut records, mut next) = (Vec::new(), from);
        for round in 0.. {
            let limit = limits[round % limits.len()];
            let mut request = fetch_request(topic, &[(partition, next)]);
            request.topics[0].partitions[0].partition_max_bytes = limit;
            request.max_bytes = limits[(round + 1) % limits.len()];
            let mut answer = self.connection.call(&request).await.unwrap();
            let found = answer.responses.remove(0).partitions.remove(0);
            assert_eq!((found.error_code, found.high_watermark), (0, end), "{topic}/{partition}");
            let bytes = found.records.unwrap();
            let batches = StoredBatch::decode_all(bytes).unwrap();
            if next == end {
                assert!(batches.is_empty(), "nothing lies behind the end");
                return records;
            }
            assert!(!batches.is_empty(), "{topic}/{partition} stops at {next} of {end}");
            for batch in batches {
                assert_eq!(batch.base_offset, next);
                records.extend(batch.records);
                next = batch.last_offset + 1;
            }
            assert!(round < 10_000, "a consumer gets to the end");
        }
        records
    }

    fn check_record(
        &self,
        topic: usize,
        definition: &IndexDefinition,
        stored: &StoredRecord,
        event: &Recorded,
    ) {
        let record = &stored.record;
        assert_eq!(stored.timestamp, time_of(event));
        let all = |name: &str| -> Vec<&[u8]> {
            let named = record.headers.iter().filter(|(found, _)| found == name);
            named.map(|(_, value)| &value[..]).collect()
        };
        let text = |value: &str| value.as_bytes().to_vec();
        let once = |name: &str, value: &str| assert_eq!(all(name), [text(value)], "{name}");
        once("ce_specversion", "1.0");
        once("ce_id", &event.id().to_string());
        once("ce_type", event.event_type());
        once("ce_subject", event.stream());
        once("content-type", event.content_type());
        once("stream-version", &event.version().to_string());
        once("position", &event.position().to_string());
        let time: Timestamp = std::str::from_utf8(all("ce_time")[0]).unwrap().parse().unwrap();
        assert_eq!(time, event.event_time());
        let tags: Vec<Vec<u8>> = event.tag_texts().map(text).collect();
        assert_eq!(all("tag"), tags);
        let key = match definition.partitioning.as_ref() {
            Some(of) => of.key.key_of(event).into_owned(),
            None => leftfold_api::names::id_of(event.stream()).to_owned(),
        };
        match self.sent.get(&event.id()) {
            Some((sent_to, sent)) => {
                assert_eq!(record.value, sent.value, "a null value stays one");
                if *sent_to == topic {
                    assert_eq!(record.key, sent.key);
                }
                for name in ["trace", "x", ""] {
                    let sent = sent.headers.iter().filter(|(sent, _)| sent == name);
                    let sent: Vec<_> = sent.map(|(_, value)| &value[..]).collect();
                    assert_eq!(all(name), sent, "{name}");
                }
            }
            None => {
                assert_eq!(record.key.as_ref().unwrap(), &Bytes::from(key));
                assert_eq!(record.value.as_ref().unwrap(), &event.data());
                once("ce_source", "leftfold");
                let metadata = event.metadata();
                let expected: Vec<&[u8]> = match metadata.is_empty() {
                    true => Vec::new(),
                    false => vec![&metadata],
                };
                assert_eq!(all("metadata"), expected);
            }
        }
    }
}

/// A fixed point in the past, in microseconds.
fn micros(past: u32) -> i64 {
    (super::support::TIME - i64::from(past)) * 1_000
}

fn time_of(event: &Recorded) -> i64 {
    event.event_time().0.div_euclid(1_000)
}

#[test]
fn a_consumer_sees_what_a_read_sees() {
    let cases = std::env::var(CASES_VARIABLE).map_or(CASES, |cases| cases.parse().unwrap());
    let mut runner = TestRunner::new(Config {
        cases,
        max_shrink_time: 60_000,
        failure_persistence: None,
        ..Config::default()
    });
    let histories = (
        vec(plan(), TOPICS),
        vec(step(), 1..40),
        vec(prop::sample::select(vec![0, 1, 700, 3_000, 1 << 20]), 1..5),
    );
    let outcome = runner.run(&histories, |(plans, steps, limits)| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut run = Run::begin(plans).await;
            for (number, step) in steps.into_iter().enumerate() {
                run.define_up_to(number).await;
                run.take(step).await;
            }
            run.define_up_to(usize::MAX).await;
            run.check(&limits).await;
            run.connection.close();
            run.broker.running.shutdown().await;
        });
        runtime.shutdown_timeout(Duration::from_secs(1));
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
