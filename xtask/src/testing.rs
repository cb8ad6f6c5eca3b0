//! `cargo xtask test`: lists its requirements, builds once, runs one part after the other, and
//! prints the minutes of each.
//!
//! Every part selects the whole workspace and the same profile. So cargo compiles each crate once,
//! with one set of features, and a part only selects which programs run.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::{SIMULATION, cargo, clients, kafka, postgres, redis, schemathesis, target};

/// How much is tested.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    Whole,
    /// Without the slow parts.
    Quick,
}

/// The number of seeds of each simulation in a quick run.
const QUICK_SEEDS: &str = "100";

/// A fixed seed: a change is not blamed for a failure that chance finds.
const REQUESTS_SEED: u64 = 1;

/// A program that must be installed.
struct Need {
    name: &'static str,
    used_by: &'static str,
    check: fn() -> anyhow::Result<()>,
}

const NEEDS: [Need; 11] = [
    Need { name: "Java 17, Maven", used_by: "the tests on Kafka", check: kafka::check },
    Need { name: "Python 3.10", used_by: "clients of Kafka", check: clients::python },
    Need { name: "Node.js 18, npm", used_by: "clients of Kafka", check: clients::node },
    Need { name: "Go 1.26", used_by: "clients of Kafka", check: clients::go },
    Need { name: "kcat", used_by: "clients of Kafka", check: clients::kcat },
    Need { name: "Java 17, Maven", used_by: "clients of Kafka", check: clients::java },
    Need { name: "Java 17, Maven", used_by: "connectors", check: opensearch },
    Need { name: "PostgreSQL", used_by: "views in PostgreSQL", check: postgres::check },
    Need { name: "Redis", used_by: "connectors", check: redis::check },
    Need { name: "Python 3.10", used_by: "schemathesis", check: schemathesis::check },
    Need { name: "curl", used_by: "schemathesis", check: curl },
];

fn opensearch() -> anyhow::Result<()> {
    Ok(leftfold_opensearch_server::check()?)
}

fn curl() -> anyhow::Result<()> {
    match Command::new("curl").arg("--version").stdout(Stdio::null()).status() {
        Ok(_) => Ok(()),
        Err(_) => bail!("curl is missing; install it (Debian and Ubuntu: apt-get install curl)"),
    }
}

/// The libraries, and the one program that has tests of its own.
const INSIDE: [&str; 3] = ["--lib", "--bin", "xtask"];

/// A part of a run.
struct Part {
    name: &'static str,
    extent: Extent,
    run: fn(Extent) -> anyhow::Result<()>,
}

const PARTS: [Part; 13] = [
    Part { name: "build", extent: Extent::Quick, run: build },
    Part { name: "tests inside the crates", extent: Extent::Quick, run: |_| test(&INSIDE) },
    Part { name: "tests of the crates", extent: Extent::Quick, run: crates },
    Part { name: "simulations", extent: Extent::Quick, run: simulations },
    Part {
        name: "examples in the documentation",
        extent: Extent::Quick,
        run: |_| test(&["--doc"]),
    },
    Part { name: "system tests", extent: Extent::Whole, run: |_| test(&["--test", "system"]) },
    Part { name: "hostile clients", extent: Extent::Whole, run: |_| test(&["--test", "hostile"]) },
    Part { name: "clients of Kafka", extent: Extent::Whole, run: |_| kafka_clients() },
    Part { name: "tests on PostgreSQL", extent: Extent::Whole, run: |_| on_postgres() },
    Part { name: "connectors", extent: Extent::Whole, run: |_| connectors() },
    Part { name: "tests on Kafka", extent: Extent::Whole, run: kafka },
    Part { name: "cluster on Kafka", extent: Extent::Whole, run: |_| cluster() },
    Part { name: "schemathesis", extent: Extent::Whole, run: openapi },
];

