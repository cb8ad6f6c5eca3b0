//! What a node does after each error of the coordinator.

use std::time::Duration;

use leftfold_kafka::ResponseError as Code;

use super::world::{Fault, World};
use crate::group::Standing;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Makes a request of a node meet a fault, and returns the time until all nodes have settled again.
fn recover(request: &'static str, fault: Fault) -> Duration {
    let mut world = World::with_nodes(&["a", "b"]);
    world.node("a").plan_faults([(request, fault)]);
    world.node("b").membership.rejoin();
    let waited =
        world.run_until(seconds(60), |world| !world.node("a").has_faults() && world.has_settled());
    world.run_for(seconds(20));
    assert!(world.has_settled(), "{request} {fault:?}");
    waited
}

#[test]
fn a_node_recovers_from_every_error_of_every_request() {
    let codes = [
        Code::RebalanceInProgress,
        Code::IllegalGeneration,
        Code::UnknownMemberId,
        Code::FencedInstanceId,
        Code::NotCoordinator,
        Code::CoordinatorNotAvailable,
        Code::CoordinatorLoadInProgress,
        Code::RequestTimedOut,
        Code::UnknownServerError,
        Code::GroupAuthorizationFailed,
    ];
    for request in ["join", "sync", "heartbeat"] {
        for code in codes {
            let waited = recover(request, Fault::Code(code));
            assert!(waited < seconds(3), "{request} {code:?}: {waited:?}");
        }
        let waited = recover(request, Fault::LostAnswer);
        assert!(waited < seconds(17), "{request}: {waited:?}");
    }
    assert!(recover("join", Fault::IdRequired) < seconds(2));
}

#[test]
fn while_kafka_is_away_a_node_waits_with_few_requests_and_loses_nothing() {
    let mut world = World::with_nodes(&["a", "b", "c"]);
    let before = world.owners("a");
    let generation = world.group.generation();
    world.group.set_unavailable(Some(Code::CoordinatorNotAvailable));
    let away =
        |world: &World| world.nodes.values().all(|node| node.routes().standing == Standing::Away);
    assert!(world.run_until(seconds(60), away) <= seconds(7));
    let count = |world: &World| -> usize { world.node("a").link.requests.lock().values().sum() };
    let requests = count(&world);
    world.run_for(seconds(60));
    assert!(count(&world) - requests <= 200, "{} requests", count(&world) - requests);
    world.group.set_unavailable(None);
    assert!(world.run_until(seconds(60), |world| world.has_settled()) < seconds(1));
    assert_eq!((world.owners("a"), world.group.generation()), (before, generation));
}

#[test]
fn a_node_that_starts_without_kafka_joins_when_it_comes() {
    let mut world = World::new();
    world.group.set_unavailable(Some(Code::NotCoordinator));
    world.start("a");
    world.run_for(seconds(600));
    let routes = world.node("a").routes();
    assert_eq!(routes.standing, Standing::Joining);
    assert!(routes.problem.unwrap().contains("JoinGroup was refused"));
    let requests: usize = world.node("a").link.requests.lock().values().sum();
    assert!(requests <= 610, "{requests} requests in ten minutes");
    world.group.set_unavailable(None);
    assert!(world.run_until(seconds(60), |world| world.has_settled()) <= seconds(2));
}

#[test]
fn an_endless_routine_error_is_no_busy_loop() {
    let mut world = World::with_nodes(&["a"]);
    world.node("a").plan_faults((0..1_000).map(|_| ("join", Fault::Code(Code::UnknownMemberId))));
    world.node("a").membership.rejoin();
    world.run_for(seconds(10));
    let joins = world.node("a").link.requests.lock()["join"];
    assert!(joins < 20, "{joins} requests");
}

#[test]
fn a_node_that_has_recovered_is_quick_again() {
    let mut world = World::with_nodes(&["a", "b"]);
    world.node("a").plan_faults((0..9).map(|_| ("join", Fault::Code(Code::NotCoordinator))));
    world.node("a").membership.rejoin();
    world.run_until(seconds(60), |world| !world.node("a").has_faults() && world.has_settled());
    world.run_for(seconds(1));
    world.node("b").membership.drain();
    let waited = world.run_until(seconds(60), |world| world.owners("a") == "a a a a");
    assert!(waited < Duration::from_millis(400), "{waited:?}");
}

#[test]
fn routes_that_cannot_be_read_leave_the_earlier_ones_in_force() {
    let mut world = World::with_nodes(&["a", "b"]);
    let before = world.table("a");
    world.node("a").plan_faults([("sync", Fault::Garbage(b"not a table"))]);
    world.node("b").membership.drain();
    world.run_until(seconds(5), |world| world.owners("b") == "a a a a");
    world.run_for(seconds(5));
    let routes = world.node("a").routes();
    assert_eq!(routes.table.unwrap(), before);
    assert_eq!(routes.standing, Standing::Member);
    assert!(routes.problem.unwrap().contains("the table of routes cannot be read"));
    world.node("a").membership.rejoin();
    world.settle();
    assert_eq!(world.owners("a"), "a a a a");
}
