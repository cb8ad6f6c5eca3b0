//! The cost of a cluster beside plain Kafka: `cargo xtask bench cluster [scale] [brokers]`.
//!
//! On the same brokers, in rounds that alternate: single records produced by a plain idempotent producer, and
//! conditional appends through a node in this process. Then a node without a copy restores a topic. The scale
//! multiplies the times and the sizes; 0.1 is enough to check that it works.

mod appends;
mod load;
mod produce;
mod restore;

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use leftfold_bench::{machine, spread, wait_for_idle};
use leftfold_cluster::kafka::Client;
use leftfold_cluster::node::{Node, NodeConfig};
use leftfold_cluster::store::ClusterStore;
use leftfold_kafka_broker::{Cluster, Options, Tuning, kafka_version};

use load::Measurement;

/// As in the binary: its speed is to be measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CLIENTS: [usize; 2] = [1, 64];
const ROUNDS: usize = 5;
/// The time of one measurement.
const SECONDS: f64 = 2.0;
/// The events of a restored topic.
const RESTORED: f64 = 1_000_000.0;
const PATIENCE: Duration = Duration::from_secs(10);
/// Between them, no other node exists, and nothing is to time out on a busy machine.
const SESSION: Duration = Duration::from_secs(30);

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let scale: f64 = args.next().map_or(Ok(1.0), |text| text.parse()).context("scale")?;
    let brokers: u16 = args.next().map_or(Ok(1), |text| text.parse()).context("brokers")?;
    println!("Kafka {}, {brokers} broker(s) on this machine; {}", kafka_version(), machine());
    let cluster = Cluster::start(&Options { tuning: Tuning::Speed, ..Options::brokers(brokers) })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let bootstrap = cluster.bootstrap();
    runtime.block_on(async {
        compare(&bootstrap, Duration::from_secs_f64(SECONDS * scale)).await?;
        for events in [1, 10] {
            restore::measure(&bootstrap, events, (RESTORED * scale) as usize).await?;
        }
        Ok(())
    })
}

/// Measures the plain producer and the node in turns.
async fn compare(bootstrap: &str, time: Duration) -> anyhow::Result<()> {
    println!(
        "{}-byte payloads, one partition, acks=all; {ROUNDS} rounds of {time:?}: median (least to greatest)",
        load::PAYLOAD
    );
    let dir = tempfile::tempdir()?;
    let node = start_node(bootstrap, "compared", "a", dir.path()).await?;
    let client = Client::new(bootstrap, PATIENCE)?;
    let producer = produce::Producer::start(&client).await?;
    println!("{:<28}{:>28}{:>24}{:>24}", "", "a second", "p50 ms", "p99 ms");
    for clients in CLIENTS {
        let (mut plain, mut appended) = (Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            if round == 0 {
                wait_for_idle();
            }
            let produced = produce::measure(&producer, clients, time).await?;
            let through_node = appends::measure(&store(&node)?, clients, time).await?;
            // The first round warms up the brokers.
            if round > 0 {
                plain.push(produced);
                appended.push(through_node);
            }
        }
        print_line(&format!("{clients} client(s), plain produce"), &plain);
        print_line(&format!("{clients} client(s), appends"), &appended);
        let ratio = |pick: fn(&Measurement) -> f64| {
            let pairs = plain.iter().zip(&appended);
            let [median, least, greatest] =
                spread(pairs.map(|(plain, appended)| pick(appended) / pick(plain)).collect());
            format!("{median:.2} ({least:.2} to {greatest:.2})")
        };
        let (rate, p50, p99) = (ratio(|m| m.rate), ratio(|m| m.p50), ratio(|m| m.p99));
        println!("{:<28}{rate:>28}{p50:>24}{p99:>24}", "  appends / plain produce");
    }
    node.stop().await;
    Ok(())
}

fn print_line(name: &str, measured: &[Measurement]) {
    let of = |pick: fn(&Measurement) -> f64, digits: usize| {
        let [median, least, greatest] = spread(measured.iter().map(pick).collect());
        format!("{median:.digits$} ({least:.digits$} to {greatest:.digits$})")
    };
    let (rate, p50, p99) = (of(|m| m.rate, 0), of(|m| m.p50, 2), of(|m| m.p99, 2));
    println!("{name:<28}{rate:>28}{p50:>24}{p99:>24}");
}

/// Starts a node of a cluster on the brokers, with its copy in a directory.
async fn start_node(
    bootstrap: &str,
    cluster: &str,
    name: &str,
    dir: &Path,
) -> anyhow::Result<Node> {
    let config = NodeConfig {
        client: Client::new(bootstrap, PATIENCE)?,
        cluster: cluster.to_owned(),
        partitions: 1,
        name: name.to_owned(),
        url: format!("http://{name}.invalid"),
        kafka: None,
        token: String::new(),
        dir: dir.to_owned(),
        options: leftfold_store::Options::default(),
        replication: None,
        session_timeout: SESSION,
    };
    Ok(Node::start(config).await?)
}

/// Returns the store of the only partition.
pub(crate) fn store(node: &Node) -> anyhow::Result<ClusterStore> {
    node.partitions().first().cloned().context("the node has no partition")
}
