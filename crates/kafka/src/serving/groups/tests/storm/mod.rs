//! Dozens of clients that join, sync, change their minds, die and leave at random, with a checker of what
//! they see.
//!
//! Once with paused time, where timeouts are frequent and seconds cost nothing, and once with real threads.

mod actor;
mod history;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use kafka_protocol::protocol::StrBytes;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::*;
use actor::Actor;
use history::History;

/// Numbers that differ for each seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn is(&mut self, one_in: u64) -> bool {
        self.roll(one_in) == 0
    }

    fn time(&mut self, below: Duration) -> Duration {
        Duration::from_millis(self.roll(below.as_millis() as u64))
    }
}

/// How far a storm has come.
#[derive(Default)]
struct Stage {
    /// Nothing happens by chance any more.
    is_calm: AtomicBool,
    is_over: AtomicBool,
    /// The member ids of the actors that stay to the end.
    survivors: Mutex<BTreeMap<u64, StrBytes>>,
}

/// Lets actors live for a while, then the survivors settle, then they leave.
async fn storm(seed: u64, actors: u64, pace: Duration, time: Duration) {
    let session = Duration::from_millis(1)..=Duration::from_secs(60);
    let delay = Duration::from_millis(seed % 2 * 20);
    let limits = GroupLimits { session_timeout: session, initial_delay: delay, ..limits() };
    let groups = Arc::new(Groups::new(limits));
    let history = Arc::new(History::default());
    let stage = Arc::new(Stage::default());
    let mut tasks = JoinSet::new();
    for index in 0..actors {
        let actor = Actor::new(&groups, &history, Dice(seed << 32 | index), index, pace);
        tasks.spawn(actor.live(Arc::clone(&stage)));
    }
    pass(time).await;
    stage.is_calm.store(true, Ordering::Relaxed);
    until("the survivors are the members", || {
        let described = groups.describe(GROUP);
        let members: BTreeSet<_> = described.members.into_iter().map(|m| m.member_id).collect();
        let survivors: BTreeSet<_> = stage.survivors.lock().values().cloned().collect();
        described.group_state.as_str() == "Stable" && !survivors.is_empty() && members == survivors
    })
    .await;
    stage.is_over.store(true, Ordering::Relaxed);
    while let Some(actor) = tasks.join_next().await {
        actor.unwrap();
    }
    until("the group is gone", || groups.list().is_empty()).await;
    assert!(history.check() > 0);
}

async fn until(what: &str, is_true: impl Fn() -> bool) {
    let wait = async {
        while !is_true() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect(what);
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_timeouts_leaves_every_generation_consistent() {
    for seed in 0..10 {
        storm(seed, 12, Duration::from_millis(20), Duration::from_secs(30)).await;
    }
}

#[test]
fn a_storm_of_threads_leaves_every_generation_consistent() {
    for seed in 0..2 {
        threads().block_on(storm(seed, 40, Duration::from_millis(4), Duration::from_secs(1)));
    }
}

/// A group ends with its last member, and the next member creates another one: their threads meet in the map
/// of groups.
#[test]
fn a_group_that_ends_and_begins_again_and_again_stays_consistent() {
    let groups = groups();
    let history = Arc::new(History::default());
    threads().block_on(async {
        let mut tasks = JoinSet::new();
        for _ in 0..4 {
            tasks.spawn(visit(Arc::clone(&groups), Arc::clone(&history)));
        }
        while let Some(visitor) = tasks.join_next().await {
            visitor.unwrap();
        }
        until("the group is gone", || groups.list().is_empty()).await;
    });
    history.check();
}

/// Joins, syncs and leaves as fast as possible.
async fn visit(groups: Arc<Groups>, history: Arc<History>) {
    for _ in 0..500 {
        let mut consumer = Consumer::new(&groups);
        let answer = consumer.join().await;
        assert_eq!(answer.error_code, 0);
        history.join(&consumer);
        if consumer.is_leader() {
            let shares = history.offer(&consumer);
            let answer = consumer.sync(&shares).await;
            if answer.error_code == 0 {
                history.receive(&consumer, &answer.assignment);
            }
        }
        assert_eq!(consumer.leave(), 0);
    }
}

fn threads() -> tokio::runtime::Runtime {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(4).enable_time().build().unwrap()
}
