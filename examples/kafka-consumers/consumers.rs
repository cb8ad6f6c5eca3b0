//! The consumers: one in this program, and two that are processes, if they are installed.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use leftfold_kafka::{Client, FetchResult, KafkaError, Partition, StoredRecord};

use super::{PATIENCE, TOPIC, at_once};

/// How long is waited before a topic is asked for again.
const PAUSE: Duration = Duration::from_millis(20);
/// The consumer in Python: it prints the key of each record.
const IN_PYTHON: &str = include_str!("consumer.py");
/// The exit code of Python without the library.
const NO_LIBRARY: i32 = 3;

/// Lets all consumers read the topic; returns the records of the one in this program.
pub(super) async fn tell_consumers(
    client: &Client,
    address: &str,
    out: &mut dyn Write,
) -> anyhow::Result<Vec<(Partition, StoredRecord)>> {
    let records = read_all(client).await?;
    let keys = records.iter().filter_map(|(_, record)| record.record.key.as_deref());
    tell("this program", keys, out)?;

    let mut kcat = Command::new("kcat");
    // From the beginning to the end, and only keys.
    kcat.args(["-q", "-C", "-b", address, "-t", TOPIC, "-o", "beginning", "-e", "-f", "%k\n"]);
    tell_process("kcat", kcat, "install it (Debian and Ubuntu: apt-get install kcat)", out)?;

    let mut python = Command::new("python3");
    python.args(["-c", IN_PYTHON, address, TOPIC]);
    tell_process("Python", python, "install it: python3 -m pip install kafka-python", out)?;
    Ok(records)
}

/// Reads all partitions to their ends.
pub(super) async fn read_all(client: &Client) -> anyhow::Result<Vec<(Partition, StoredRecord)>> {
    let topic = client.describe_topic(TOPIC).await?.context("there is no such topic")?;
    let mut records = Vec::new();
    for number in 0..topic.partitions {
        let partition = Partition::new(TOPIC, number);
        let mut next = 0;
        loop {
            let found = fetch(client, &partition, next).await?;
            let Some(last) = found.batches.last() else { break };
            next = last.last_offset + 1;
            let of_partition = found.records().into_iter().cloned();
            records.extend(of_partition.map(|record| (partition.clone(), record)));
        }
    }
    Ok(records)
}

/// Fetches once. A category becomes a topic when it is first read, which takes a moment.
async fn fetch(
    client: &Client,
    partition: &Partition,
    from: i64,
) -> Result<FetchResult, KafkaError> {
    let began = Instant::now();
    loop {
        let fetched = async {
            let leader = client.leader(partition).await?;
            leader.fetch(partition, from, at_once()).await
        };
        match fetched.await {
            Err(error) if error.is_retriable() && began.elapsed() < PATIENCE => {
                tokio::time::sleep(PAUSE).await;
            }
            fetched => return fetched,
        }
    }
}

fn tell<'a>(
    who: &str,
    keys: impl Iterator<Item = &'a [u8]>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut accounts = BTreeSet::new();
    let records = keys.map(|key| accounts.insert(key)).count();
    writeln!(out, "{who}: {records} records of {} accounts", accounts.len())?;
    Ok(())
}

/// Runs a consumer that prints the key of each record, and counts its lines.
fn tell_process(
    who: &str,
    mut consumer: Command,
    missing: &str,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let output = match consumer.stdin(Stdio::null()).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            writeln!(out, "{who}: it is not there; {missing}")?;
            return Ok(());
        }
        output => output.with_context(|| format!("{who} can't be started"))?,
    };
    match output.status.code() {
        Some(0) => {
            tell(who, output.stdout.split(|byte| *byte == b'\n').filter(|key| !key.is_empty()), out)
        }
        Some(NO_LIBRARY) => {
            writeln!(out, "{who}: its library is not there; {missing}")?;
            Ok(())
        }
        _ => bail!("{who} failed: {}", String::from_utf8_lossy(&output.stderr)),
    }
}
