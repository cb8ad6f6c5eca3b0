//! Kafka's own tools, which run the Java client.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command as Process;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use tempfile::{NamedTempFile, TempPath};

use crate::broker::Broker;
use crate::command::{Command, Conflict, Consume, Group, Origin, Produce};
use crate::event::{Event, Record, partition};
use crate::program::{Input, Program, Stream};
use leftfold_kafka_tools::Tool;

/// Small and quick to start.
const FLAGS: [&str; 4] =
    ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"];
/// How long a tool may take that only asks or sets something.
const PATIENCE: Duration = Duration::from_secs(60);

/// One of Kafka's tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JavaTool {
    /// `kafka-topics`.
    Topics,
    /// `kafka-consumer-groups`.
    ConsumerGroups,
    /// `kafka-get-offsets`.
    GetOffsets,
    /// `kafka-console-consumer`.
    ConsoleConsumer,
    /// `kafka-console-producer`.
    ConsoleProducer,
    /// `kafka-verifiable-consumer`.
    VerifiableConsumer,
    /// `kafka-producer-perf-test`.
    ProducerPerformance,
    /// `kafka-consumer-perf-test`.
    ConsumerPerformance,
}

impl JavaTool {
    fn class(self) -> &'static str {
        match self {
            JavaTool::Topics => "TopicCommand",
            JavaTool::ConsumerGroups => "consumer.group.ConsumerGroupCommand",
            JavaTool::GetOffsets => "GetOffsetShell",
            JavaTool::ConsoleConsumer => "consumer.ConsoleConsumer",
            JavaTool::ConsoleProducer => "ConsoleProducer",
            JavaTool::VerifiableConsumer => "VerifiableConsumer",
            JavaTool::ProducerPerformance => "ProducerPerformance",
            JavaTool::ConsumerPerformance => "ConsumerPerformance",
        }
    }

    /// Returns the command that runs it on a broker, and the file of settings that it reads.
    fn process(
        self,
        broker: &dyn Broker,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<(Process, TempPath)> {
        let mut process = Process::new("java");
        process.args(FLAGS).arg("-cp");
        process.arg(format!("{}/*", Tool::Java.directory().join("jars").display()));
        process.arg(format!("org.apache.kafka.tools.{}", self.class()));
        process.args(["--bootstrap-server", &broker.bootstrap()]);
        let file = self::settings(broker, settings)?;
        process.arg("--command-config").arg::<&Path>(&file);
        Ok((process, file))
    }
}

/// Writes a file of settings with those that the login needs.
fn settings(broker: &dyn Broker, more: &[(&str, &str)]) -> anyhow::Result<TempPath> {
    let mut file = NamedTempFile::new()?;
    if let Some(login) = broker.login() {
        let module = match login.mechanism {
            "PLAIN" => "plain.PlainLoginModule",
            _ => "scram.ScramLoginModule",
        };
        let (user, password) = (&login.user, &login.password);
        writeln!(
            file,
            "security.protocol={}\nsasl.mechanism={}",
            login.protocol(),
            login.mechanism
        )?;
        writeln!(
            file,
            "sasl.jaas.config=org.apache.kafka.common.security.{module} required \
             username=\"{user}\" password=\"{password}\";"
        )?;
        if let Some(ca) = &login.ca {
            writeln!(file, "ssl.truststore.type=PEM\nssl.truststore.location={}", ca.display())?;
        }
    }
    for (name, value) in more {
        writeln!(file, "{name}={value}")?;
    }
    Ok(file.into_temp_path())
}

/// Runs a tool to its end; returns what it printed.
///
/// # Errors
/// It can't be installed, fails or takes longer than a minute.
pub fn run(tool: JavaTool, broker: &dyn Broker, arguments: &[&str]) -> anyhow::Result<String> {
    Tool::Java.prepare()?;
    let (java, _settings) = tool.process(broker, &[])?;
    let mut process = Process::new("timeout");
    process.args(["--kill-after=5", &PATIENCE.as_secs().to_string()]);
    process.arg(java.get_program()).args(java.get_args()).args(arguments);
    let output = process.output().context("starting java")?;
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    if !output.status.success() {
        bail!("{tool:?} {arguments:?} ended with {}: {printed}", output.status);
    }
    Ok(printed)
}

pub(crate) fn start(broker: &dyn Broker, command: &Command) -> anyhow::Result<Program> {
    match command {
        Command::Produce(wanted) => produce(broker, wanted),
        Command::Conflict(wanted) => conflict(broker, wanted),
        Command::Consume(wanted) => consume(broker, wanted),
        Command::Group(wanted) => group(broker, wanted),
    }
}

