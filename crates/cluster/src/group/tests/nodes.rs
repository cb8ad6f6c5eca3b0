//! What nodes see when others start, stop, drain and fail.

use std::sync::Arc;
use std::time::Duration;

use super::world::World;
use crate::group::{MembershipError, Standing};

const SESSION: Duration = Duration::from_secs(6);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn nodes_agree_on_all_routes() {
    let world = World::with_nodes(&["a", "b", "c"]);
    let table = world.table("a");
    assert!(["b", "c"].iter().all(|name| world.table(name) == table));
    assert_eq!(world.owners("a"), "a b c a");
    assert_eq!(table.find_node("c").unwrap().url, "http://c");
    assert_eq!(table.standbys(1).count(), 2);
}

#[test]
fn a_name_that_others_would_refuse_makes_no_member() {
    let made = World::new().make_member("a b", Arc::default());
    assert!(made.is_err_and(|error| error.to_string().contains("the node's name is \"a b\"")));
}

#[test]
fn other_nodes_take_over_within_the_session_timeout_and_a_second() {
    let mut world = World::with_nodes(&["a", "b", "c"]);
    world.node("c").membership.update(|profile| {
        profile.copies.insert(0, 101);
    });
    world.node("c").membership.rejoin();
    world.settle();
    world.kill("a");
    let waited = world.run_until(seconds(60), |world| world.has_settled());
    assert!(waited <= SESSION + seconds(1), "{waited:?}");
    assert_eq!(world.owners("b"), "c b c b", "the furthest copy of partition 0 is on c");
}

#[test]
fn owners_keep_their_routes_while_a_generation_begins() {
    let mut world = World::with_nodes(&["a", "b"]);
    let before = world.owners("a");
    // A killed node delays the next generation.
    world.start("c");
    world.settle();
    world.kill("c");
    world.node("a").membership.rejoin();
    world.run_for(seconds(1));
    assert_eq!(world.node("a").routes().standing, Standing::Member);
    assert!(world.table("a").owner(0).is_some());
    world.settle();
    assert_eq!(world.owners("a"), before);
}

#[test]
fn a_node_that_restarts_at_once_keeps_its_partitions() {
    let mut world = World::with_nodes(&["a", "b", "c"]);
    let before = world.owners("a");
    let generation = world.group.generation();
    world.kill("b");
    world.start("b");
    let waited = world.run_until(seconds(60), |world| world.has_settled());
    assert!(waited < seconds(1), "{waited:?}");
    // It reports no ownership, but its share is free, and the others keep theirs.
    assert_eq!(world.owners("a"), before);
    assert!(world.group.generation() <= generation + 1);
}

#[test]
fn a_draining_node_gives_its_partitions_away_and_stays_a_member() {
    let mut world = World::with_nodes(&["a", "b", "c"]);
    world.node("a").membership.drain();
    let waited = world.run_until(seconds(60), |world| !world.owners("b").contains('a'));
    assert!(waited < seconds(1), "{waited:?}");
    world.settle();
    let table = world.table("c");
    assert!(table.find_node("a").unwrap().is_draining);
    assert!((0..4).all(|partition| table.standbys(partition).all(|node| node.name != "a")));
    assert_eq!(world.node("a").routes().standing, Standing::Member);
}

#[test]
fn nodes_report_that_they_own_what_the_last_table_gave_them() {
    let mut world = World::with_nodes(&["a", "b"]);
    let owned =
        |world: &World, name| world.group.report(name).owned.into_iter().collect::<Vec<_>>();
    world.node("a").membership.update(|profile| {
        profile.owned.insert(2, 7);
    });
    world.node("a").membership.rejoin();
    world.settle();
    assert_eq!(owned(&world, "a"), [(0, 0), (2, 7)], "0 is not claimed yet");
    world.node("a").membership.drain();
    world.run_until(seconds(2), |world| world.owners("a") == "b b b b");
    world.node("b").membership.rejoin();
    world.settle();
    assert_eq!(owned(&world, "a"), []);
    assert_eq!(owned(&world, "b"), [(0, 0), (1, 0), (2, 0), (3, 0)]);
}

