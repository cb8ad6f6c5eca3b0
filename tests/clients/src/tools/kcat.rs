//! Debian's kcat, which is an old librdkafka.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Command as Process;

use serde_json::Value;
use tempfile::{NamedTempFile, TempPath};

use crate::broker::Broker;
use crate::command::{Command, Conflict, Consume, Group, Origin, Produce};
use crate::event::{Event, Record, partition};
use crate::program::{Input, Program, Stream};

/// Between key and value.
const TAB: &str = "\t";

pub(crate) fn start(broker: &dyn Broker, command: &Command) -> anyhow::Result<Program> {
    let mut kcat = Process::new("kcat");
    kcat.args(["-u", "-b", &broker.bootstrap()]);
    if let Some(login) = broker.login() {
        set(&mut kcat, "security.protocol", login.protocol());
        set(&mut kcat, "sasl.mechanism", login.mechanism);
        set(&mut kcat, "sasl.username", &login.user);
        set(&mut kcat, "sasl.password", &login.password);
        if let Some(ca) = &login.ca {
            set(&mut kcat, "ssl.ca.location", &ca.display().to_string());
        }
    }
    let mut input = None;
    match command {
        Command::Produce(wanted) => input = Some(produce(&mut kcat, wanted)?),
        Command::Conflict(wanted) => input = Some(conflict(&mut kcat, wanted)?),
        Command::Consume(wanted) => consume(&mut kcat, wanted),
        Command::Group(wanted) => group(&mut kcat, wanted),
    }
    let inputs = input.map(Input::named).into_iter().collect();
    Program::start(format!("kcat {:?}", command.words()), &kcat, parse, inputs)
}

fn set(kcat: &mut Process, name: &str, value: &str) {
    kcat.args(["-X", &format!("{name}={value}")]);
}

fn producer(kcat: &mut Process, topic: &str) {
    // Only the third -v shows offsets.
    kcat.args(["-P", "-vvv", "-t", topic, "-K", TAB]);
    set(kcat, "topic.produce.offset.report", "true");
    set(kcat, "acks", "all");
    // Its own default is CRC-32.
    set(kcat, "partitioner", "murmur2_random");
}

fn produce(kcat: &mut Process, wanted: &Produce) -> anyhow::Result<TempPath> {
    let mut input = NamedTempFile::new()?;
    for (_, key, value) in wanted.records() {
        writeln!(input, "{key}{TAB}{value}")?;
    }
    producer(kcat, &wanted.topic);
    set(kcat, "enable.idempotence", &wanted.idempotent.to_string());
    if !wanted.idempotent {
        // A retry would overtake later records.
        set(kcat, "max.in.flight", "1");
    }
    kcat.arg("-l").arg(input.path());
    Ok(input.into_temp_path())
}

fn conflict(kcat: &mut Process, wanted: &Conflict) -> anyhow::Result<TempPath> {
    let mut input = NamedTempFile::new()?;
    writeln!(input, "{}{TAB}{{\"n\": 0}}", wanted.key)?;
    producer(kcat, &wanted.topic);
    kcat.arg("-H").arg(format!("expected-version={}", wanted.version));
    kcat.arg("-l").arg(input.path());
    Ok(input.into_temp_path())
}

fn consume(kcat: &mut Process, wanted: &Consume) {
    kcat.args(["-C", "-J", "-t", &wanted.topic, "-c", &wanted.count.to_string()]);
    let from = match wanted.from {
        Origin::Earliest => "beginning".to_owned(),
        Origin::Time(time) => format!("s@{time}"),
    };
    kcat.args(["-o", &from]);
}

fn group(kcat: &mut Process, wanted: &Group) {
    set(kcat, "auto.offset.reset", "earliest");
    // It commits by time only.
    set(kcat, "auto.commit.interval.ms", "100");
    set(kcat, "session.timeout.ms", &wanted.session.as_millis().to_string());
    set(kcat, "heartbeat.interval.ms", "500");
    if let Some(id) = &wanted.static_id {
        set(kcat, "group.instance.id", id);
    }
    if wanted.cooperative {
        set(kcat, "partition.assignment.strategy", "cooperative-sticky");
    }
    kcat.args(["-J", "-G", &wanted.group, &wanted.topic]);
}

/// Finds the events in a line. Records are JSON; the rest is meant for people.
fn parse(stream: Stream, line: &str) -> Vec<Event> {
    let found = match stream {
        Stream::Out => serde_json::from_str(line).ok().and_then(|line| record(&line)),
        Stream::Errors => report(line),
    };
    found.into_iter().collect()
}

fn record(line: &Value) -> Option<Event> {
    let text = |name: &str| line.get(name).and_then(Value::as_str).map(str::to_owned);
    let mut headers = BTreeMap::new();
    // A list of names and values by turns.
    let mut all = line.get("headers").and_then(Value::as_array).into_iter().flatten();
    while let (Some(name), Some(value)) = (all.next(), all.next()) {
        headers.insert(name.as_str()?.to_owned(), value.as_str()?.to_owned());
    }
    Some(Event::Record(Record {
        partition: partition(line.get("partition")?)?,
        offset: line.get("offset")?.as_i64()?,
        key: text("key"),
        value: text("payload"),
        timestamp: line.get("ts").and_then(Value::as_i64),
        headers,
    }))
}

fn report(line: &str) -> Option<Event> {
    if let Some(rest) = line.strip_prefix("% Message delivered to partition ") {
        let (partition, rest) = rest.split_once(" (offset ")?;
        let (partition, offset) = (partition.parse().ok()?, rest.split(')').next()?.parse().ok()?);
        return Some(Event::Delivered { partition, offset, n: None });
    }
    if let Some(rest) = line.strip_prefix("% Delivery failed for message: ") {
        let name = "delivery failed".to_owned();
        return Some(Event::Failed { name, code: None, message: rest.to_owned() });
    }
    // `% Group g rebalanced (memberid M): assigned: TOPIC [0], TOPIC [1]`, and with cooperative
    // rebalancing `% Group g rebalanced: incremental assignment of 2 partition(s) (memberid M, ...): TOPIC
    // [0], TOPIC [1]`.
    let rest = line.strip_prefix("% Group ")?;
    let numbers = rest.split('[').skip(1).map(|part| part.split(']').next()?.parse().ok());
    let numbers = numbers.collect::<Option<Vec<i32>>>()?;
    let revokes = rest.contains("revoke") || rest.contains("unassign");
    Some(if revokes { Event::Revoked(numbers) } else { Event::Assigned(numbers) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_meant_for_people() {
        let read = |line| parse(Stream::Errors, line);
        let line = "% Group g rebalanced (memberid rdkafka-1): assigned: t [0], t [7]";
        assert_eq!(read(line), [Event::Assigned(vec![0, 7])]);
        let line = "% Group g rebalanced (memberid rdkafka-1): revoked: t [1]";
        assert_eq!(read(line), [Event::Revoked(vec![1])]);
        let line = "% Message delivered to partition 1 (offset 5) on broker 1";
        assert_eq!(read(line), [Event::Delivered { partition: 1, offset: 5, n: None }]);
        assert_eq!(read("% Reached end of topic t [0] at offset 0"), []);
    }

    #[test]
    fn reads_a_record_with_headers() {
        let line = r#"{"topic":"t","partition":1,"offset":0,"ts":9,"headers":["a","3"],
            "key":"k","payload":"1"}"#;
        let [Event::Record(record)] = &parse(Stream::Out, line)[..] else { panic!() };
        assert_eq!((record.headers.get("a").unwrap().as_str(), record.number()), ("3", Some(1)));
    }
}
