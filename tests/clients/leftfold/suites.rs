//! The tests that librdkafka and franz-go ship, and Spark, against the binary: `cargo xtask clients`.

use std::time::Duration;

use leftfold_kafka_clients::Broker;
use leftfold_kafka_clients::suites::{
    self, FRANZ_GO_SKIPPED, LIBRDKAFKA, check_outcomes, sums_a_topic,
};

use crate::server::Leftfold;

/// The tests of librdkafka whose topics need several partitions. The others write keyed records to partition
/// 0, which a key may do in a topic of one partition only.
const OF_SEVERAL_PARTITIONS: [&str; 4] = ["0012", "0054", "0057", "0118"];

/// The test of librdkafka that chance decides: one record for each of two partitions, whose random keys may
/// be those of their partitions.
const OF_CHANCE: &str = "0091";

/// The tests of librdkafka that fail by design.
const LIBRDKAFKA_FAILING: [&str; 12] = [
    // They write keyed records to partitions that are not their keys'.
    "0015", "0029", "0056",
    // Their keys can't be part of a stream's name: 99,037 bytes, and one with a NUL.
    "0003", "0064",
    // They add partitions to a topic, whose offsets are stable for ever.
    "0044", "0069", "0112",
    // It uses each of librdkafka's partitioners in one topic; a topic has one.
    "0048",
    // It expects that a compacted topic refuses records without keys; there are no compacted topics.
    "0011",
    // They expect no headers but their own; events have an id, a type and a time.
    "0073", "0085",
];

/// The tests of franz-go that fail by design.
const FRANZ_GO_FAILING: [&str; 7] = [
    // They create topics with a `max.message.bytes` of their own; the limit is the store's.
    "TestClient_ProduceLargeMessages",
    "TestIssueFetchLargerThanBrokerMaxReadBytes",
    // It expects no headers but its own.
    "TestPooling",
    // It expects batches as they were compressed; records are made from events.
    "TestConsumeMaxDecompressBatchBytes",
    // They delete a topic and expect that it is gone. Its events stay, and their category is listed again.
    "TestIssue434",
    "TestIssue523",
    // It expects the topic `__consumer_offsets`.
    "TestConsumeRegex",
];

/// Starts a server for topics of this number of partitions, with the partitioner of librdkafka.
fn serve_librdkafka(partitions: u32) -> Leftfold {
    let partitions = format!("--kafka-topic-partitions={partitions}");
    Leftfold::start_with(&["--kafka-partitioner=crc32", &partitions])
}

#[test]
#[ignore = "long: cargo xtask clients"]
fn librdkafka() {
    let limit = Duration::from_secs(120);
    let run = |server: Leftfold, tests: &[&str]| {
        suites::librdkafka_tests(&server.bootstrap(), &tests.join(" "), limit).unwrap()
    };
    let all = LIBRDKAFKA.split_whitespace();
    let is_other = |test: &&str| *test != OF_CHANCE && !OF_SEVERAL_PARTITIONS.contains(test);
    let others: Vec<_> = all.filter(is_other).collect();
    let mut found = run(serve_librdkafka(8), &OF_SEVERAL_PARTITIONS);
    found.extend(run(serve_librdkafka(1), &others));
    check_outcomes(&found, &LIBRDKAFKA_FAILING).unwrap();
}

#[test]
#[ignore = "long: cargo xtask clients"]
fn franz_go() {
    let server = Leftfold::start();
    let limit = Duration::from_secs(900);
    let found = suites::franz_go(&server.bootstrap(), [".", FRANZ_GO_SKIPPED], limit).unwrap();
    check_outcomes(&found, &FRANZ_GO_FAILING).unwrap();
}

#[test]
#[ignore = "long: cargo xtask clients"]
fn spark() {
    sums_a_topic(&Leftfold::start()).unwrap();
}
