//! What a node costs: memory, threads, sockets, files and time, of a node with one partition and with several. A
//! partition costs the difference; what a larger cluster needs is computed from that.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use leftfold::{Append, EventStore, NewEvent};
use leftfold_kafka_broker::{Cluster, Options, kafka_version};
use tokio::runtime::Runtime;

use crate::alone;
use crate::nodes::{DEADLINE, Node};

/// The partitions of the larger cluster, unless `LEFTFOLD_SIZE_PARTITIONS` says otherwise.
const USUAL: u32 = 8;
/// The events that are written and restored, unless `LEFTFOLD_SIZE_EVENTS` says otherwise.
const USUAL_EVENTS: usize = 2_000;
/// The bytes of a payload, and the events of an append.
const PAYLOAD: usize = 256;
const APPEND: usize = 100;
const STREAM: usize = 10;
/// The sizes of the table.
const SIZES: [u32; 3] = [10, 100, 1_000];

/// What an idle process uses.
#[derive(Debug, Clone, Copy)]
struct Usage {
    /// Memory of its own, without pages of files.
    memory: u64,
    /// All resident memory.
    resident: u64,
    threads: u64,
    descriptors: u64,
    /// Connections to brokers.
    sockets: u64,
    /// The length of its files, and the disk space that they take.
    length: u64,
    disk: u64,
    /// From the start of the process until it has each partition's role.
    start: Duration,
}

/// What events cost.
#[derive(Debug, Clone, Copy)]
struct Events {
    count: usize,
    /// Bytes in the log of Kafka, on one broker.
    kafka: u64,
    /// Bytes in the copy of a node.
    copy: u64,
    /// Events that a node without a copy applies in a second.
    restored: f64,
}

