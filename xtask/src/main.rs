//! The project's own commands.

mod apt;
#[cfg(test)]
mod arrows;
mod clients;
mod cluster;
mod fuzz;
mod hostile;
mod instructions;
mod kafka;
mod kill;
mod locks;
mod mutations;
mod peers;
mod postgres;
mod redis;
mod schemathesis;
mod testing;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};

const HELP: &str = "\
cargo xtask test            all tests, and the binary that the system tests run; the Kafka tests
                            need Java 17 and Maven, its clients also Python 3, Node.js, Go and kcat,
                            the OpenAPI tests Python 3
cargo xtask test --quick    without the slow parts: system tests, hostile clients, Kafka and its clients,
                            OpenAPI, long simulations
cargo xtask locks           updates all lock files; with --check only checks them
cargo xtask bench           the store beside a bare write+fdatasync loop on the same disk
cargo xtask bench instructions
                            instructions of the smallest operations, to bench/instructions.txt
cargo xtask bench ingest    a camt.053 file of 1 GB: MB/s, records/s, peak memory
cargo xtask bench history   10 million events in 1 million streams: bytes, opening, memory
cargo xtask bench streams   memory while streams grow to 10 million; reads of a cold stream
cargo xtask bench replay    a history folded on one thread and on several
cargo xtask bench folds     commands beside bare appends, entities' memory, loads with snapshots
cargo xtask bench views     SQL views beside the same work by hand, in SQLite and PostgreSQL: catching up, lag,
                            the table events, appends, live queries; one of them: sqlite, postgres, events,
                            appends, live; a number scales the sizes, as 0.05 to check that it works
cargo xtask bench connectors
                            connectors beside the same by hand: events a second, and the times of single events; a
                            number scales the sizes, as 0.01 to check that it works, a second one is the number of
                            rounds, and names of rows choose some: kafka, kafka-cloudevents, outbox, http, http-batch,
                            redis, search, file-export
cargo xtask bench kafka     the listener for Kafka's clients beside Apache Kafka, with and without a flush for
                            each message: produce, consume, end to end, memory, start; a number scales the
                            sizes, as 0.05 to check that it works, a second one is the number of rounds,
                            and names of rows choose some
cargo xtask bench kafka ways
                            the cost of an append to Kafka: plain, in transactions, fenced by claims
cargo xtask bench cluster   conditional appends to a cluster beside plain produce, and a restore from Kafka; a number
                            scales times and sizes, a second one is the number of brokers
cargo xtask bench peers     the store beside PostgreSQL, UmaDB, SierraDB and NATS, to
                            bench/RESULTS.md; --rounds N, --quick, --syncs, --only NAMES
cargo xtask bench server    a server on loopback with our client: appends, delivery, reads, memory, and
                            small requests beside broad ones; one of them: append, pipeline,
                            delivery, read, replay, idle, fairness
cargo xtask schemathesis [SEED]
                            requests made from the server's OpenAPI document, to the release
                            binary; different ones in each run, unless a seed is given
cargo xtask kafka up        starts a Kafka broker and prints its address (--brokers 3 for three)
cargo xtask kafka status    lists the brokers that run
cargo xtask kafka down      stops them and deletes their data
cargo xtask clients [WORD]  seven clients of Kafka against the binary, also through crashes and by SASL; the
                            tests of librdkafka and franz-go, and Spark; those whose names have the word:
                            confluent, java, suites, scram
cargo xtask simulate N      N seeds of the simulations, of a store and of a cluster, in release mode
cargo xtask mutations       deliberate bugs, and how many seeds it takes to catch each
cargo xtask soak MINUTES    mixed load on the real disk, killed every few seconds, verified
cargo xtask kill views      kill -9 of a server with views at random moments, 1,000 times: its tables equal
                            rebuilds and a model; --times N, --seed N
cargo xtask hostile         floods of hostile clients, a healthy one beside them: its times, the server's memory
                            against the bound of docs/limits.md; --minutes N, --only FLOOD
cargo xtask cluster         clients of three nodes on three Kafka brokers, while nodes, brokers and networks fail:
                            their histories are linearizable; --minutes N, --seed N, --partitions N (one without it)
cargo xtask cluster size    what a node costs with 1 and with 64 partitions, and what 10, 100 and 1,000 need;
                            --partitions N, --events N
