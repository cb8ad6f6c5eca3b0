//! A server under floods of hostile clients, one after the other and all at once, while a healthy client appends
//! and reads. `cargo xtask hostile` runs it.
//!
//! The floods come from one address, and the healthy client has another one and a user of its own. The run fails if the
//! server takes more memory than its limits allow, if it does not answer `/health/live`, or if a call of the healthy
//! client is refused. It never fails because something is slow: times are only printed.

mod connect;
mod crowd;
mod floods;
mod healthy;
mod plan;
mod report;
mod served;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

use self::report::Report;

/// The short form: in two minutes all floods are over, also on a slow machine.
const SHORT: Duration = Duration::from_secs(75);

/// What is asked for on the command line.
struct Arguments {
    time: Duration,
    only: Option<String>,
}

impl Arguments {
    fn parse(words: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut arguments = Arguments { time: SHORT, only: None };
        let mut words = words;
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} needs a value"));
            match word.as_str() {
                "--minutes" => {
                    let minutes: u64 = value()?.parse().context("the minutes are a number")?;
                    arguments.time = Duration::from_secs(60 * minutes.max(1));
                }
                "--only" => arguments.only = Some(value()?),
                other => bail!("--minutes N or --only FLOOD is expected, found {other}"),
            }
        }
        Ok(arguments)
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(report) if report.failures.is_empty() => ExitCode::SUCCESS,
        Ok(report) => {
            for failure in &report.failures {
                eprintln!("FAILED: {failure}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<Report> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    // The clients are in this process: they need more descriptors than the server has.
    leftfold_server::Descriptors::raise();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(plan::run(arguments.time, arguments.only.as_deref()));
    runtime.shutdown_background();
    report
}
