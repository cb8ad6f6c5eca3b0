//! The cluster as Kafka's clients see it: its brokers, the leaders of partitions, and the coordinator of groups.
//!
//! Any node serves any request but those of groups, so a client that knows an old leader loses nothing. The groups have
//! one coordinator: the owner of partition 0, where their committed offsets lie.

use std::collections::HashMap;
use std::future::pending;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use leftfold_api::{ClusterMember, ClusterStatus, Engine, murmur2};
use leftfold_kafka::ResponseError;
use leftfold_kafka::serving::groups::{GroupLimits, Groups};
use parking_lot::Mutex;

/// The number of the only broker of a store that is no cluster.
const ALONE: i32 = 1;
/// How long clients are told what the cluster was.
const FRESH: Duration = Duration::from_millis(100);
/// How often those who wait for other members look whether their coordinator still is one.
const CHECKED: Duration = Duration::from_millis(500);
/// The role of a node that owns a partition, and has claimed it.
const OWNER: &str = "owner";

/// Consumer groups with members.
pub(super) const GROUPS: usize = 10_000;
/// Members of a group.
pub(super) const MEMBERS: usize = 1_000;
/// Bytes that the members of a group have told each other.
pub(super) const GROUP_BYTES: usize = 16 << 20;
/// How long a member may be silent: as its client asks, within these. Kafka's least is 6 s.
const SESSIONS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30 * 60);

/// Another node at which Kafka's clients reach the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RemoteBroker {
    pub(super) id: i32,
    pub(super) host: String,
    pub(super) port: u16,
}

/// The cluster at one moment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Brokers {
    /// The number of this node.
    pub(super) own: i32,
    /// The other nodes that have an address.
    pub(super) others: Vec<RemoteBroker>,
    /// For each partition of the store the broker that leads its topics' partitions, if there is an owner.
    leaders: Vec<Option<i32>>,
    /// The broker that coordinates groups, if clients can reach it.
    coordinator: Option<i32>,
    /// For each partition of the store the term that this node has come to.
    terms: Vec<u64>,
    /// Whether this node is the owner of partition 0, and has claimed it.
    coordinates: bool,
}

impl Brokers {
    /// Returns the only broker of a store that is no cluster.
    fn alone() -> Self {
        Brokers {
            own: ALONE,
            others: Vec::new(),
            leaders: vec![Some(ALONE)],
            coordinator: Some(ALONE),
            terms: vec![0],
            coordinates: true,
        }
    }

    fn of(status: &ClusterStatus) -> Self {
        let mut names: Vec<_> = status.members.iter().map(|member| &member.name).collect();
        names.push(&status.node);
        let ids: HashMap<_, _> = ids(names.into_iter().map(String::as_str)).into_iter().collect();
        let id_of = |name: &str| ids.get(name).copied();
        let own = id_of(&status.node).unwrap_or(ALONE);
        let others = status.members.iter().filter(|member| member.name != status.node);
        let others: Vec<_> = others
            .filter_map(|member| {
                let (host, port) = parse_address(member.kafka.as_deref()?)?;
                Some(RemoteBroker { id: id_of(&member.name)?, host, port })
            })
            .collect();
        let is_reached = |id: &i32| *id == own || others.iter().any(|other| other.id == *id);
        // All nodes name the same one for what lies at nodes that clients don't reach.
        let is_told = |member: &&ClusterMember| member.kafka.is_some();
        let told = status.members.iter().filter(is_told).filter_map(|member| id_of(&member.name));
        let stand_in = told.filter(is_reached).min().unwrap_or(own);
        let owner = |name: &Option<String>| id_of(name.as_deref()?);
        let leaders = status.partitions.iter().map(|partition| {
            owner(&partition.owner).map(|id| if is_reached(&id) { id } else { stand_in })
        });
        let first = status.partitions.first();
        let coordinator = first.and_then(|first| owner(&first.owner)).filter(is_reached);
        let is_owner = first.is_some_and(|first| first.role == OWNER);
        let coordinates = is_owner && coordinator == Some(own);
        let terms = status.partitions.iter().map(|partition| partition.term).collect();
        Brokers { own, leaders: leaders.collect(), coordinator, terms, coordinates, others }
    }

    /// Returns the number of partitions of the store.
    pub(super) fn store_partitions(&self) -> u32 {
        u32::try_from(self.leaders.len()).unwrap_or(u32::MAX)
    }

