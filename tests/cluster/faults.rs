//! Faults by a seed: one of nodes, one of brokers and one of networks at a time, each at its own moments.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::deployment::Deployment;
use crate::link::Condition;
use crate::random::Random;

/// Longer than the session of a node, and than every timeout of a client's call.
const PAUSE: Duration = Duration::from_secs(10);

/// The number of faults of each kind.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) kills: AtomicU64,
    pub(crate) pauses: AtomicU64,
    pub(crate) brokers: AtomicU64,
    pub(crate) cuts: AtomicU64,
    pub(crate) silences: AtomicU64,
    pub(crate) delays: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Lets faults end early when a run ends.
pub(crate) struct Bell {
    deadline: Instant,
    is_over: Mutex<bool>,
    rung: Condvar,
}

impl Bell {
    pub(crate) fn after(time: Duration) -> Self {
        let deadline = Instant::now() + time;
        Bell { deadline, is_over: Mutex::new(false), rung: Condvar::new() }
    }

    /// Waits; returns false if the run is over.
    fn wait(&self, time: Duration) -> bool {
        let until = self.deadline.min(Instant::now() + time);
        let mut is_over = self.is_over.lock();
        while !*is_over && Instant::now() < until {
            self.rung.wait_until(&mut is_over, until);
        }
        !*is_over && Instant::now() < self.deadline
    }
}

/// Lets faults happen until the time is over; then all is whole again.
pub(crate) fn run(deployment: &Deployment, seed: u64, bell: &Bell, counts: &Counts) {
    std::thread::scope(|threads| {
        threads.spawn(|| fail_nodes(deployment, Random(seed), bell, counts));
        threads.spawn(|| fail_brokers(deployment, Random(seed ^ 1 << 40), bell, counts));
        threads.spawn(|| fail_links(deployment, Random(seed ^ 1 << 41), bell, counts));
    });
}

/// Returns the number of a node. Half of the time it is one that owns a partition: its faults matter most.
fn choose(deployment: &Deployment, random: &mut Random) -> usize {
    let count = deployment.nodes.len();
    let first = random.below(count as u64) as usize;
    let owner = match random.below(2) {
        0 => (first..count).chain(0..first).find(|number| deployment.nodes[*number].owns_any()),
        _ => None,
    };
    owner.unwrap_or(first)
}

fn fail_nodes(deployment: &Deployment, mut random: Random, bell: &Bell, counts: &Counts) {
    while bell.wait(random.millis(2_000, 8_000)) {
        let node = &deployment.nodes[choose(deployment, &mut random)];
        if random.below(2) == 0 {
            count(&counts.kills);
            node.kill();
            bell.wait(random.millis(0, 3_000));
            node.start();
        } else {
            count(&counts.pauses);
            node.pause();
            bell.wait(PAUSE);
            node.resume();
        }
    }
}

fn fail_brokers(deployment: &Deployment, mut random: Random, bell: &Bell, counts: &Counts) {
    let brokers = deployment.brokers.brokers();
    while bell.wait(random.millis(5_000, 15_000)) {
        let broker = &brokers[random.below(brokers.len() as u64) as usize];
        count(&counts.brokers);
        broker.kill().unwrap();
        bell.wait(random.millis(0, 2_000));
        broker.restart().unwrap();
    }
}

fn fail_links(deployment: &Deployment, mut random: Random, bell: &Bell, counts: &Counts) {
    while bell.wait(random.millis(1_000, 5_000)) {
        let node = choose(deployment, &mut random);
        let condition = match random.below(3) {
            0 => Condition::Cut,
            1 => Condition::Silent,
            _ => Condition::Delayed(random.millis(20, 400)),
        };
        count(match condition {
            Condition::Cut => &counts.cuts,
            Condition::Silent => &counts.silences,
            _ => &counts.delays,
        });
        deployment.set_links(node, condition);
        // A third of them last longer than a session may.
        let most = if random.below(3) == 0 { 9_000 } else { 2_000 };
        bell.wait(random.millis(100, most));
        deployment.set_links(node, Condition::Open);
    }
}