fn number<N: std::str::FromStr<Err: std::fmt::Debug>>(name: &str, usual: N) -> N {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

#[test]
fn a_partition_costs_little() {
    let _alone = alone();
    let many = number("LEFTFOLD_SIZE_PARTITIONS", USUAL);
    let events = number("LEFTFOLD_SIZE_EVENTS", USUAL_EVENTS);
    assert!(many > 1, "a cluster of one partition is measured anyway");
    let [one, several] = [1, many].map(measure_nodes);
    let stored = measure_events(events);
    println!("Apache Kafka {}, one broker; measured:", kafka_version());
    for (partitions, nodes) in [(1, one), (many, several)] {
        for (role, usage) in ["owner", "standby"].into_iter().zip(nodes) {
            println!("  {partitions} partition(s), {role}: {}", usage.show());
        }
    }
    println!("  {} events: {stored:?}", stored.count);
    print_table(&one, &several, many, &stored);
    for (one, several) in one.iter().zip(&several) {
        let each = Each::of(one, several, many);
        // Far above what was measured, and far below what would be a mistake.
        assert!(each.memory < 16e6, "{each:?}");
        assert!(each.threads < 8.0 && each.sockets <= 4.0 && each.descriptors < 64.0, "{each:?}");
    }
    assert!(stored.kafka as usize > events * PAYLOAD, "{stored:?}");
}

/// What each further partition costs.
#[derive(Debug)]
struct Each {
    memory: f64,
    threads: f64,
    descriptors: f64,
    sockets: f64,
    disk: f64,
    start: f64,
}

impl Each {
    fn of(one: &Usage, several: &Usage, partitions: u32) -> Self {
        let further = f64::from(partitions - 1);
        let each = |value: fn(&Usage) -> u64| (value(several) as f64 - value(one) as f64) / further;
        Each {
            memory: each(|usage| usage.memory),
            threads: each(|usage| usage.threads),
            descriptors: each(|usage| usage.descriptors),
            sockets: each(|usage| usage.sockets),
            disk: each(|usage| usage.disk),
            start: (several.start.as_secs_f64() - one.start.as_secs_f64()) / further,
        }
    }
}

/// Measures a node that owns all partitions, and one that follows them.
fn measure_nodes(partitions: u32) -> [Usage; 2] {
    let brokers = Cluster::start(&Options::default()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let node = |name| Node::new(name, dir.path().join(name), brokers.bootstrap(), partitions);
    let owner = node("a");
    let started = Instant::now();
    owner.start();
    wait_for_roles(&owner, partitions, "owner");
    let owned = started.elapsed();
    let owner_usage = Usage::of(&owner, &brokers, owned);
    // Draining makes the other one a node that only follows.
    let standby = node("b");
    let started = Instant::now();
    standby.start();
    standby.wait_until("expected open copies", |status| {
        let all = status["partitions"].as_array();
        all.is_some_and(|all| all.iter().all(|partition| partition["role"] != "opening"))
    });
    let followed = started.elapsed();
    standby.drain();
    wait_for_roles(&standby, partitions, "standby");
    [owner_usage, Usage::of(&standby, &brokers, followed)]
}

fn wait_for_roles(node: &Node, partitions: u32, role: &str) {
    node.wait_until(&format!("expected the role {role} of all partitions"), |status| {
        let all = status["partitions"].as_array();
        let is_so = |all: &Vec<serde_json::Value>| {
            all.len() == partitions as usize
                && all.iter().all(|partition| partition["role"] == role)
        };
        all.is_some_and(is_so)
    });
}

impl Usage {
    fn show(&self) -> String {
        format!(
            "{:.1} MB of its own, {:.1} MB resident, {} threads, {} descriptors, {} broker sockets, files of {:.1} MB \
             on {:.1} MB, started in {:.2} s",
            self.memory as f64 / 1e6,
            self.resident as f64 / 1e6,
            self.threads,
            self.descriptors,
            self.sockets,
            self.length as f64 / 1e6,
            self.disk as f64 / 1e6,
            self.start.as_secs_f64()
        )
    }

    fn of(node: &Node, brokers: &Cluster, start: Duration) -> Self {
        let process = format!("/proc/{}", node.process_id());
        let (length, disk) = size_of(&node.data().join("data/partitions"));
        let (descriptors, inodes) = descriptors(&process);
        Usage {
            memory: status_line(&process, "RssAnon:") << 10,
            resident: status_line(&process, "VmRSS:") << 10,
            threads: status_line(&process, "Threads:"),
            descriptors,
            sockets: broker_sockets(&process, &inodes, brokers),
            length,
            disk,
            start,
        }
    }
}

/// Returns the number in a line of a process's status.
fn status_line(process: &str, name: &str) -> u64 {
    let text = fs::read_to_string(format!("{process}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Returns the number of open descriptors, and the inodes of those that are sockets.
fn descriptors(process: &str) -> (u64, HashSet<String>) {
    let (mut count, mut inodes) = (0, HashSet::new());
    for entry in fs::read_dir(format!("{process}/fd")).unwrap() {
        count += 1;
        // A descriptor may be closed meanwhile.
        let Ok(target) = fs::read_link(entry.unwrap().path()) else { continue };
        let target = target.to_string_lossy();
        let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
        inodes.extend(inode.map(str::to_owned));
    }
    (count, inodes)
}

/// Counts the established connections of a process to the brokers.
fn broker_sockets(process: &str, inodes: &HashSet<String>, brokers: &Cluster) -> u64 {
    const ESTABLISHED: &str = "01";
    let ports = brokers.brokers().iter().map(|broker| format!(":{:04X}", broker.address().port()));
    let ports: Vec<_> = ports.collect();
    let is_to_broker = |line: &&str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        fields.len() > 9
            && ports.iter().any(|port| fields[2].ends_with(port))
            && fields[3] == ESTABLISHED
            && inodes.contains(fields[9])
    };
    let table = fs::read_to_string(format!("{process}/net/tcp")).unwrap();
    table.lines().filter(is_to_broker).count() as u64
}

/// Returns the length of all files below a directory, and the space that they take.
fn size_of(path: &Path) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    // The unit of `st_blocks`, whatever the file system.
    const BLOCK: u64 = 512;
    let (mut length, mut disk) = (0, 0);
    let Ok(entries) = fs::read_dir(path) else { return (0, 0) };
    for entry in entries.map(Result::unwrap) {
        // A file may be deleted meanwhile.
        let Ok(metadata) = entry.metadata() else { continue };
        let size = match metadata.is_dir() {
            true => size_of(&entry.path()),
            false => (metadata.len(), metadata.blocks() * BLOCK),
        };
        (length, disk) = (length + size.0, disk + size.1);
    }
    (length, disk)
}

/// Writes events, and lets a node without a copy restore them.
fn measure_events(count: usize) -> Events {
    let brokers = Cluster::start(&Options::default()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let node = |name| Node::new(name, dir.path().join(name), brokers.bootstrap(), 1);
    let owner = node("a");
    owner.start();
    wait_for_roles(&owner, 1, "owner");
    let before = kafka_bytes(&brokers);
    Runtime::new().unwrap().block_on(async {
        let client = owner.client(DEADLINE);
        for first in (0..count).step_by(APPEND) {
            let events = (first..count.min(first + APPEND)).fold(Append::new(), |append, n| {
                let data = format!("{{\"data\":\"{:0>1$x}\"}}", n * 0x9e37_79b9, PAYLOAD - 11);
                let stream = format!("order-{}", n / STREAM);
                append.event(&stream, NewEvent::json("OrderPlaced", data))
            });
            client.append(events).await.unwrap();
        }
    });
    let kafka = kafka_bytes(&brokers) - before;
    let end = owner.applied();
    let restored = node("b");
    let started = Instant::now();
    restored.start();
    restored.wait_until("expected all events", |status| {
        status["partitions"][0]["applied"].as_u64().is_some_and(|applied| applied >= end)
    });
    let took = started.elapsed().as_secs_f64();
    restored.terminate();
    let (copy, _) = size_of(&restored.data().join("data/partitions"));
    Events { count, kafka, copy, restored: count as f64 / took }
}

/// Returns the bytes of the topic's log on the broker, once they have come to rest: one that is not synced has its
/// length too.
fn kafka_bytes(brokers: &Cluster) -> u64 {
    let data = brokers.directory().join("node-1/data");
    let partition = |entry: fs::DirEntry| {
        let name = entry.file_name();
        let is_topic = name.to_string_lossy().starts_with("leftfold.test.events-");
        is_topic.then(|| {
            let files = fs::read_dir(entry.path()).unwrap().map(Result::unwrap);
            let logs = files.filter(|file| file.path().extension().is_some_and(|e| e == "log"));
            logs.map(|file| file.metadata().unwrap().len()).sum::<u64>()
        })
    };
    fs::read_dir(data).unwrap().map(Result::unwrap).filter_map(partition).sum()
}

/// Prints what clusters of several sizes need, by what one partition and one event cost.
fn print_table(one: &[Usage; 2], several: &[Usage; 2], partitions: u32, events: &Events) {
    println!("computed from the difference of {partitions} partitions and 1, for one node:");
    println!(
        "{:<11}{:>9}{:>12}{:>9}{:>12}{:>17}{:>10}{:>9}",
        "partitions",
        "role",
        "memory MB",
        "threads",
        "descriptors",
        "broker sockets",
        "disk MB",
        "start s"
    );
    for size in SIZES {
        for (role, (one, several)) in ["owner", "standby"].into_iter().zip(one.iter().zip(several))
        {
            let each = Each::of(one, several, partitions);
            let at = |base: f64, each: f64| base + each * f64::from(size - 1);
            println!(
                "{size:<11}{role:>9}{:>12.0}{:>9.0}{:>12.0}{:>17.0}{:>10.1}{:>9.1}",
                at(one.memory as f64, each.memory) / 1e6,
                at(one.threads as f64, each.threads),
                at(one.descriptors as f64, each.descriptors),
                at(one.sockets as f64, each.sockets),
                at(one.disk as f64, each.disk) / 1e6,
                at(one.start.as_secs_f64(), each.start),
            );
        }
    }
    let each = |bytes: u64| bytes as f64 / events.count as f64;
    println!(
        "an event with a payload of {PAYLOAD} bytes: {:.0} bytes in Kafka for each replica, {:.0} in each copy; a node \
         without a copy restores {:.0} events a second",
        each(events.kafka),
        each(events.copy),
        events.restored
    );
}
