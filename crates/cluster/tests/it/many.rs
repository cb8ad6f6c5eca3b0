//! Nodes that share a store of many partitions: each owns some.

use std::ops::Deref;

use leftfold_api::{
    Append, Delivery, Engine, EventStore, Expected, Limits, NewEvent, Origin, Query, Read,
    ReadLevel, Subscribe, Subscription, partition_of,
};
use leftfold_cluster::many::{Partition, PartitionedStore};
use leftfold_cluster::partition::{Role, Wish};
use leftfold_cluster::store::ClusterStore;
use pollster::block_on;

use crate::nodes::{FakeCache, Nodes, TestNode};

const PARTITIONS: u8 = 8;
const WHOLE: Origin = Origin { store: [9; 4], incarnation: [8; 4] };

/// A partition, and two nodes that have it.
struct Shard {
    nodes: Nodes,
    owner: TestNode,
    standby: TestNode,
}

impl Shard {
    fn start(number: u8, owner: (&'static str, u64), standby: (&'static str, u64)) -> Self {
        let nodes = Nodes::new();
        let cache = |seed| FakeCache::of_partition(seed, number, WHOLE);
        let owner = nodes.start(owner.0, cache(owner.1));
        let standby = nodes.start(standby.0, cache(standby.1));
        nodes.own(&owner);
        Shard { nodes, owner, standby }
    }

    /// Hands the partition over to the other node.
    fn hand_over(&mut self) {
        self.owner.partition.wish(Wish::Follow);
        self.nodes.own(&self.standby);
        self.standby.wait_for(Role::Owner);
        std::mem::swap(&mut self.owner, &mut self.standby);
    }

    fn store_of(&self, node: &str) -> ClusterStore {
        let all = [&self.owner, &self.standby];
        all.into_iter().find(|one| one.name == node).unwrap().store.clone()
    }
}

/// A store of eight partitions on two nodes: `a` owns the even ones, `b` the odd ones.
pub(crate) struct Spread {
    asked: PartitionedStore<ClusterStore>,
    shards: Vec<Shard>,
}

impl Deref for Spread {
    type Target = PartitionedStore<ClusterStore>;

    fn deref(&self) -> &PartitionedStore<ClusterStore> {
        &self.asked
    }
}

impl Spread {
    /// Asks node `a`.
    pub(crate) fn through_the_first() -> Self {
        Self::new("a")
    }

    /// Asks node `b`.
    pub(crate) fn through_the_second() -> Self {
        Self::new("b")
    }

    fn new(asked: &str) -> Self {
        let nodes = [("a", 1), ("b", 2)];
        let shard = |number| {
            let owner = usize::from(number % 2);
            Shard::start(number, nodes[owner], nodes[1 - owner])
        };
        let shards: Vec<Shard> = (0..PARTITIONS).map(shard).collect();
        shards.iter().for_each(|shard| shard.owner.wait_for(Role::Owner));
        let asked = through(&shards, asked);
        Spread { asked, shards }
    }

    /// Hands the partitions of one parity over, from node to node.
    pub(crate) fn hand_over_half(&mut self, parity: u64) {
        for (_, shard) in
            (0..).zip(&mut self.shards).filter(|(n, _)| (n + parity).is_multiple_of(2))
        {
            shard.hand_over();
        }
    }

    /// Returns the store as another node gives it.
    pub(crate) fn through(&self, node: &str) -> PartitionedStore<ClusterStore> {
        through(&self.shards, node)
    }
}

fn through(shards: &[Shard], node: &str) -> PartitionedStore<ClusterStore> {
    let partitions = (0..).zip(shards).map(|(number, shard)| Partition {
        store: shard.store_of(node),
        origin: FakeCache::of_partition(0, number, WHOLE).origin(),
    });
    PartitionedStore::new(WHOLE, partitions.collect(), Limits::default()).unwrap()
}

/// Appends one event to each of some streams, which lie in all partitions.
fn append_round(store: &PartitionedStore<ClusterStore>, round: u64) {
    for n in 0..STREAMS {
        let stream = format!("counter-{n}");
        let expected = round.checked_sub(1).map_or(Expected::NoStream, Expected::Exactly);
        let event = NewEvent::json("Counted", "{}");
        block_on(store.append(Append::new().event(&*stream, event).expect(&*stream, expected)))
            .unwrap();
    }
}

const STREAMS: u64 = 24;