cargo xtask failover N      kill -9 and SIGTERM of the owner, N times each: how long a client waits
cargo xtask fuzz TARGET [SECONDS]
                            a fuzz target under libFuzzer; the default is 60 seconds
cargo xtask fixture NAME    writes tests/fixtures/NAME (v1, generations), unless it exists
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["test"] => testing::run(testing::Extent::Whole),
        ["test", "--quick"] => testing::run(testing::Extent::Quick),
        ["locks"] => locks::update(),
        ["locks", "--check"] => locks::check(),
        ["bench"] => bench("store", &[]),
        ["bench", "instructions"] => instructions::count(),
        ["bench", "peers", rest @ ..] => peers::run(rest),
        // The example of that name is a program, too.
        ["bench", "cluster", rest @ ..] => bench("cluster_nodes", rest),
        ["bench", "kafka", "ways", rest @ ..] => bench("kafka", rest),
        ["bench", "kafka", rest @ ..] => bench("kafka_listener", rest),
        ["bench", name, rest @ ..] => bench(name, rest),
        ["soak", minutes] => bench("soak", &[minutes]),
        ["mutations"] => mutations::run(root()),
        ["simulate", seeds] => simulate(seeds),
        ["kafka", "up"] => kafka::up(1),
        ["kafka", "up", "--brokers", brokers] => kafka::up_with(brokers),
        ["kafka", "status"] => kafka::status(),
        ["kafka", "down"] => kafka::down(),
        ["clients", rest @ ..] => clients::run(rest),
        ["kill", "views", rest @ ..] => kill::views(rest),
        ["hostile", rest @ ..] => hostile::run(rest),
        ["cluster", "size", rest @ ..] => cluster::size(rest),
        ["cluster", rest @ ..] => cluster::histories(rest),
        ["failover", times] => cluster::failover(times),
        ["schemathesis"] => api(None),
        ["schemathesis", seed] => api(Some(seed)),
        ["fuzz", target] => fuzz::run(target, None),
        ["fuzz", target, seconds] => fuzz::run(target, Some(seconds)),
        ["fixture", name] => fixture(name),
        _ => {
            print!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn target() -> std::path::PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or(root().join("target"), Into::into)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

fn cargo(args: &[&str], env: &[(&str, &str)]) -> anyhow::Result<()> {
    println!("cargo {}", args.join(" "));
    let program = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let mut command = Command::new(program);
    command.args(args).envs(env.iter().copied()).current_dir(root());
    let status = command.status().context("starting cargo")?;
    if !status.success() {
        bail!("cargo {} ended with {status}", args.join(" "));
    }
    Ok(())
}

/// Checks the server of a binary against its OpenAPI document; by default the release binary.
fn api(seed: Option<&str>) -> anyhow::Result<()> {
    schemathesis::prepare()?;
    let binary = std::env::var("LEFTFOLD_BIN").or_else(|_| release_binary())?;
    let seed = match seed {
        Some(seed) => seed.parse().context("the seed is a number")?,
        None => SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
    };
    schemathesis::run(&binary, seed)
}

fn release_binary() -> anyhow::Result<String> {
    cargo(&["build", "--release", "--package", "leftfold-cli"], &[])?;
    let binary = target().join("release/leftfold");
    Ok(binary.to_str().context("the path of the binary is not text")?.to_owned())
}

fn bench(name: &str, rest: &[&str]) -> anyhow::Result<()> {
    cargo(&["build", "--release", "--package", "leftfold-cli"], &[])?;
    let mut args = vec!["run", "--release", "--package", "leftfold-bench", "--bin", name, "--"];
    args.extend(rest);
    cargo(&args, &[])
}

/// The module name of the simulation tests in all crates.
const SIMULATION: &str = "simulation::";

fn simulate(seeds: &str) -> anyhow::Result<()> {
    let packages = ["--package", "leftfold-store", "--package", "leftfold-cluster"];
    let args = [&["test", "--release"], &packages[..], &["--test", "it", "--"]].concat();
    cargo(&[&args[..], &[SIMULATION, "--nocapture"]].concat(), &[("LEFTFOLD_SEEDS", seeds)])
}

fn fixture(name: &str) -> anyhow::Result<()> {
    let directory = root().join("tests/fixtures").join(name);
    let directory = directory.to_str().context("the path of the fixtures is not text")?;
    let args = ["run", "--package", "leftfold-bench", "--bin", "fixture", "--", name, directory];
    cargo(&args, &[])
}
