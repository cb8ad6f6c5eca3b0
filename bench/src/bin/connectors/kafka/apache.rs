//! Apache's own benchmark of producers.

use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use leftfold_kafka_tools::Tool;

use crate::world::PAYLOAD;

const PROGRAM: &str = "org.apache.kafka.tools.ProducerPerformance";
/// Its unlimited throughput.
const UNLIMITED: &str = "-1";

/// Runs `ProducerPerformance` with `acks=all` and its defaults otherwise; returns the records per second that it reports,
/// without the start of Java.
pub(super) async fn rate(bootstrap: &str, topic: &str, records: u64) -> anyhow::Result<f64> {
    let (bootstrap, topic) = (bootstrap.to_owned(), topic.to_owned());
    tokio::task::spawn_blocking(move || run(&bootstrap, &topic, records)).await?
}

fn run(bootstrap: &str, topic: &str, records: u64) -> anyhow::Result<f64> {
    // The tools are not among the jars of the broker, but among those of the tests of clients.
    Tool::Java.prepare()?;
    let jars = Tool::Java.directory().join("jars").join("*");
    let mut java = Command::new(leftfold_kafka_broker::java()?.get_program());
    java.args(["-Xms512m", "-Xmx512m", "-cp"]).arg(jars).arg(PROGRAM);
    java.args(["--topic", topic, "--num-records", &records.to_string()]);
    java.args(["--record-size", &PAYLOAD.to_string(), "--throughput", UNLIMITED]);
    java.args(["--bootstrap-server", bootstrap, "--command-property", "acks=all"]);
    let output = java.stdin(Stdio::null()).output().context("starting Java")?;
    let (said, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{PROGRAM} ended with {}: {said}{errors}", output.status);
    let found = said.lines().rev().find_map(rate_of);
    found.with_context(|| format!("{PROGRAM} says no rate: {said}"))
}

/// Finds the rate in a line such as `1000 records sent, 5000.0 records/sec (1.22 MB/sec), ...`.
fn rate_of(line: &str) -> Option<f64> {
    let (before, _) = line.split_once(" records/sec")?;
    before.rsplit(' ').next()?.parse().ok()
}
