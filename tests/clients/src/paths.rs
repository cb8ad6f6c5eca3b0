//! The tests of each client: functions of a client and a broker, so that they run against Apache Kafka and
//! Leftfold.
//!
//! Each takes the name of a topic that nothing else uses. The first producer makes it, if the broker
//! leaves it to it.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};

use crate::broker::{Broker, Endpoint};
use crate::checks::{check_commits, check_delivered, check_keys, check_numbers, check_offsets};
use crate::client::Client;
use crate::command::{Command, Conflict, Consume, Group, Origin, Produce};
use crate::event::{Event, Record};
use crate::program::Program;
use crate::tools::java::{JavaTool, run};

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

/// Runs two members of a group, kills one of them, and checks that the other one gets all the rest:
/// nothing is skipped, and nothing is repeated that was committed.
///
/// # Errors
/// A record is missing, or one that was committed comes again.
pub fn a_group_survives_a_killed_member(
    client: Client,
    broker: &dyn Broker,
    topic: &str,
) -> anyhow::Result<()> {
    broker.create_topic(topic)?;
    produce(client, broker, &Produce::new(topic, 0, HALF))?;
    let member = Command::Group(Group::new(topic, &format!("{topic}-members")));
    let victim = client.start(broker, &member, PATIENCE)?;
    victim.wait_until("a first assignment", PATIENCE, |events| assigned(events).len() == 8)?;
    let heir = client.start(broker, &member, PATIENCE)?;
    heir.wait_until("a share of the partitions", PATIENCE, |events| !assigned(events).is_empty())?;
    victim.wait_until("the other share", PATIENCE, |events| {
        (1..8).contains(&assigned(events).len())
    })?;
    produce(client, broker, &Produce::new(topic, HALF, HALF))?;
    victim.wait_until("later records", PATIENCE, |events| {
        records(events).iter().any(|record| record.number().is_some_and(|n| n >= HALF))
    })?;
    let before = victim.kill()?;
    produce(client, broker, &Produce::new(topic, 2 * HALF, HALF))?;
    heir.wait_until("all that the killed one has not read", PATIENCE, |events| {
        let read = [&before, events].into_iter().flat_map(|events| records(events));
        let read: BTreeSet<u64> = read.filter_map(Record::number).collect();
        assigned(events).len() == 8 && read.len() as u64 == 3 * HALF
    })?;
    heir.terminate()?;
    let after = heir.outcome(PATIENCE)?;
    check_commits(&before, &after)?;
    let closes = client == Client::Kcat || after.contains(&Event::Closed);
    ensure!(closes, "the member did not leave its group: {:?}", after.last());
    Ok(())
}

/// Produces one record under a version that the stream has and one under a version that it has not. Only
/// Leftfold refuses the second one; the library must show why.
///
/// # Errors
/// The first is refused, or the second is not, or the message does not name the version.
pub fn shows_a_conflict(client: Client, broker: &dyn Broker, topic: &str) -> anyhow::Result<()> {
    broker.create_topic(topic)?;
    let conflict = |version: &str| {
        let (topic, version) = (topic.to_owned(), version.to_owned());
        let command = Command::Conflict(Conflict { topic, key: "k1".to_owned(), version });
        client.start(broker, &command, PATIENCE)?.outcome(PATIENCE)
    };
    let first = conflict("no-stream")?;
    ensure!(!first.iter().any(is_failure), "a new stream was refused: {first:?}");
    let second = conflict("no-stream")?;
    let message = second.iter().find_map(|event| match event {
        Event::Failed { message, .. } => Some(message),
        _ => None,
    });
    let message = message.with_context(|| format!("nothing was refused: {second:?}"))?;
    ensure!(message.contains("version"), "{message:?} does not tell the version");
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

/// Checks that a client with a wrong password writes nothing.
///
/// # Errors
/// Something was written.
pub fn is_refused_with_a_wrong_password(
    client: Client,
    endpoint: &Endpoint,
    topic: &str,
) -> anyhow::Result<()> {
    let mut wrong = endpoint.clone();
    if let Some(login) = &mut wrong.login {
        login.password.push('x');
    }
    let limit = Duration::from_secs(8);
    let command = Command::Produce(Produce::new(topic, 0, 1));
    let events = client.start(&wrong, &command, limit)?.outcome(PATIENCE)?;
    let is_success = |event: &Event| matches!(event, Event::Delivered { .. } | Event::Done);
    ensure!(!events.iter().any(is_success), "it was not refused: {events:?}");
    Ok(())
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

/// Reads in a group while `crash` ends and restarts the broker, and again as another member after it:
/// nothing is skipped, and nothing is repeated beyond the last commit.
///
/// # Errors
/// A record is missing, or one that was committed comes again.
pub fn reads_through_a_crash(
    client: Client,
    broker: &dyn Broker,
    topic: &str,
    crash: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    broker.create_topic(topic)?;
    produce(client, broker, &Produce::new(topic, 0, HALF))?;
    let member = Command::Group(Group::new(topic, &format!("{topic}-members")));
    let first = client.start(broker, &member, 3 * PATIENCE)?;
    let has_read = |events: &[Event], count: u64| {
        let read = records(events).into_iter().filter_map(Record::number);
        read.collect::<BTreeSet<u64>>().len() as u64 >= count
    };
    first.wait_until("half of the records", PATIENCE, |events| has_read(events, HALF / 2))?;
    let before = match client.survives_outages() {
        true => {
            crash()?;
            produce(client, broker, &Produce::new(topic, HALF, HALF))?;
            first.wait_until("all", 2 * PATIENCE, |events| has_read(events, 2 * HALF))?;
            first.kill()?
        }
        false => {
            let before = first.kill()?;
            crash()?;
            produce(client, broker, &Produce::new(topic, HALF, HALF))?;
            before
        }
    };
    check_commits(&[], &before)?;
    produce(client, broker, &Produce::new(topic, 2 * HALF, HALF))?;
    let second = client.start(broker, &member, PATIENCE)?;
    second.wait_until("the rest", PATIENCE, |events| {
        has_read(&[&before[..], events].concat(), 3 * HALF)
    })?;
    check_commits(&before, &second.kill()?)
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
    Ok(records(&events).into_iter().cloned().collect())
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

/// Returns the partitions of a member.
fn assigned(events: &[Event]) -> BTreeSet<i32> {
    let mut assigned = BTreeSet::new();
    for event in events {
        match event {
            Event::Assigned(more) => assigned.extend(more),
            Event::Revoked(fewer) => assigned.retain(|partition| !fewer.contains(partition)),
            _ => {}
        }
    }
    assigned
}
