//! Nodes that are killed, cut off, drained and restarted in any order agree again afterwards.

use std::time::Duration;

use leftfold_kafka::ResponseError as Code;
use proptest::prelude::*;

use super::world::{Fault, PARTITIONS, World};

#[derive(Debug, Clone)]
enum Step {
    Kill(usize),
    Start(usize),
    Cut(usize),
    Heal(usize),
    Rejoin(usize),
    Fault(usize, &'static str, usize),
    KafkaAway,
    KafkaBack,
    Wait(u64),
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

const CODES: [Code; 5] = [
    Code::RebalanceInProgress,
    Code::IllegalGeneration,
    Code::UnknownMemberId,
    Code::NotCoordinator,
    Code::UnknownServerError,
];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let node = || 0..NAMES.len();
    let request = prop::sample::select(vec!["join", "sync", "heartbeat"]);
    let step = prop_oneof![
        1 => node().prop_map(Step::Kill),
        2 => node().prop_map(Step::Start),
        1 => node().prop_map(Step::Cut),
        1 => node().prop_map(Step::Heal),
        1 => node().prop_map(Step::Rejoin),
        2 => (node(), request, 0..=CODES.len())
            .prop_map(|(node, request, code)| Step::Fault(node, request, code)),
        1 => Just(Step::KafkaAway),
        1 => Just(Step::KafkaBack),
        5 => (0..9_000_u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..30)
}

fn apply(world: &mut World, step: &Step) {
    let is_running = |world: &World, node: usize| world.nodes.contains_key(NAMES[node]);
    match *step {
        Step::Kill(node) if is_running(world, node) => world.kill(NAMES[node]),
        Step::Start(node) if !is_running(world, node) => world.start(NAMES[node]),
        Step::Cut(node) if is_running(world, node) => world.node(NAMES[node]).cut(true),
        Step::Heal(node) if is_running(world, node) => world.node(NAMES[node]).cut(false),
        Step::Rejoin(node) if is_running(world, node) => {
            world.node(NAMES[node]).membership.rejoin();
        }
        Step::Fault(node, request, code) if is_running(world, node) => {
            let fault = CODES.get(code).map_or(Fault::LostAnswer, |&code| Fault::Code(code));
            world.node(NAMES[node]).plan_faults([(request, fault)]);
        }
        Step::KafkaAway => world.group.set_unavailable(Some(Code::NotCoordinator)),
        Step::KafkaBack => world.group.set_unavailable(None),
        Step::Wait(millis) => world.run_for(Duration::from_millis(millis)),
        _ => {}
    }
}

proptest! {
    #[test]
    fn nodes_agree_again_after_anything(steps in steps()) {
        let mut world = World::with_nodes(&NAMES[..3]);
        for step in &steps {
            apply(&mut world, step);
        }
        world.group.set_unavailable(None);
        for name in NAMES {
            if !world.nodes.contains_key(name) {
                world.start(name);
            }
            world.node(name).cut(false);
        }
        world.run_until(Duration::from_secs(120), |world| world.has_settled());
        let table = world.table("a");
        for name in NAMES {
            let owned = (0..PARTITIONS).filter(|&p| table.owner(p).unwrap().name == name);
            prop_assert_eq!(owned.count(), 1, "{}", world.owners("a"));
            prop_assert_eq!(&world.table(name), &table);
        }
    }
}
