//! A server on loopback with our client, each a process of its own, beside the bare loop: `cargo
//! xtask bench server`. `--small` runs all of it at a small size, only to check that it works.

mod blocking;
mod fairness;
mod rows;

use std::path::Path;

use leftfold::client::Client;
use leftfold_bench::process::{Cpu, ServerProcess};
use leftfold_bench::{bare_loop, machine, spread, wait_for_idle};

/// About the bytes that an append of 256 bytes takes in the log: the bare loop writes this.
const FRAME: usize = 448;

/// The amount of work.
#[derive(Debug, Clone, Copy)]
struct Size {
    rounds: usize,
    appends: u64,
    pipelined: u64,
    reads: u64,
    replay: u64,
    deliveries: u64,
    subscriptions: usize,
    is_small: bool,
}

const FULL: Size = Size {
    rounds: 5,
    appends: 20_000,
    pipelined: 300_000,
    reads: 5_000,
    replay: 1_000_000,
    deliveries: 3_000,
    subscriptions: 10_000,
    is_small: false,
};
const SMALL: Size = Size {
    rounds: 1,
    appends: 500,
    pipelined: 5_000,
    reads: 100,
    replay: 20_000,
    deliveries: 100,
    subscriptions: 200,
    is_small: true,
};

/// The result of a row in one round: operations a second (or in the row's unit), and processor time
/// per operation, of client and server, in microseconds.
struct Measurement {
    value: f64,
    cpu: [f64; 2],
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let is_small = std::env::args().any(|argument| argument == "--small");
    let only: Option<String> = std::env::args().nth(1).filter(|name| !name.starts_with("--"));
    let size = if is_small { SMALL } else { FULL };
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    println!("{}; server and client on the same processors, over loopback", machine());
    println!("fdatasync before every acknowledgement; 256-byte events; {} rounds\n", size.rounds);
    println!(
        "{:<44}{:>10}  {:<24}{:>9}{:>9}{:>11}",
        "", "median", "(least to greatest)", "client", "server", "fdatasync"
    );
    println!("{:<80}{:>9}{:>9}{:>11}", "", "us/op", "us/op", "a second");
    let dir = tempfile::Builder::new().prefix("leftfold-bench").tempdir_in(".")?;
    let served = ServerProcess::start(&dir.path().join("data"))?;
    let client = served.client().await?;
    let bench = Bench { dir: dir.path(), served: &served, client, size };
    if wanted("append") {
        for in_flight in [1, 8, 64, 256] {
            let name = format!("append, expected version, {in_flight} in flight");
            bench
                .row(&name, "/s", async |bench, round| rows::appends(bench, round, in_flight).await)
                .await?;
        }
    }
    if wanted("append") {
        let client = served.blocking_client()?;
        let name = "the same, 1 in flight, a client that blocks";
        bench
            .row(name, "/s", async |bench, round| blocking::appends(bench, &client, round))
            .await?;
    }
    if wanted("pipeline") {
        let name = "append, pipelined, 1024 in flight";
        bench.row(name, "/s", async |bench, round| rows::pipelined(bench, round).await).await?;
    }
    if wanted("delivery") {
        bench.latencies(rows::deliveries).await?;
    }
    if wanted("read") {
        rows::fill_streams(&bench).await?;
        let (by_port, by_socket) = (bench.client.clone(), served.local_client().await?);
        for (name, client, streams) in [
            ("a stream of 100", &by_port, rows::STREAMS),
            ("the same, hot", &by_port, rows::HOT),
            ("the same, hot, by a Unix socket", &by_socket, rows::HOT),
        ] {
            let read = async |bench: &Bench<'_>, _| rows::streams(bench, client, streams).await;
            bench.row(name, "us", read).await?;
        }
        let client = served.blocking_client()?;
        let name = "the same, hot, a client that blocks";
        let read = async |bench: &Bench<'_>, _| blocking::streams(bench, &client, rows::HOT);
        bench.row(name, "us", read).await?;
        let name = "a plain echo of as many bytes (control)";
        bench.row(name, "us", async |bench, _| rows::echo(bench)).await?;
    }
    if wanted("replay") {
        rows::fill(&bench).await?;
        bench.row("replay", "events/s", async |bench, _| rows::replay(bench).await).await?;
    }
    if wanted("idle") {
        rows::idle(&bench).await?;
    }
    if wanted("fairness") {
        if only.is_some() {
            rows::fill(&bench).await?;
        }
        fairness::fairness(&bench).await?;
    }
    Ok(())
}

/// The environment of the rows.
struct Bench<'a> {
    dir: &'a Path,
    served: &'a ServerProcess,
    client: Client,
    size: Size,
}

impl Bench<'_> {
    fn settle(&self) {
        if !self.size.is_small {
            wait_for_idle();
        }
    }

    /// Returns the current rate of the bare loop.
    fn control(&self) -> anyhow::Result<f64> {
        self.settle();
        Ok(bare_loop(self.dir, FRAME, if self.size.is_small { 50 } else { 2_000 })?)
    }

    fn cpu(&self) -> Cpu {
        self.served.cpu()
    }

    /// Measures a row in every round, and prints it.
    async fn row(
        &self,
        name: &str,
        unit: &str,
        measure: impl AsyncFn(&Bench, usize) -> anyhow::Result<Measurement>,
    ) -> anyhow::Result<()> {
        let (mut values, mut controls) = (Vec::new(), Vec::new());
        let mut cpu = [Vec::new(), Vec::new()];
        for round in 0..self.size.rounds {
            controls.push(self.control()?);
            self.settle();
            let measured = measure(self, round).await?;
            values.push(measured.value);
            cpu.iter_mut().zip(measured.cpu).for_each(|(all, one)| all.push(one));
        }
        let [median, least, greatest] = spread(values);
        let [client, server] = cpu.map(|values| spread(values)[0]);
        let range = format!("{unit} ({least:.0} to {greatest:.0})");
        let control = spread(controls)[0];
        println!("{name:<44}{median:>10.0}  {range:<24}{client:>9.2}{server:>9.2}{control:>11.0}");
        Ok(())
    }

    /// Measures single operations in microseconds, and prints their p50 and p99.
    async fn latencies(
        &self,
        measure: impl AsyncFn(&Bench, usize) -> anyhow::Result<(Vec<f64>, [f64; 2])>,
    ) -> anyhow::Result<()> {
        let (mut times, mut controls) = (Vec::new(), Vec::new());
        let mut cpu = [Vec::new(), Vec::new()];
        for round in 0..self.size.rounds {
            controls.push(self.control()?);
            self.settle();
            let (more, used) = measure(self, round).await?;
            times.extend(more);
            cpu.iter_mut().zip(used).for_each(|(all, one)| all.push(one));
        }
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        let (p50, p99, greatest) = (at(0.5), at(0.99), at(1.0));
        let [client, server] = cpu.map(|values| spread(values)[0]);
        let range = format!("us; p99 {p99:.0}, max {greatest:.0}");
        let control = spread(controls)[0];
        let name = "append to delivery, p50";
        println!("{name:<44}{p50:>10.0}  {range:<24}{client:>9.2}{server:>9.2}{control:>11.0}");
        Ok(())
    }
}