    /// Returns the broker that leads what lies in a partition of the store, or `None` while it has no owner.
    pub(super) fn leader(&self, partition: u32) -> Option<i32> {
        self.leaders.get(partition as usize).copied().flatten()
    }

    /// Returns the term of a partition of the store: another owner has another one.
    pub(super) fn term(&self, partition: u32) -> u64 {
        self.terms.get(partition as usize).copied().unwrap_or_default()
    }

    /// Returns the broker that coordinates groups, or `None` while there is none.
    pub(super) fn coordinator(&self) -> Option<i32> {
        self.coordinator
    }

    /// Returns the broker that clients are told is the controller.
    pub(super) fn controller(&self) -> i32 {
        self.coordinator.unwrap_or(self.own)
    }
}

/// Gives each name a positive number of 31 bits that it keeps as long as no name with the same hash comes before it.
fn ids<'a>(names: impl Iterator<Item = &'a str>) -> Vec<(&'a str, i32)> {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names.dedup();
    let mut ids: Vec<(&str, i32)> = Vec::with_capacity(names.len());
    for name in names {
        let mut id = (murmur2(name.as_bytes()) & 0x7fff_ffff).cast_signed().max(1);
        while ids.iter().any(|(_, taken)| *taken == id) {
            id = id.checked_add(1).unwrap_or(1);
        }
        ids.push((name, id));
    }
    ids
}

/// Reads an address, `host:port`; that of IPv6 stands in brackets.
pub(super) fn parse_address(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.trim_matches(['[', ']']);
    (!host.is_empty()).then_some((host.to_owned(), port.parse().ok().filter(|port| *port > 0)?))
}

/// The groups that this node coordinates, in one term of partition 0. Another term begins without members: they may
/// have been members of another node's groups meanwhile, so they join again.
pub(super) struct Coordination {
    /// Fences the offsets that are committed: see `committed.rs`.
    pub(super) term: u64,
    pub(super) groups: Groups,
}

impl Coordination {
    fn begin(term: u64) -> Self {
        let groups = Groups::new(GroupLimits {
            groups: GROUPS,
            members: MEMBERS,
            session_timeout: SESSIONS,
            initial_delay: Duration::ZERO,
            metadata_bytes: GROUP_BYTES,
        });
        Coordination { term, groups }
    }
}

/// What this node knows of the cluster, and the groups that it coordinates.
pub(super) struct Nodes {
    store: Arc<dyn Engine>,
    seen: Mutex<Option<(Instant, Arc<Brokers>)>>,
    coordination: Mutex<Option<Arc<Coordination>>>,
}

impl Nodes {
    pub(super) fn new(store: Arc<dyn Engine>) -> Self {
        Nodes { store, seen: Mutex::default(), coordination: Mutex::default() }
    }

    /// Returns the brokers as they are, or were a moment ago.
    pub(super) fn brokers(&self) -> Arc<Brokers> {
        let mut seen = self.seen.lock();
        if let Some((at, brokers)) = &*seen
            && at.elapsed() < FRESH
        {
            return brokers.clone();
        }
        let status = self.store.cluster().map(|cluster| cluster.status());
        let brokers = Arc::new(status.map_or_else(Brokers::alone, |status| Brokers::of(&status)));
        *seen = Some((Instant::now(), brokers.clone()));
        brokers
    }

    /// Returns the groups, if this node coordinates them.
    ///
    /// # Errors
    /// Another node does, or this one is about to: clients ask again who does.
    pub(super) fn coordination(&self) -> Result<Arc<Coordination>, ResponseError> {
        let mut coordination = self.coordination.lock();
        let brokers = self.brokers();
        let term = brokers.term(0);
        if !brokers.coordinates {
            *coordination = None;
            return Err(match brokers.coordinator {
                Some(id) if id != brokers.own => ResponseError::NotCoordinator,
                _ => ResponseError::CoordinatorNotAvailable,
            });
        }
        Ok(match &*coordination {
            Some(current) if current.term == term => current.clone(),
            _ => coordination.insert(Arc::new(Coordination::begin(term))).clone(),
        })
    }

