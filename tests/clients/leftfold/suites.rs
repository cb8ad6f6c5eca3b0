//! The tests that librdkafka and franz-go ship, and Spark, against the binary: `cargo xtask clients`.

use std::time::Duration;

use leftfold_kafka_clients::Broker;
use leftfold_kafka_clients::suites::{
    self, FRANZ_GO_SKIPPED, LIBRDKAFKA, check_outcomes, sums_a_topic,
};

use crate::server::Leftfold;

/// The tests of librdkafka that fail by design, and why.
const LIBRDKAFKA_FAILING: &[&str] = &[];
/// The tests of franz-go that fail by design, and why.
const FRANZ_GO_FAILING: &[&str] = &[];

#[test]
#[ignore = "long: cargo xtask clients"]
fn librdkafka() {
    // Its tests write keyed records to partition 0, and its partitioner is CRC-32.
    let server = Leftfold::start_with(&["--kafka-partitioner=crc32", "--kafka-topic-partitions=1"]);
    let limit = Duration::from_secs(120);
    let found = suites::librdkafka_tests(&server.bootstrap(), LIBRDKAFKA, limit).unwrap();
    check_outcomes(&found, LIBRDKAFKA_FAILING).unwrap();
}

#[test]
#[ignore = "long: cargo xtask clients"]
fn franz_go() {
    let server = Leftfold::start();
    let limit = Duration::from_secs(900);
    let found = suites::franz_go(&server.bootstrap(), [".", FRANZ_GO_SKIPPED], limit).unwrap();
    check_outcomes(&found, FRANZ_GO_FAILING).unwrap();
}

#[test]
#[ignore = "long: cargo xtask clients"]
fn spark() {
    sums_a_topic(&Leftfold::start()).unwrap();
}