fn produce(broker: &dyn Broker, wanted: &Produce) -> anyhow::Result<Program> {
    let mut input = NamedTempFile::new()?;
    for (_, key, value) in wanted.records() {
        writeln!(input, "{key}\t{value}")?;
    }
    let (mut process, settings) = JavaTool::ConsoleProducer.process(broker, &[])?;
    process.args(["--topic", &wanted.topic, "--request-required-acks", "all"]);
    // It is idempotent by default.
    process.args(["--reader-property", "parse.key=true"]);
    started(process, settings, report, input.into_temp_path())
}

fn conflict(broker: &dyn Broker, wanted: &Conflict) -> anyhow::Result<Program> {
    let mut input = NamedTempFile::new()?;
    writeln!(input, "expected-version:{}\t{}\t{{\"n\": 0}}", wanted.version, wanted.key)?;
    let (mut process, settings) = JavaTool::ConsoleProducer.process(broker, &[])?;
    process.args(["--topic", &wanted.topic, "--request-required-acks", "all"]);
    process.args(["--reader-property", "parse.key=true"]);
    process.args(["--reader-property", "parse.headers=true"]);
    // Else a refusal is not shown.
    process.arg("--sync");
    started(process, settings, report, input.into_temp_path())
}

fn started(
    process: Process,
    settings: TempPath,
    parse: fn(Stream, &str) -> Vec<Event>,
    input: TempPath,
) -> anyhow::Result<Program> {
    let inputs = vec![Input::standard(input), Input::named(settings)];
    Program::start(format!("{process:?}"), &process, parse, inputs)
}

/// Kafka's console producer is silent, unless a record was refused.
fn report(_: Stream, line: &str) -> Vec<Event> {
    // `Caused by: org.apache.kafka.common.InvalidRecordException: text`
    let line = line.strip_prefix("Caused by: ").unwrap_or(line);
    let found =
        line.strip_prefix("org.apache.kafka.common.").and_then(|rest| rest.split_once(": "));
    let failed = found.map(|(class, message)| Event::Failed {
        name: class.rsplit('.').next().unwrap_or(class).to_owned(),
        code: None,
        message: message.to_owned(),
    });
    failed.into_iter().collect()
}

fn consume(broker: &dyn Broker, wanted: &Consume) -> anyhow::Result<Program> {
    let (mut process, settings) = JavaTool::ConsoleConsumer.process(broker, &[])?;
    process.args(["--topic", &wanted.topic, "--max-messages", &wanted.count.to_string()]);
    match wanted.from {
        Origin::Earliest => {
            process.arg("--from-beginning");
        }
        Origin::Time(time) => {
            let group = format!("{}-by-time", wanted.topic);
            reset(broker, wanted, &group, time)?;
            process.args(["--group", &group]);
        }
    }
    for shown in ["timestamp", "partition", "offset", "headers", "key"] {
        process.args(["--formatter-property", &format!("print.{shown}=true")]);
    }
    let name = format!("{process:?}");
    Program::start(name, &process, printed, vec![Input::named(settings)])
}

/// Sets the offsets of a group by time: the console consumer itself takes offsets only.
fn reset(broker: &dyn Broker, wanted: &Consume, group: &str, time: u64) -> anyhow::Result<()> {
    let time = jiff::Timestamp::from_millisecond(i64::try_from(time)?)?;
    let time = format!("{time:.3}");
    let words = ["--reset-offsets", "--execute", "--group", group, "--topic", &wanted.topic];
    let output = run(
        JavaTool::ConsumerGroups,
        broker,
        &[&words[..], &["--to-datetime", time.trim_end_matches('Z')]].concat(),
    )?;
    anyhow::ensure!(output.contains(&wanted.topic), "no offsets were set: {output}");
    Ok(())
}

/// `CreateTime:1\tPartition:2\tOffset:3\tname:value,name:value\tkey\tvalue`
fn printed(stream: Stream, line: &str) -> Vec<Event> {
    let found = if stream == Stream::Out { printed_record(line) } else { None };
    found.map(Event::Record).into_iter().collect()
}

fn printed_record(line: &str) -> Option<Record> {
    let mut fields = line.splitn(6, '\t');
    let mut number = |name: &str| -> Option<i64> {
        fields
            .next()?
            .split_once(name)
            .and_then(|(_, number)| number.strip_prefix(':')?.parse().ok())
    };
    let (timestamp, partition) = (number("Time")?, number("Partition")?);
    let offset = number("Offset")?;
    let headers = fields.next()?.split(',').filter_map(|header| header.split_once(':'));
    Some(Record {
        partition: partition.try_into().ok()?,
        offset,
        timestamp: Some(timestamp),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        key: fields.next().filter(|key| *key != "null").map(str::to_owned),
        value: fields.next().map(str::to_owned),
    })
}