    /// Waits until this node does not coordinate these groups any more.
    pub(super) async fn until_moved(&self, coordination: &Coordination) {
        if self.store.cluster().is_none() {
            pending::<()>().await;
        }
        while self.coordination().is_ok_and(|current| current.term == coordination.term) {
            tokio::time::sleep(CHECKED).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use leftfold_api::ClusterPartition;

    use super::*;

    /// The status of node `b` with these owners of partitions, of which it has the roles.
    fn status(members: &[(&str, &str)], partitions: &[(&str, &'static str)]) -> ClusterStatus {
        let mut status = ClusterStatus::new("shop", "b");
        for (name, address) in members {
            let member = ClusterMember::new(*name, "http://x", false);
            let member = if address.is_empty() { member } else { member.kafka(*address) };
            status.members.push(member);
        }
        for (number, (owner, role)) in (0..).zip(partitions) {
            let mut partition = ClusterPartition::new(number);
            partition.owner = (!owner.is_empty()).then(|| (*owner).to_owned());
            (partition.role, partition.term) = (role, 7);
            status.partitions.push(partition);
        }
        status
    }

    fn id(name: &str) -> i32 {
        ids([name].into_iter())[0].1
    }

    #[test]
    fn a_store_that_is_no_cluster_has_one_broker_that_leads_and_coordinates() {
        let alone = Brokers::alone();
        assert_eq!(
            (alone.leader(0), alone.coordinator(), alone.controller()),
            (Some(1), Some(1), 1)
        );
        assert!(alone.store_partitions() == 1 && alone.coordinates);
    }

    #[test]
    fn the_owners_lead_and_the_owner_of_partition_0_coordinates() {
        let members = [("a", "a.example.com:9092"), ("b", "b:9"), ("c", "[::1]:9093"), ("d", "")];
        let owners = [("c", "standby"), ("b", "owner"), ("d", "standby"), ("", "standby")];
        let brokers = Brokers::of(&status(&members, &owners));
        let others = [("a", "a.example.com", 9092), ("c", "::1", 9093)];
        let others = others.map(|(name, host, port)| RemoteBroker {
            id: id(name),
            host: host.to_owned(),
            port,
        });
        assert_eq!(brokers.others, others);
        // Node `d` has no address, so the one with the smallest number serves what lies there.
        let least = ["a", "b", "c"].map(id).into_iter().min();
        let leaders = [Some(id("c")), Some(id("b")), least, None, None];
        assert_eq!([0, 1, 2, 3, 4].map(|partition| brokers.leader(partition)), leaders);
        assert_eq!((brokers.own, brokers.coordinator()), (id("b"), Some(id("c"))));
        assert!(brokers.term(1) == 7 && !brokers.coordinates);
    }

    #[test]
    fn this_node_coordinates_once_it_has_claimed_partition_0() {
        let coordinates = |owner, role| {
            let brokers = Brokers::of(&status(&[("a", "a:1"), ("d", "")], &[(owner, role)]));
            (brokers.coordinator().is_some(), brokers.coordinates)
        };
        // It is always among the brokers, even before others know it.
        assert_eq!(coordinates("b", "owner"), (true, true));
        assert_eq!(coordinates("b", "claiming"), (true, false));
        assert_eq!(coordinates("a", "owner"), (true, false));
        assert_eq!(coordinates("d", "standby"), (false, false));
        assert_eq!(coordinates("", "standby"), (false, false));
    }

    #[test]
    fn numbers_of_nodes_are_positive_stable_and_unlike() {
        let names: Vec<_> = (0..10_000).map(|n| format!("node-{n}")).collect();
        let all = ids(names.iter().map(String::as_str));
        let unlike: std::collections::HashSet<_> = all.iter().map(|(_, id)| *id).collect();
        assert!(unlike.len() == names.len() && unlike.iter().all(|id| *id > 0));
        assert_eq!(id("node-7"), 1_188_523_659, "clients remember numbers over releases");
        // Of two names with the same hash the second gets the next number.
        let found = ids(["n77954", "n2899", "n77954"].into_iter());
        assert_eq!(found, [("n2899", 732_757_114), ("n77954", 732_757_115)]);
    }

    #[test]
    fn addresses_are_host_and_port() {
        assert_eq!(parse_address("[::1]:9092"), Some(("::1".to_owned(), 9092)));
        for wrong in ["", "a", "a:", ":9092", "a:x", "a:70000", "a:0"] {
            assert_eq!(parse_address(wrong), None, "{wrong}");
        }
    }
}
