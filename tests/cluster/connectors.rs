//! A connector goes on at the next owner when a node is killed, and when it gives its partition away.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Instant;

use leftfold::{Append, EventStore, NewEvent};
use pollster::block_on;
use serde_json::Value;

use crate::alone;
use crate::deployment::Deployment;
use crate::nodes::{DEADLINE, Node, binary};
use crate::receiver::Receiver;

const STREAMS: usize = 4;
const EVENTS: usize = 20;

/// Runs a command about connectors at a node.
fn connector(node: &Node, args: &[&str]) -> String {
    let url = format!("http://{}", node.address());
    let output =
        Command::new(binary()).args(["-s", &url, "connector"]).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn append(node: &Node) {
    let client = node.client(DEADLINE);
    for number in 0..EVENTS {
        let event = NewEvent::json("OrderPlaced", "{}");
        let append = Append::new().event(format!("order-{}", number % STREAMS), event);
        block_on(client.append(append)).unwrap();
    }
}

fn wait_for_phase(node: &Node, wanted: &str) {
    let started = Instant::now();
    loop {
        let shown: Value = serde_json::from_str(&connector(node, &["show", "hook"])).unwrap();
        if shown["phase"] == wanted {
            return;
        }
        assert!(started.elapsed() < DEADLINE, "node {}: {shown}", node.name);
    }
}

#[test]
fn a_web_hook_goes_on_at_the_next_owner() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let (deployment, receiver) = (Deployment::start(1, 2, 1), Receiver::start());
    let hook = receiver.hook(dir.path());
    let owner = deployment.owners()[0];
    let (owner, other) = (&deployment.nodes[owner], &deployment.nodes[1 - owner]);
    connector(other, &["add", &hook]);
    append(other);
    let has_all = |rounds: usize| {
        move |all: &[(String, u64)]| {
            let last = (rounds * EVENTS / STREAMS - 1) as u64;
            (0..STREAMS).all(|n| all.contains(&(format!("order-{n}"), last)))
        }
    };
    receiver.wait(has_all(1));
    wait_for_phase(owner, "running");
    wait_for_phase(other, "elsewhere");

    owner.kill();
    append(other);
    receiver.wait(has_all(2));
    owner.start();
    deployment.wait_until_settled();
    wait_for_phase(owner, "elsewhere");
    other.terminate();
    append(owner);
    let received = receiver.wait(has_all(3));
    let mut firsts = BTreeMap::<_, Vec<_>>::new();
    for (stream, version) in received {
        let versions = firsts.entry(stream).or_default();
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    let all: Vec<u64> = (0..(3 * EVENTS / STREAMS) as u64).collect();
    assert!(
        firsts.len() == STREAMS && firsts.values().all(|versions| *versions == all),
        "{firsts:?}"
    );
}
