//! The suites that librdkafka and franz-go ship, and Spark, against the server that `LEFTFOLD_KAFKA`
//! names, or else against a real Apache Kafka. `leftfold/suites.rs` runs them against Leftfold.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use leftfold_kafka_clients::suites::{
    self, FRANZ_GO_SKIPPED, LIBRDKAFKA, check_outcomes, sums_a_topic,
};
use leftfold_kafka_clients::{Apache, Broker, Endpoint};

/// The server to test. The broker ends with the value.
struct Server(Box<dyn Broker + Send + Sync>);

fn server() -> Server {
    match std::env::var("LEFTFOLD_KAFKA") {
        Ok(bootstrap) => Server(Box::new(Endpoint { bootstrap, login: None })),
        Err(_) => Server(Box::new(Apache::start().unwrap())),
    }
}

/// What is chosen by a variable, or all.
fn chosen(variable: &str, all: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| all.to_owned())
}

#[test]
#[ignore = "proves the suites with Apache Kafka, long"]
fn librdkafka() {
    let (server, limit) = (server(), Duration::from_secs(120));
    let tests = chosen("LEFTFOLD_LIBRDKAFKA_TESTS", LIBRDKAFKA);
    let found = suites::librdkafka_tests(&server.0.bootstrap(), &tests, limit).unwrap();
    check_outcomes(&found, &[]).unwrap();
}

#[test]
#[ignore = "proves the suites with Apache Kafka, long"]
fn franz_go() {
    let (server, limit) = (server(), Duration::from_secs(900));
    let wanted = chosen("LEFTFOLD_FRANZ_GO_TESTS", ".");
    let unwanted = chosen("LEFTFOLD_FRANZ_GO_SKIPPED", FRANZ_GO_SKIPPED);
    let found = suites::franz_go(&server.0.bootstrap(), [&*wanted, &*unwanted], limit).unwrap();
    check_outcomes(&found, &[]).unwrap();
}

#[test]
#[ignore = "proves the suites with Apache Kafka, long"]
fn spark_sums_a_topic() {
    sums_a_topic(&*server().0).unwrap();
}