pub(crate) fn run(extent: Extent) -> anyhow::Result<()> {
    match extent {
        Extent::Whole => check_needs()?,
        Extent::Quick => println!(
            "Quick: without the system tests, hostile clients, clients of Kafka, connectors, the tests on \
             PostgreSQL and Kafka, and schemathesis; \
             {QUICK_SEEDS} seeds of each simulation. It requires only cargo."
        ),
    }
    let parts: Vec<&Part> =
        PARTS.iter().filter(|part| extent == Extent::Whole || part.extent == extent).collect();
    let names: Vec<&str> = parts.iter().map(|part| part.name).collect();
    println!("Parts: {}.", names.join(", "));
    let started = Instant::now();
    let (mut times, mut failed) = (Vec::new(), Vec::new());
    for (n, part) in parts.iter().enumerate() {
        println!(
            "\n== {} of {}: {} (minute {:.1})",
            n + 1,
            parts.len(),
            part.name,
            minutes(started.elapsed())
        );
        let began = Instant::now();
        let outcome = (part.run)(extent);
        times.push((part.name, began.elapsed()));
        if let Err(error) = outcome {
            eprintln!("error: {}: {error:#}", part.name);
            failed.push(part.name);
            if n == 0 {
                break;
            }
        }
    }
    println!("\nMinutes of each part:");
    for (name, time) in times.into_iter().chain([("whole", started.elapsed())]) {
        println!("{:>6.1}  {name}", minutes(time));
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn minutes(time: Duration) -> f64 {
    time.as_secs_f64() / 60.0
}

/// Lists all requirements and whether each is met, before any slow work.
fn check_needs() -> anyhow::Result<()> {
    println!("Requirements in addition to cargo:");
    let mut missing = Vec::new();
    for need in &NEEDS {
        let outcome = (need.check)();
        let found = if outcome.is_ok() { "found" } else { "MISSING" };
        println!("  {:<15} for {:<19} {found}", need.name, need.used_by);
        missing.extend(outcome.err().map(|error| format!("{error:#}")));
    }
    if !missing.is_empty() {
        bail!("{}\n`cargo xtask test --quick` runs without them", missing.join("\n"));
    }
    Ok(())
}

fn on_postgres() -> anyhow::Result<()> {
    postgres::prepare()?;
    test(&["--test", "postgres"])
}

fn connectors() -> anyhow::Result<()> {
    postgres::prepare()?;
    redis::prepare()?;
    kafka::prepare()?;
    leftfold_opensearch_server::prepare()?;
    test(&["--test", "connectors", "--test", "opensearch", "--test", "in-step"])
}

/// Runs tests of the workspace; continues after a failure.
fn test(args: &[&str]) -> anyhow::Result<()> {
    cargo(&[&["test", "--workspace", "--no-fail-fast"], args].concat(), &[])
}

/// Builds all tests and the binaries that they start. A cold run spends most of its time here.
fn build(_: Extent) -> anyhow::Result<()> {
    let args = ["test", "--workspace", "--no-run", "--test", "*"];
    cargo(&[&args[..], &INSIDE].concat(), &[])
}

fn crates(_: Extent) -> anyhow::Result<()> {
    test(&["--test", "it", "--test", "corpora", "--", "--skip", SIMULATION])
}

fn simulations(extent: Extent) -> anyhow::Result<()> {
    let args = ["test", "--workspace", "--no-fail-fast", "--test", "it", "--", SIMULATION];
    match extent {
        Extent::Whole => cargo(&args, &[]),
        Extent::Quick => cargo(&args, &[("LEFTFOLD_SEEDS", QUICK_SEEDS)]),
    }
}

fn kafka(_: Extent) -> anyhow::Result<()> {
    kafka::prepare()?;
    test(&["--test", "fencing", "--test", "cluster"])
}

fn kafka_clients() -> anyhow::Result<()> {
    clients::prepare()?;
    test(&["--test", "clients"])
}

fn cluster() -> anyhow::Result<()> {
    kafka::prepare()?;
    test(&["--test", "nodes"])
}

/// Checks the server of the binary that the system tests have run against its OpenAPI document.
fn openapi(_: Extent) -> anyhow::Result<()> {
    schemathesis::prepare()?;
    let binary = target().join("debug/leftfold");
    schemathesis::run(&binary.to_string_lossy(), REQUESTS_SEED)
}
