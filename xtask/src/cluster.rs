//! `cargo xtask cluster` and `cargo xtask failover`: the tests of the whole cluster on real brokers, for longer.

use anyhow::{Context, bail};

/// Where the tests are.
const PACKAGE: &str = "leftfold-cli";
const TARGET: &str = "nodes";

/// Lets clients check their histories while nodes, brokers and networks fail. Words are `--minutes N` and `--seed N`.
pub(crate) fn histories(words: &[&str]) -> anyhow::Result<()> {
    let mut env = Vec::new();
    for pair in words.chunks(2) {
        let (name, number) = match pair {
            ["--minutes", number] => ("LEFTFOLD_CLUSTER_MINUTES", *number),
            ["--seed", number] => ("LEFTFOLD_SEED", *number),
            other => bail!("--minutes N or --seed N is expected, found {}", other.join(" ")),
        };
        number.parse::<u64>().with_context(|| format!("{number} is no number"))?;
        env.push((name, number));
    }
    run("history_test::", &env)
}

/// Kills the owner, and lets it hand over, so many times each; prints how long a client waits.
pub(crate) fn failover(times: &str) -> anyhow::Result<()> {
    let number: u64 = times.parse().context("the times are a number")?;
    if number == 0 {
        bail!("the times are at least 1");
    }
    run("failover::", &[("LEFTFOLD_FAILOVERS", times)])
}

/// Runs a test on the binary that `LEFTFOLD_BIN` names, or on the release binary.
fn run(test: &str, env: &[(&str, &str)]) -> anyhow::Result<()> {
    crate::kafka::prepare()?;
    let binary = std::env::var("LEFTFOLD_BIN").or_else(|_| crate::release_binary())?;
    let env = [env, &[("LEFTFOLD_BIN", &*binary)]].concat();
    let args = ["test", "--package", PACKAGE, "--test", TARGET, "--", test, "--nocapture"];
    crate::cargo(&args, &env)
}
