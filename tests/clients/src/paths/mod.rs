//! The tests of each client: functions of a client and a broker, so that they run against Apache Kafka and
//! Leftfold.
//!
//! Each takes the name of a topic that nothing else uses. The first producer makes it, if the broker
//! leaves it to it.

mod access;
mod groups;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};

use crate::broker::Broker;
use crate::checks::{check_delivered, check_keys, check_numbers, check_offsets};
use crate::client::Client;
use crate::command::{Command, Conflict, Consume, Origin, Produce};
use crate::event::{Event, Record};
use crate::program::Program;
use crate::tools::java::{JavaTool, run};

pub use self::access::{is_refused, is_refused_with_a_wrong_password};
pub use self::groups::{
    a_group_survives_a_killed_member, a_static_member_keeps_its_partitions, reads_in_a_group,
    reads_through_a_crash,
};

/// The partitions of a topic that is made on first use.
pub const PARTITIONS: u32 = 8;

/// The records of each of two runs of the producer.
const HALF: u64 = 100;

/// How long a command may take. Java needs the most, beside other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// Produces keyed records, reads all of them from the start, and reads the later half by time.
///
/// # Errors
/// A record is missing, repeated, changed, in another partition than its key's, or out of order.
pub fn reads_all_and_by_time(
    client: Client,
    broker: &dyn Broker,
    topic: &str,
) -> anyhow::Result<()> {
    broker.create_topic(topic)?;
    let mut delivered = produce(client, broker, &Produce::new(topic, 0, HALF))?;
    let time = later_than(now());
    delivered.extend(produce(client, broker, &Produce::new(topic, HALF, HALF))?);
    let all = consume(client, broker, topic, Origin::Earliest, 2 * HALF)?;
    check_numbers(&all, 0..2 * HALF)?;
    check_offsets(&all)?;
    check_keys(&all)?;
    check_delivered(&delivered, &all)?;
    let late = consume(client, broker, topic, Origin::Time(time), HALF)?;
    check_numbers(&late, HALF..2 * HALF).context("read by time")
}

fn cloned(records: Vec<&Record>) -> Vec<Record> {
    records.into_iter().cloned().collect()
}

/// Produces a record for a new stream twice. Only Leftfold refuses the second one; a library that can shows
/// the code and the version that was found.
///
/// # Errors
/// The first is refused, or the second is not, or its refusal is not shown.
pub fn shows_a_conflict(client: Client, broker: &dyn Broker, topic: &str) -> anyhow::Result<()> {
    broker.create_topic(topic)?;
    let conflict = || {
        let (topic, key) = (topic.to_owned(), "k1".to_owned());
        let version = "no-stream".to_owned();
        let command = Command::Conflict(Conflict { topic, key, version });
        client.start(broker, &command, PATIENCE)?.outcome(PATIENCE)
    };
    let first = conflict()?;
    ensure!(!first.iter().any(is_failure), "a new stream was refused: {first:?}");
    let second = conflict()?;
    let refused = second.iter().find(|event| is_failure(event));
    let refused = refused.with_context(|| format!("nothing was refused: {second:?}"))?;
    println!("{}: {refused:?}", client.name());
    let Event::Failed { message, .. } = refused else { return Ok(()) };
    if client.shows_refusals() {
        let shows = |text| message.contains(text);
        let is_shown = shows("wrong_version") && shows("its last version is 0");
        ensure!(is_shown, "{message:?} does not tell the version");
    }
    ensure!(consume(client, broker, topic, Origin::Earliest, 1)?.len() == 1, "one record is there");
    Ok(())
}

/// Checks that the header of a conditional record arrives at a broker that does not know it.
///
/// # Errors
/// The record is refused, or has other headers.
pub fn sends_the_expected_version(
    client: Client,
    broker: &dyn Broker,
    topic: &str,
) -> anyhow::Result<()> {
    broker.create_topic(topic)?;
    let (topic, key, version) = (topic.to_owned(), "k1".to_owned(), "3".to_owned());
    let command = Command::Conflict(Conflict { topic: topic.clone(), key, version });
    let events = client.start(broker, &command, PATIENCE)?.finish(PATIENCE)?;
    ensure!(!events.iter().any(is_failure), "a plain record was refused: {events:?}");
    let found = consume(client, broker, &topic, Origin::Earliest, 1)?;
    let version = found.first().and_then(|record| record.headers.get("expected-version"));
    ensure!(version.is_some_and(|version| version == "3"), "the header is lost: {found:?}");
    Ok(())
}

