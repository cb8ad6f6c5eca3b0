//! The clients against a real Apache Kafka: this proves the programs, not Leftfold.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use leftfold_kafka_clients::{Apache, Client, MECHANISMS, Membership, SecuredApache, paths};

/// The clients to test: those that `LEFTFOLD_CLIENTS` names, or all.
fn clients() -> Vec<Client> {
    let named = std::env::var("LEFTFOLD_CLIENTS").unwrap_or_default();
    let named: Vec<&str> = named.split_whitespace().collect();
    let is_wanted = |client: &Client| named.is_empty() || named.contains(&client.name());
    Client::ALL.into_iter().filter(is_wanted).collect()
}

/// Runs a test with each client, all at once; tells the time of each and all that failed.
fn with_each(test: &str, run: impl Fn(Client, &str) -> anyhow::Result<()> + Sync) {
    check(std::thread::scope(|threads| {
        let all: Vec<_> = clients()
            .into_iter()
            .map(|client| (client, &run))
            .map(|(client, run)| threads.spawn(move || with(client, test, run)))
            .collect();
        all.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    }));
}

/// Runs a test with one client after the other.
fn with_each_alone(test: &str, run: impl Fn(Client, &str) -> anyhow::Result<()>) {
    check(clients().into_iter().filter_map(|client| with(client, test, &run)).collect());
}

fn with(
    client: Client,
    test: &str,
    run: impl Fn(Client, &str) -> anyhow::Result<()>,
) -> Option<String> {
    let started = std::time::Instant::now();
    let outcome = run(client, &format!("{}_{test}", client.name()));
    println!("{:>6.1} s {test} {}", started.elapsed().as_secs_f32(), client.name());
    outcome.err().map(|error| format!("{}: {error:#}", client.name()))
}

fn check(failed: Vec<String>) {
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[test]
#[ignore = "proves the programs with Apache Kafka: cargo xtask clients"]
fn clients_read_what_they_wrote() {
    let broker = Apache::start().unwrap();
    with_each("all", |client, topic| paths::reads_all_and_by_time(client, &broker, topic));
    with_each("header", |client, topic| paths::sends_the_expected_version(client, &broker, topic));
}

#[test]
#[ignore = "proves the programs with Apache Kafka: cargo xtask clients"]
fn groups_survive_killed_members() {
    let broker = Apache::start().unwrap();
    with_each("group", |client, topic| {
        paths::a_group_survives_a_killed_member(client, &broker, topic, Membership::default())
    });
}

#[test]
#[ignore = "proves the programs with Apache Kafka: cargo xtask clients"]
fn producers_go_on_after_a_crash_of_the_broker() {
    let broker = Apache::start().unwrap();
    with_each_alone("produced", |client, topic| match client.survives_outages() {
        true => paths::produces_through_a_crash(client, &broker, topic, || broker.crash()),
        false => Ok(()),
    });
}

#[test]
#[ignore = "proves the programs with Apache Kafka: cargo xtask clients"]
fn consumers_go_on_after_a_crash_of_the_broker() {
    let broker = Apache::start().unwrap();
    with_each_alone("read", |client, topic| {
        paths::reads_through_a_crash(client, &broker, topic, || broker.crash())
    });
}

#[test]
#[ignore = "proves the programs with Apache Kafka: cargo xtask clients"]
fn clients_are_encrypted_and_authenticated_by_each_mechanism() {
    let broker = SecuredApache::start().unwrap();
    for mechanism in MECHANISMS {
        let endpoint = broker.endpoint(mechanism);
        with_each(&mechanism.replace('-', "_"), |client, topic| {
            if !client.mechanisms().contains(&mechanism) {
                return Ok(());
            }
            paths::sends_the_expected_version(client, &endpoint, topic)?;
            paths::is_refused_with_a_wrong_password(client, &endpoint, topic)
        });
    }
}

#[test]
#[ignore = "proves the programs with Apache Kafka: cargo xtask clients"]
fn the_tools_of_kafka_run() {
    paths::runs_the_tools_of_kafka(&Apache::start().unwrap(), "tools").unwrap();
}
