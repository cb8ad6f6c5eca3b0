//! Real Kafka clients against the binary.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod server;

use leftfold_kafka_clients::{Client, paths};

use server::Leftfold;

/// Runs the tests of one client, each with a server of its own.
macro_rules! client {
    ($name:ident, $client:expr) => {
        mod $name {
            use super::*;

            #[test]
            #[ignore = "the server has no listener for Kafka's protocol yet"]
            fn reads_all_and_by_time() {
                paths::reads_all_and_by_time($client, &Leftfold::start(), stringify!($name))
                    .unwrap();
            }

            #[test]
            #[ignore = "the server has no listener for Kafka's protocol yet"]
            fn a_group_survives_a_killed_member() {
                let server = Leftfold::start();
                paths::a_group_survives_a_killed_member($client, &server, stringify!($name))
                    .unwrap();
            }

            #[test]
            #[ignore = "the server has no listener for Kafka's protocol yet"]
            fn shows_a_conflict() {
                paths::shows_a_conflict($client, &Leftfold::start(), stringify!($name)).unwrap();
            }

            #[test]
            #[ignore = "long: cargo xtask clients"]
            fn reads_through_a_crash() {
                let (server, topic) = (Leftfold::start(), stringify!($name));
                paths::reads_through_a_crash($client, &server, topic, || server.crash()).unwrap();
            }

            #[test]
            #[ignore = "long: cargo xtask clients"]
            fn produces_through_a_crash() {
                if $client.survives_outages() {
                    let (server, topic) = (Leftfold::start(), stringify!($name));
                    paths::produces_through_a_crash($client, &server, topic, || server.crash())
                        .unwrap();
                }
            }
        }
    };
}

client!(confluent, Client::Confluent);
client!(kafka_python, Client::KafkaPython);
client!(aiokafka, Client::Aiokafka);
client!(kafkajs, Client::Kafkajs);
client!(franz_go, Client::FranzGo);
client!(kcat, Client::Kcat);
client!(java, Client::Java);

#[test]
#[ignore = "the server has no listener for Kafka's protocol yet"]
fn the_tools_of_kafka_run() {
    paths::runs_the_tools_of_kafka(&Leftfold::start(), "tools").unwrap();
}