#[test]
fn a_node_that_leaves_is_replaced_at_once() {
    let mut world = World::with_nodes(&["a", "b"]);
    world.node("a").membership.leave();
    let left = |world: &World| matches!(*world.node("a").end.lock(), Some(Ok(())));
    let waited =
        world.run_until(seconds(60), |world| left(world) && world.owners("b") == "b b b b");
    assert!(waited < seconds(1), "{waited:?}");
    assert_eq!(world.node("a").routes().standing, Standing::Left);
}

#[test]
fn a_node_can_leave_while_it_waits_to_join() {
    let mut world = World::with_nodes(&["a", "b"]);
    world.kill("b");
    world.start("c");
    world.run_for(Duration::from_millis(100));
    assert_eq!(world.node("c").routes().standing, Standing::Joining);
    world.node("c").membership.leave();
    let left = |world: &World| matches!(*world.node("c").end.lock(), Some(Ok(())));
    assert!(world.run_until(seconds(60), left) < seconds(1));
}

#[test]
fn a_node_that_cannot_reach_kafka_leaves_within_a_bound() {
    let mut world = World::with_nodes(&["a"]);
    world.node("a").cut(true);
    world.node("a").membership.leave();
    let left = |world: &World| matches!(*world.node("a").end.lock(), Some(Ok(())));
    assert!(world.run_until(seconds(60), left) <= seconds(5));
}

#[test]
fn a_node_that_is_cut_off_knows_it_and_others_take_over() {
    let mut world = World::with_nodes(&["a", "b"]);
    world.node("a").cut(true);
    let last = world.node("a").membership.last_heartbeat().unwrap();
    let away = |world: &World| world.node("a").routes().standing == Standing::Away;
    assert!(world.run_until(seconds(60), away) <= SESSION);
    world.run_until(seconds(2), |world| world.owners("b") == "b b b b");
    assert_eq!(world.node("a").membership.last_heartbeat(), Some(last));
    assert!(world.node("a").routes().problem.unwrap().contains("does not answer"));
    // The routes of old stay, and forward to the nodes that were there.
    assert_eq!(world.owners("a"), "a b a b");

    // The node that took over has claimed; the node that returns still believes that it owns.
    for (name, term) in [("a", 7), ("b", 8)] {
        world.node(name).membership.update(|profile| {
            profile.owned.insert(0, term);
            profile.owned.insert(2, term);
        });
    }
    world.node("a").cut(false);
    world.settle();
    let owners = world.owners("a");
    let kept = owners.split(' ').filter(|name| *name == "b").count();
    assert_eq!(kept, 2, "two move for balance, by the terms of b: {owners}");
}

#[test]
fn of_two_processes_with_one_name_one_gives_up_and_says_why() {
    let mut world = World::with_nodes(&["a", "b"]);
    world.start_process("a-again", "a");
    let ends =
        |world: &World| ["a", "a-again"].map(|process| world.node(process).end.lock().is_some());
    world.run_until(seconds(5), |world| ends(world).contains(&true));
    world.run_for(seconds(60));
    assert_eq!(ends(&world).iter().filter(|has_ended| **has_ended).count(), 1);
    let loser = if ends(&world)[0] { "a" } else { "a-again" };
    let end = world.node(loser).end.lock().take().unwrap();
    let Err(error @ MembershipError::Replaced(_)) = end else { panic!("{end:?}") };
    assert!(error.to_string().starts_with("another process has joined the cluster as node a,"));
    assert_eq!(world.node(loser).routes().standing, Standing::Replaced);
    world.nodes.remove(loser);
    assert!(world.has_settled());
}

#[test]
fn wishes_to_join_again_are_fulfilled_even_if_they_come_during_a_join() {
    let mut world = World::with_nodes(&["a", "b"]);
    world.node("a").membership.rejoin();
    world.run_for(Duration::from_micros(500));
    world.node("a").membership.drain();
    world.run_until(seconds(2), |world| world.owners("b") == "b b b b");
}