/// Runs those of Kafka's tools that no other test runs: the measuring ones, and those that ask for topics, groups and
/// offsets.
///
/// # Errors
/// A tool fails, or does not tell what it should.
pub fn runs_the_tools_of_kafka(broker: &dyn Broker, topic: &str) -> anyhow::Result<()> {
    broker.create_topic(topic)?;
    let (count, group) = ("2000", format!("{topic}-measured"));
    let size = ["--record-size", "256", "--throughput", "-1"];
    let about = ["--topic", topic, "--num-records", count];
    let check = |tool, arguments: &[&str], expected: &str| {
        let printed = run(tool, broker, arguments)?;
        ensure!(printed.contains(expected), "{tool:?}: expected {expected:?} in {printed}");
        Ok(())
    };
    check(JavaTool::ProducerPerformance, &[&about[..], &size].concat(), "2000 records sent")?;
    check(JavaTool::ConsumerPerformance, &[&about[..], &["--group", &group]].concat(), "2000")?;
    check(JavaTool::Topics, &["--describe", "--topic", topic], "PartitionCount: 8")?;
    check(JavaTool::ConsumerGroups, &["--describe", "--group", &group], topic)?;
    check(JavaTool::GetOffsets, &["--topic", topic], &format!("{topic}:7:"))
}

/// Produces idempotently while `crash` ends and restarts the broker, and checks that no record is there
/// twice.
///
/// # Errors
/// A record is missing, repeated or out of order.
pub fn produces_through_a_crash(
    client: Client,
    broker: &dyn Broker,
    topic: &str,
    crash: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    broker.create_topic(topic)?;
    produce(client, broker, &Produce::new(topic, 0, HALF))?;
    let count = 20_000;
    let mut wanted = Produce::new(topic, HALF, count);
    wanted.idempotent = true;
    let producer = client.start(broker, &Command::Produce(wanted), 2 * PATIENCE)?;
    // Kafka's console producer tells nothing of what it has written: the crash may come before its first
    // record.
    if client != Client::Java {
        producer.wait_until("a first record", PATIENCE, |events| {
            events.iter().any(|event| matches!(event, Event::Delivered { .. }))
        })?;
    }
    crash()?;
    producer.finish(2 * PATIENCE)?;
    let all = consume(client, broker, topic, Origin::Earliest, HALF + count)?;
    check_numbers(&all, 0..HALF + count)?;
    check_keys(&all)
}

/// Returns the milliseconds since 1970.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_millis().try_into().unwrap_or(u64::MAX)
}

/// Waits until the clock shows another millisecond; returns that.
fn later_than(time: u64) -> u64 {
    while now() <= time {
        std::thread::yield_now();
    }
    now()
}

fn produce(client: Client, broker: &dyn Broker, wanted: &Produce) -> anyhow::Result<Vec<Event>> {
    let producer = client.start(broker, &Command::Produce(wanted.clone()), PATIENCE)?;
    let events = producer.finish(PATIENCE)?;
    match events.iter().find(|event| is_failure(event)) {
        Some(failed) => anyhow::bail!("{} can't produce: {failed:?}", client.name()),
        None => Ok(events),
    }
}

fn consume(
    client: Client,
    broker: &dyn Broker,
    topic: &str,
    from: Origin,
    count: u64,
) -> anyhow::Result<Vec<Record>> {
    let command = Command::Consume(Consume { topic: topic.to_owned(), from, count });
    let consumer: Program = client.start(broker, &command, PATIENCE)?;
    let events = consumer.finish(PATIENCE)?;
    Ok(cloned(records(&events)))
}

fn is_failure(event: &Event) -> bool {
    matches!(event, Event::Failed { .. })
}

fn records(events: &[Event]) -> Vec<&Record> {
    let records = events.iter().map(|event| match event {
        Event::Record(record) => Some(record),
        _ => None,
    });
    records.flatten().collect()
}