fn group(broker: &dyn Broker, wanted: &Group) -> anyhow::Result<Program> {
    let every = wanted.commit_every.to_string();
    // It commits after every poll.
    let more = [("max.poll.records", &*every), ("heartbeat.interval.ms", "500")];
    let (mut process, settings) = JavaTool::VerifiableConsumer.process(broker, &more)?;
    process.args(["--topic", &wanted.topic, "--group-id", &wanted.group, "--verbose"]);
    process.args(["--session-timeout", &wanted.session.as_millis().to_string()]);
    let assignor = if wanted.cooperative { "CooperativeStickyAssignor" } else { "RangeAssignor" };
    let assignor = format!("org.apache.kafka.clients.consumer.{assignor}");
    process.args(["--assignment-strategy", &assignor]);
    if let Some(id) = &wanted.static_id {
        process.args(["--group-instance-id", id]);
    }
    Program::start(format!("{process:?}"), &process, reported, vec![Input::named(settings)])
}

/// Kafka's verifiable consumer prints JSON of its own.
fn reported(stream: Stream, line: &str) -> Vec<Event> {
    let line: Option<Value> = serde_json::from_str(line).ok().filter(|_| stream == Stream::Out);
    line.and_then(|line| reported_event(&line)).into_iter().collect()
}

fn reported_event(line: &Value) -> Option<Event> {
    let partitions = || -> Option<Vec<i32>> {
        let all = line.get("partitions")?.as_array()?.iter();
        all.map(|entry| partition(entry.get("partition")?)).collect()
    };
    match line.get("name")?.as_str()? {
        "partitions_assigned" => Some(Event::Assigned(partitions()?)),
        "partitions_revoked" => Some(Event::Revoked(partitions()?)),
        "record_data" => Some(Event::Record(Record {
            partition: partition(line.get("partition")?)?,
            offset: line.get("offset")?.as_i64()?,
            key: line.get("key")?.as_str().map(str::to_owned),
            value: line.get("value")?.as_str().map(str::to_owned),
            timestamp: None,
            headers: BTreeMap::new(),
        })),
        "offsets_committed" if line.get("success")?.as_bool()? => {
            let all = line.get("offsets")?.as_array()?.iter();
            let all = all.map(|entry| {
                Some((partition(entry.get("partition")?)?, entry.get("offset")?.as_i64()?))
            });
            Some(Event::Committed(all.collect::<Option<_>>()?))
        }
        "shutdown_complete" => Some(Event::Closed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_line_of_the_console_consumer() {
        let line = "CreateTime:17\tPartition:2\tOffset:3\ta:b,c:d:e\tk1\t{\"n\": 4}";
        let [Event::Record(record)] = &printed(Stream::Out, line)[..] else { panic!() };
        assert_eq!((record.partition, record.offset, record.number()), (2, 3, Some(4)));
        assert_eq!(
            (record.timestamp, record.headers.get("c").unwrap().as_str()),
            (Some(17), "d:e")
        );
        let line = "CreateTime:17\tPartition:2\tOffset:3\tNO_HEADERS\tnull\t1";
        let [Event::Record(record)] = &printed(Stream::Out, line)[..] else { panic!() };
        assert!(record.headers.is_empty() && record.key.is_none());
        assert_eq!(printed(Stream::Out, "Processed a total of 2 messages"), []);
    }

    #[test]
    fn reads_a_line_of_the_verifiable_consumer() {
        let line = r#"{"name":"offsets_committed","success":true,
            "offsets":[{"topic":"t","partition":1,"offset":5}]}"#;
        assert_eq!(reported(Stream::Out, line), [Event::Committed(BTreeMap::from([(1, 5)]))]);
        assert_eq!(reported(Stream::Out, &line.replace("true", "false")), []);
        let line = r#"{"name":"partitions_assigned","partitions":[{"topic":"t","partition":7}]}"#;
        assert_eq!(reported(Stream::Out, line), [Event::Assigned(vec![7])]);
    }

    #[test]
    fn reads_a_refusal_of_the_console_producer() {
        let line = "Caused by: org.apache.kafka.common.InvalidRecordException: expected version 3";
        let [Event::Failed { name, message, .. }] = &report(Stream::Errors, line)[..] else {
            panic!()
        };
        assert_eq!((&**name, &**message), ("InvalidRecordException", "expected version 3"));
    }
}
