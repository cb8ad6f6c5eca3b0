//! Real Kafka clients against the binary.
//!
//! The tests that are ignored take long: `cargo xtask clients` runs all.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod server;
mod suites;

use leftfold_kafka_clients::{Client, Membership, paths};

use server::{Leftfold, SecuredLeftfold};

/// Runs the tests of one client, each with a server of its own. The tests behind `long` are run by `cargo
/// xtask clients` only.
macro_rules! client {
    ($name:ident, $client:expr, usual: [$($usual:ident)*], long: [$($long:ident)*]) => {
        mod $name {
            use super::*;

            $(#[test]
            fn $usual() {
                super::$usual($client, stringify!($name)).unwrap();
            })*

            $(#[test]
            #[ignore = "long: cargo xtask clients"]
            fn $long() {
                super::$long($client, stringify!($name)).unwrap();
            })*
        }
    };
}

client! {
    confluent, Client::Confluent,
    usual: [
        reads_all_and_by_time a_group_survives_a_killed_member shows_a_conflict reads_through_a_crash
        produces_through_a_crash has_static_members rebalances_cooperatively is_authenticated_by_scram
    ],
    long: [is_authenticated_by_each_mechanism]
}
client! {
    java, Client::Java,
    usual: [
        reads_all_and_by_time a_group_survives_a_killed_member shows_a_conflict reads_through_a_crash
        produces_through_a_crash
    ],
    long: [has_static_members rebalances_cooperatively is_authenticated_by_each_mechanism]
}
client! {
    kafka_python, Client::KafkaPython,
    usual: [reads_all_and_by_time a_group_survives_a_killed_member shows_a_conflict],
    long: [
        reads_through_a_crash produces_through_a_crash has_static_members rebalances_cooperatively
        is_authenticated_by_each_mechanism
    ]
}
client! {
    aiokafka, Client::Aiokafka,
    usual: [reads_all_and_by_time a_group_survives_a_killed_member shows_a_conflict],
    long: [
        reads_through_a_crash produces_through_a_crash has_static_members
        is_authenticated_by_each_mechanism
    ]
}
client! {
    kafkajs, Client::Kafkajs,
    usual: [reads_all_and_by_time a_group_survives_a_killed_member shows_a_conflict],
    long: [reads_through_a_crash produces_through_a_crash is_authenticated_by_each_mechanism]
}
client! {
    franz_go, Client::FranzGo,
    usual: [reads_all_and_by_time a_group_survives_a_killed_member shows_a_conflict],
    long: [
        reads_through_a_crash produces_through_a_crash has_static_members rebalances_cooperatively
        is_authenticated_by_each_mechanism
    ]
}
client! {
    kcat, Client::Kcat,
    usual: [reads_all_and_by_time a_group_survives_a_killed_member shows_a_conflict],
    long: [reads_through_a_crash has_static_members is_authenticated_by_each_mechanism]
}

fn reads_all_and_by_time(client: Client, topic: &str) -> anyhow::Result<()> {
    paths::reads_all_and_by_time(client, &Leftfold::start(), topic)
}

fn a_group_survives_a_killed_member(client: Client, topic: &str) -> anyhow::Result<()> {
    let server = Leftfold::start();
    paths::a_group_survives_a_killed_member(client, &server, topic, Membership::default())
}

fn rebalances_cooperatively(client: Client, topic: &str) -> anyhow::Result<()> {
    let server = Leftfold::start();
    let membership = Membership { is_cooperative: true };
    paths::a_group_survives_a_killed_member(client, &server, topic, membership)
}

fn has_static_members(client: Client, topic: &str) -> anyhow::Result<()> {
    paths::a_static_member_keeps_its_partitions(client, &Leftfold::start(), topic)
}

fn shows_a_conflict(client: Client, topic: &str) -> anyhow::Result<()> {
    paths::shows_a_conflict(client, &Leftfold::start(), topic)
}

fn reads_through_a_crash(client: Client, topic: &str) -> anyhow::Result<()> {
    let server = Leftfold::start();
    paths::reads_through_a_crash(client, &server, topic, || server.crash())
}

fn produces_through_a_crash(client: Client, topic: &str) -> anyhow::Result<()> {
    let server = Leftfold::start();
    paths::produces_through_a_crash(client, &server, topic, || server.crash())
}

fn is_authenticated_by_scram(client: Client, topic: &str) -> anyhow::Result<()> {
    is_authenticated(client, &SecuredLeftfold::start(), topic, "SCRAM-SHA-512")
}

fn is_authenticated_by_each_mechanism(client: Client, topic: &str) -> anyhow::Result<()> {
    let server = SecuredLeftfold::start();
    for mechanism in client.mechanisms() {
        let topic = format!("{topic}_{}", mechanism.replace('-', "_"));
        is_authenticated(client, &server, &topic, mechanism)?;
    }
    Ok(())
}

/// Writes and reads as a user who may use one topic and one group, and is refused everything else.
fn is_authenticated(
    client: Client,
    server: &SecuredLeftfold,
    topic: &str,
    mechanism: &'static str,
) -> anyhow::Result<()> {
    let endpoint = server.endpoint(mechanism);
    server.grant(topic, &format!("{topic}-members"))?;
    paths::reads_in_a_group(client, &endpoint, topic)?;
    paths::is_refused(client, &endpoint, &format!("other_{topic}"))?;
    paths::is_refused_with_a_wrong_password(client, &endpoint, topic)
}

#[test]
fn the_tools_of_kafka_run() {
    paths::runs_the_tools_of_kafka(&Leftfold::start(), "tools").unwrap();
}