/// Returns how many events of each stream a read has.
fn count(store: &PartitionedStore<ClusterStore>, read: Read) -> Vec<usize> {
    let page = block_on(store.read(read)).unwrap();
    let mut counts = vec![0; STREAMS as usize];
    for event in &page.events {
        let stream: usize = event.stream().strip_prefix("counter-").unwrap().parse().unwrap();
        assert_eq!(event.version(), counts[stream] as u64, "{}", event.stream());
        counts[stream] += 1;
    }
    counts
}

#[test]
fn all_partitions_change_hands_and_every_append_is_kept() {
    let mut spread = Spread::through_the_first();
    let streams = (0..STREAMS).map(|n| partition_of(&format!("counter-{n}"), 8));
    let used: std::collections::BTreeSet<_> = streams.collect();
    assert_eq!(used.len(), 8, "the streams lie in all partitions");
    let other = spread.through("b");
    append_round(&spread.asked, 0);
    for round in 1..=3 {
        // The partitions of one parity move, then those of the other.
        spread.hand_over_half(round);
        append_round(if round % 2 == 0 { &spread.asked } else { &other }, round);
    }
    let all = Read::forward(Query::category("counter"));
    for store in [&spread.asked, &other] {
        assert_eq!(count(store, all.clone()), [4; STREAMS as usize]);
        let head = block_on(store.head()).unwrap();
        let local = Read { level: ReadLevel::Local, ..all.clone() }.at_least(head);
        assert_eq!(count(store, local), [4; STREAMS as usize]);
        let linearizable = Read { level: ReadLevel::Linearizable, ..all.clone() };
        assert_eq!(count(store, linearizable), [4; STREAMS as usize]);
    }
}

#[test]
fn a_merged_subscription_goes_on_when_owners_change() {
    let mut spread = Spread::through_the_first();
    append_round(&spread.asked, 0);
    let subscribe = Subscribe::to(Query::category("counter"));
    let mut subscription = block_on(spread.asked.subscribe(subscribe)).unwrap();
    let (mut seen, mut marks) = (vec![0; STREAMS as usize], 0);
    for round in 1..=4u64 {
        spread.hand_over_half(round);
        append_round(&spread.asked, round);
        while seen.iter().sum::<u64>() < STREAMS * (round + 1) {
            match block_on(subscription.next()).unwrap() {
                Delivery::Event(event, _) => {
                    let stream: usize = event.stream()["counter-".len()..].parse().unwrap();
                    assert_eq!(event.version(), seen[stream], "{}", event.stream());
                    seen[stream] += 1;
                }
                Delivery::CaughtUp(_) => marks += 1,
            }
        }
    }
    assert_eq!(seen, [5; STREAMS as usize]);
    assert!(marks >= 1);
}

#[test]
fn nodes_give_cursors_that_the_others_take() {
    let spread = Spread::through_the_first();
    let other = spread.through("b");
    append_round(&spread.asked, 0);
    let half = Read::forward(Query::category("counter")).limit(10);
    let page = block_on(spread.asked.read(half.clone())).unwrap();
    let rest = block_on(other.read(half.limit(1_000).after(page.cursor))).unwrap();
    assert_eq!(page.events.len() + rest.events.len(), STREAMS as usize);
    assert_eq!(rest.cursor, block_on(spread.asked.head()).unwrap());
    append_round(&other, 1);
    let head = block_on(other.head()).unwrap();
    let all = Read::forward(Query::category("counter")).at_least(head);
    assert_eq!(count(&spread.asked, all), [2; STREAMS as usize]);
}

#[test]
fn each_partition_has_a_backup_of_its_own() {
    let spread = Spread::through_the_first();
    append_round(&spread.asked, 0);
    let head = block_on(spread.asked.head()).unwrap();
    // The copies of the node that is asked must have all.
    let local = Read { level: ReadLevel::Local, ..Read::forward(Query::All) };
    block_on(spread.asked.read(local.at_least(head.clone()))).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut progress = Vec::new();
    let report = spread
        .asked
        .administration()
        .backup(dir.path(), &mut |done, all| progress.push((done, all)));
    let report = report.map_err(|error| error.to_string()).unwrap();
    assert_eq!((report.number, report.head), (1, head));
    assert_eq!(progress, (1..=8).map(|done| (done, 8)).collect::<Vec<_>>());
    for number in 0..PARTITIONS {
        assert!(dir.path().join(number.to_string()).is_dir());
    }
}
