//! How long a client waits while the owner is killed, and while it hands over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use leftfold::{Append, EventStore, NewEvent};
use parking_lot::{Condvar, Mutex};
use pollster::block_on;

use crate::alone;
use crate::deployment::Deployment;
use crate::nodes::{DEADLINE, Node};

const NODES: usize = 3;
/// The session of a node, and a second.
const FAILOVER: Duration = Duration::from_secs(7);
/// The appends before and after each change of the owner.
const BETWEEN: u64 = 50;

/// How an owner ends.
#[derive(Clone, Copy)]
enum End {
    Killed,
    Terminated,
}

/// The appends of one client, one after the other.
#[derive(Default)]
struct Appends {
    stop: AtomicBool,
    state: Mutex<Gaps>,
    more: Condvar,
}

#[derive(Default)]
struct Gaps {
    acknowledged: u64,
    longest: Duration,
}

impl Appends {
    /// Appends until told to stop. Each append must be acknowledged.
    fn run(&self, node: &Node) {
        let client = node.client(DEADLINE);
        let mut last = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            let append = Append::new().event("failover-1", NewEvent::new("Counted", ""));
            block_on(client.append(append)).unwrap();
            let mut gaps = self.state.lock();
            gaps.acknowledged += 1;
            gaps.longest = gaps.longest.max(last.elapsed());
            last = Instant::now();
            self.more.notify_all();
        }
    }

    /// Waits until more appends than now are acknowledged.
    fn wait_for_more(&self) {
        let mut gaps = self.state.lock();
        let wanted = gaps.acknowledged + BETWEEN;
        let few = |gaps: &mut Gaps| gaps.acknowledged < wanted;
        let waited = self.more.wait_while_for(&mut gaps, few, DEADLINE);
        assert!(!waited.timed_out(), "the client does not go on");
    }
}

/// Ends the owner under the load of a client of another node; returns the longest time between two acknowledgements.
fn change_owner(deployment: &Deployment, end: End) -> Duration {
    let owner = deployment.owners()[0];
    let other = &deployment.nodes[(owner + 1) % NODES];
    let appends = Appends::default();
    std::thread::scope(|threads| {
        threads.spawn(|| appends.run(other));
        appends.wait_for_more();
        // The first append has connected, which is not what is measured.
        appends.state.lock().longest = Duration::ZERO;
        match end {
            End::Killed => deployment.nodes[owner].kill(),
            End::Terminated => deployment.nodes[owner].terminate(),
        }
        appends.wait_for_more();
        appends.stop.store(true, Ordering::Relaxed);
    });
    assert!(!deployment.nodes[owner].owns_any());
    deployment.nodes[owner].start();
    deployment.wait_until_settled();
    appends.state.into_inner().longest
}

fn times() -> usize {
    const USUAL: usize = 3;
    std::env::var("LEFTFOLD_FAILOVERS").map_or(USUAL, |times| times.parse().unwrap())
}

fn report(what: &str, mut gaps: Vec<Duration>) -> Duration {
    gaps.sort();
    let (middle, longest) = (gaps[gaps.len() / 2], gaps[gaps.len() - 1]);
    println!(
        "{what}, {} times: longest wait of an append: p50 {middle:?}, max {longest:?}",
        gaps.len()
    );
    longest
}

#[test]
fn a_killed_owner_is_replaced_within_a_session_and_a_second_and_a_stopped_one_refuses_nothing() {
    let _alone = alone();
    let deployment = Deployment::start(1, NODES, 1);
    let all = |end| (0..times()).map(|_| change_owner(&deployment, end)).collect();
    report("hand-over after SIGTERM", all(End::Terminated));
    let longest = report("failover after kill -9", all(End::Killed));
    assert!(longest < FAILOVER, "{longest:?}");
}
