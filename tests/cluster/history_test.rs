//! 32 clients, while nodes, brokers and networks fail: every stream is linearizable, and nothing is lost or doubled.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use leftfold::{Append, EventStore};
use tokio::runtime::Runtime;

use crate::clients::{CALL, Caller, Load};
use crate::deployment::Deployment;
use crate::faults::{self, Bell, Counts};
use crate::history::{Call, Outcome, event};
use crate::log::Entry;
use crate::nodes::DEADLINE;
use crate::subscribers::{ends, read_copy, subscribe};
use crate::{alone, log, model};

const CLIENTS: u32 = 32;
const NODES: usize = 3;
const BROKERS: u16 = 3;
/// The time of faults with one partition, unless `LEFTFOLD_CLUSTER_MINUTES` says otherwise.
const USUAL: Duration = Duration::from_secs(50);
/// The number of partitions of the other test, unless `LEFTFOLD_CLUSTER_PARTITIONS` says otherwise, and its time.
const MANY: u32 = 4;
const SHORT: Duration = Duration::from_secs(15);

/// What a run has left behind.
struct Run {
    calls: Vec<Call>,
    seen: Vec<Vec<Entry>>,
    copies: Vec<Vec<Entry>>,
    longest_gap: Duration,
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn histories_are_linearizable_while_nodes_brokers_and_networks_fail() {
    check_histories(1, USUAL);
}

#[test]
fn histories_of_many_partitions_are_linearizable_while_nodes_brokers_and_networks_fail() {
    let partitions = number("LEFTFOLD_CLUSTER_PARTITIONS");
    check_histories(partitions.map_or(MANY, |number| u32::try_from(number).unwrap()), SHORT);
}

fn check_histories(partitions: u32, usual: Duration) {
    let _alone = alone();
    let time = number("LEFTFOLD_CLUSTER_MINUTES").map_or(usual, |n| Duration::from_secs(60 * n));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let seed = number("LEFTFOLD_SEED").unwrap_or(now);
    println!("seed {seed}");
    let deployment = Deployment::start(BROKERS, NODES, partitions);
    let counts = Counts::default();
    let run = run(&deployment, seed, time, &counts);
    report(&run, &counts);
    check(&run, seed);
}

/// Lets clients and subscribers run beside the faults.
fn run(deployment: &Deployment, seed: u64, time: Duration, counts: &Counts) -> Run {
    let runtime = Runtime::new().unwrap();
    let load = Arc::new(Load::new());
    let seen: Vec<_> = deployment
        .nodes
        .iter()
        .map(|node| runtime.spawn(subscribe(node.client(DEADLINE), deployment.partitions)))
        .collect();
    let callers: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let nodes = deployment.nodes.iter().map(|node| node.client(CALL)).collect();
            runtime.spawn(Caller::new(number, nodes, seed, load.clone()).run())
        })
        .collect();
    faults::run(deployment, seed, &Bell::after(time), counts);
    deployment.wait_until_settled();
    load.stop.store(true, Ordering::Relaxed);
    runtime.block_on(async {
        for caller in callers {
            caller.await.unwrap();
        }
        let clients: Vec<_> = deployment.nodes.iter().map(|node| node.client(DEADLINE)).collect();
        let partitions = deployment.partitions;
        for (number, end) in (0..).zip(ends(partitions)) {
            let last = Append::new().event(end, event(u64::MAX - number));
            clients[0].append(last).await.unwrap();
        }
        let head = clients[0].head().await.unwrap();
        let mut copies = Vec::new();
        for client in &clients {
            copies.push(read_copy(client, &head, partitions).await);
        }
        let mut all_seen = Vec::new();
        for seen in seen {
            all_seen.push(tokio::time::timeout(DEADLINE, seen).await.unwrap().unwrap());
        }
        let longest_gap = load.longest_gap();
        let load = Arc::into_inner(load).unwrap();
        Run { calls: load.history.into_calls(), seen: all_seen, copies, longest_gap }
    })
}

fn report(run: &Run, faults: &Counts) {
    let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for call in &run.calls {
        let name = match &call.outcome {
            Outcome::Appended { .. } => "appends",
            Outcome::Conflict { .. } => "conflicts",
            Outcome::Unknown { why, .. } => {
                *reasons.entry(why).or_default() += 1;
                "unknown"
            }
            Outcome::Read(_) => "linearizable reads",
        };
        *outcomes.entry(name).or_default() += 1;
    }
    println!("{outcomes:?}; {faults:?}; longest time without an append: {:?}", run.longest_gap);
    reasons.iter().for_each(|(why, count)| println!("  {count} unknown: {why}"));
}

fn check(run: &Run, seed: u64) {
    let started = Instant::now();
    let log = &run.copies[0];
    for (number, copy) in run.copies.iter().enumerate() {
        assert!(copy == log, "seed {seed}: the copies of n0 and n{number} differ");
    }
    for (number, seen) in run.seen.iter().enumerate() {
        let differs = seen.iter().zip(log).position(|(seen, entry)| seen != entry);
        assert!(
            seen == log,
            "seed {seed}: the subscriber of n{number} has seen {} events of {}; first difference: {differs:?}",
            seen.len(),
            log.len()
        );
    }
    log::check(log, &run.calls).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    model::check(log, &run.calls).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    println!("{} calls checked in {:?}", run.calls.len(), started.elapsed());
}
