use proptest::prelude::*;

use super::*;
use crate::group::assign::{Policy, assign_partitions};

/// The size of a record that holds a group, in Kafka's default settings.
const KAFKA_RECORD_LIMIT: usize = 1 << 20;

fn cluster(nodes: u32, partitions: u32) -> (BTreeMap<String, Profile>, Vec<Placement>) {
    let name = |node| format!("node-{node}");
    let profile = |node| Profile {
        url: format!("https://{}.events.internal.example.com:7410", name(node)),
        ..Profile::default()
    };
    let mut members: BTreeMap<_, _> = (0..nodes).map(|node| (name(node), profile(node))).collect();
    let placements = assign_partitions(&members, &Policy::new(partitions));
    for (partition, place) in (0..).zip(&placements) {
        members.get_mut(&place.owner).unwrap().owned.insert(partition, 17);
        for node in std::iter::once(&place.owner).chain(&place.standbys) {
            members.get_mut(node).unwrap().copies.insert(partition, 12_345_678_901);
        }
    }
    (members, placements)
}

fn compress(json: &str) -> Vec<u8> {
    zstd::bulk::compress(json.as_bytes(), LEVEL).unwrap()
}

#[test]
fn a_table_survives_its_bytes() {
    let (mut members, mut placements) = cluster(3, 2);
    members.get_mut("node-1").unwrap().is_draining = true;
    members.get_mut("node-1").unwrap().kafka = Some("node-1.example.com:9092".to_owned());
    placements[0].next_owner = Some("node-2".to_owned());
    let table = RouteTable::new(7, &members, &placements);
    let table_again = RouteTable::decode(&table.encode().unwrap()).unwrap();
    assert_eq!(table_again, table);

    assert_eq!((table.generation(), table.partitions()), (7, 2));
    assert_eq!(table.owner(0).unwrap().name, "node-0");
    let names: Vec<_> = table.standbys(0).map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["node-1", "node-2"]);
    assert!(table.find_node("node-1").unwrap().is_draining);
    let kafka = |name| table.find_node(name).unwrap().kafka.as_deref();
    assert_eq!((kafka("node-0"), kafka("node-1")), (None, Some("node-1.example.com:9092")));
    assert_eq!(table.next_owner(0).unwrap().name, "node-2");
    assert_eq!(table.next_owner(1), None);
    assert_eq!(table.owner(2), None);
    assert_eq!(table.find_node("node-3"), None);
}

#[test]
fn the_bytes_of_version_1_stay_readable() {
    let json = r#"{"version":1,"generation":3,"later":{"a":[1]},
        "nodes":[{"name":"a","url":"http://a"},{"name":"b","url":"","draining":true,"kafka":"b:9092"}],
        "routes":[[1,0],[]],"moves":[[0,0]]}"#;
    let table = RouteTable::decode(&compress(json)).unwrap();
    assert_eq!(table.generation(), 3);
    assert_eq!(table.owner(0).unwrap().name, "b");
    assert_eq!(table.owner(0).unwrap().kafka.as_deref(), Some("b:9092"));
    assert_eq!(table.next_owner(0).unwrap().url, "http://a");
    assert_eq!(table.owner(1), None);
}

