//! A node that has lost its disk takes the copy from another node.

use leftfold::{Append, EventStore, NewEvent, Query, Read, ReadLevel};
use pollster::block_on;

use crate::alone;
use crate::deployment::Deployment;
use crate::nodes::{DEADLINE, Node};

const EVENTS: usize = 500;

/// Returns the events of a node's own copy, as lines.
fn events(node: &Node) -> Vec<String> {
    let read = Read::forward(Query::All).level(ReadLevel::Local).limit(2 * EVENTS);
    let page = block_on(node.client(DEADLINE).read(read)).unwrap();
    page.events.iter().map(|event| format!("{event:?} {:?}", event.data())).collect()
}

#[test]
fn a_node_that_has_lost_its_disk_takes_the_copy_of_another_node() {
    let _alone = alone();
    let deployment = Deployment::start(1, 2, 1);
    let owner = deployment.owners()[0];
    let (owner, other) = (&deployment.nodes[owner], &deployment.nodes[1 - owner]);
    let client = owner.client(DEADLINE);
    for number in 0..EVENTS {
        let event = NewEvent::new("Counted", number.to_string());
        block_on(client.append(Append::new().event("restored-1", event))).unwrap();
    }
    other.kill();
    other.lose_disk();
    other.start();
    deployment.wait_until_settled();
    let from = format!("the copy came from node {}: ", owner.name);
    assert!(other.output().contains(&from), "{}", other.output());
    let end = owner.status().unwrap()["partitions"][0]["applied"].as_u64();
    other.wait_until("expected all events", |status| {
        status["partitions"][0]["applied"].as_u64() >= end
    });
    let found = events(other);
    assert_eq!(found.len(), EVENTS);
    assert_eq!(found, events(owner));
}