#[test]
fn bad_tables_are_refused() {
    let long = format!(r#"{{"name":"{}","url":""}}"#, "n".repeat(250));
    let cases = [
        (r#"{"version":2,"anything":[]}"#.to_owned(), "has version 2, expected 1"),
        (r#"{"generation":2}"#.to_owned(), "missing field `version`"),
        (r#"{"version":1,"generation":1,"nodes":[],"routes":[[0]]}"#.to_owned(), "not there"),
        (
            r#"{"version":1,"generation":1,"nodes":[],"routes":[],"moves":[[0,0]]}"#.to_owned(),
            "not there",
        ),
        (
            r#"{"version":1,"generation":1,"nodes":[{"name":"a","url":""},{"name":"a","url":""}],
                "routes":[]}"#
                .to_owned(),
            "not sorted",
        ),
        (
            format!(r#"{{"version":1,"generation":1,"nodes":[{long}],"routes":[]}}"#),
            "expected 1 to 249 letters",
        ),
    ];
    for (json, expected) in cases {
        let error = RouteTable::decode(&compress(&json)).unwrap_err().to_string();
        assert!(error.contains(expected), "{json}: {error}");
    }
}

#[test]
fn a_bomb_is_refused_before_it_fills_memory() {
    let bomb = compress(&" ".repeat(64 << 20));
    assert!(bomb.len() < TABLE_LIMIT);
    assert!(RouteTable::decode(&bomb).is_err());
    assert!(RouteTable::decode(&vec![0; TABLE_LIMIT + 1]).is_err());
    assert!(RouteTable::decode(b"").is_err());
}

/// Returns the bytes of a report, of the table, and of the whole group, in which each node has a copy of each partition.
fn group_bytes(nodes: u32, partitions: u32) -> [usize; 3] {
    let (mut members, mut placements) = cluster(nodes, partitions);
    for profile in members.values_mut() {
        profile.copies.extend((0..partitions).map(|partition| (partition, 12_345_678_901)));
    }
    // After many failures the routes have no pattern that compresses well.
    let mut random = 7_u64;
    let mut next_name = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        format!("node-{}", (random >> 33) % u64::from(nodes))
    };
    for place in &mut placements {
        place.owner = next_name();
        place.standbys = vec![next_name(), next_name()];
    }
    let table = RouteTable::new(1_000, &members, &placements).encode().unwrap().len();
    let reports = members.values().map(|profile| profile.encode().unwrap().len()).sum::<usize>();
    [reports / members.len(), table, reports + members.len() * table]
}

#[test]
fn groups_of_the_documented_sizes_fit_into_a_record_of_kafka() {
    let sizes = [10, 100, 1_000].map(|nodes| {
        [10, 100, 1_000].map(|partitions| {
            let [report, table, group] = group_bytes(nodes, partitions);
            println!(
                "{nodes} nodes, {partitions} partitions: report {report} bytes, table {table} bytes, the group {group} \
                 bytes"
            );
            group < KAFKA_RECORD_LIMIT
        })
    });
    // docs/cluster.md says which need a larger `message.max.bytes`.
    let expected = [[true, true, true], [true, true, false], [false, false, false]];
    assert_eq!(sizes, expected);
}

proptest! {
    #[test]
    fn tables_of_any_cluster_survive(nodes in 1..20_u32, partitions in 0..30_u32, generation: i32) {
        let (members, placements) = cluster(nodes, partitions);
        let table = RouteTable::new(generation, &members, &placements);
        for (partition, place) in (0..).zip(&placements) {
            prop_assert_eq!(&table.owner(partition).unwrap().name, &place.owner);
            let standbys: Vec<_> = table.standbys(partition).map(|node| &node.name).collect();
            prop_assert_eq!(standbys, place.standbys.iter().collect::<Vec<_>>());
        }
        prop_assert_eq!(RouteTable::decode(&table.encode().unwrap()).unwrap(), table);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = RouteTable::decode(&bytes);
        let _ = RouteTable::decode(&zstd::bulk::compress(&bytes, LEVEL).unwrap());
        let _ = Profile::decode(&bytes);
    }

    #[test]
    fn damage_never_makes_it_panic(at in 0..10_000_usize, to: u8) {
        let (members, placements) = cluster(5, 20);
        let table = RouteTable::new(1, &members, &placements);
        let mut bytes = table.encode().unwrap().to_vec();
        let len = bytes.len();
        bytes[at % len] = to;
        let _ = RouteTable::decode(&bytes);
        let mut bytes = members["node-0"].encode().unwrap().to_vec();
        let len = bytes.len();
        bytes[at % len] = to;
        let _ = Profile::decode(&bytes);
    }
}
