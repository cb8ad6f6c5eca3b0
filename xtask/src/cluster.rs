//! `cargo xtask cluster`, `cargo xtask cluster size` and `cargo xtask failover`: the tests of the whole cluster on real
//! brokers, for longer or with larger numbers.

use anyhow::{Context, bail};

/// Where the tests are.
const PACKAGE: &str = "leftfold-cli";
const TARGET: &str = "nodes";

/// Lets clients check their histories while nodes, brokers and networks fail. Words are `--minutes N`, `--seed N` and
/// `--partitions N`.
pub(crate) fn histories(words: &[&str]) -> anyhow::Result<()> {
    let (mut env, mut test) = (Vec::new(), "history_test::histories_are");
    for pair in words.chunks(2) {
        let (name, number) = match pair {
            ["--minutes", number] => ("LEFTFOLD_CLUSTER_MINUTES", *number),
            ["--seed", number] => ("LEFTFOLD_SEED", *number),
            ["--partitions", number] => {
                test = "history_test::histories_of_many";
                ("LEFTFOLD_CLUSTER_PARTITIONS", *number)
            }
            other => bail!(
                "--minutes N, --seed N or --partitions N is expected, found {}",
                other.join(" ")
            ),
        };
        number.parse::<u64>().with_context(|| format!("{number} is no number"))?;
        env.push((name, number));
    }
    run(test, &env)
}

/// Kills the owner, and lets it hand over, so many times each; prints how long a client waits.
pub(crate) fn failover(times: &str) -> anyhow::Result<()> {
    let number: u64 = times.parse().context("the times are a number")?;
    if number == 0 {
        bail!("the times are at least 1");
    }
    run("failover::", &[("LEFTFOLD_FAILOVERS", times)])
}

/// Measures what a node costs, and prints what larger clusters need. Words are `--partitions N` and `--events N`.
pub(crate) fn size(words: &[&str]) -> anyhow::Result<()> {
    let mut env = vec![("LEFTFOLD_SIZE_PARTITIONS", "64"), ("LEFTFOLD_SIZE_EVENTS", "200000")];
    for pair in words.chunks(2) {
        let (name, number) = match pair {
            ["--partitions", number] => ("LEFTFOLD_SIZE_PARTITIONS", *number),
            ["--events", number] => ("LEFTFOLD_SIZE_EVENTS", *number),
            other => bail!("--partitions N or --events N is expected, found {}", other.join(" ")),
        };
        number.parse::<u64>().with_context(|| format!("{number} is no number"))?;
        env.push((name, number));
    }
    run("size::", &env)
}

/// Runs a test on the binary that `LEFTFOLD_BIN` names, or on the release binary.
fn run(test: &str, env: &[(&str, &str)]) -> anyhow::Result<()> {
    crate::kafka::prepare()?;
    let binary = std::env::var("LEFTFOLD_BIN").or_else(|_| crate::release_binary())?;
    let env = [env, &[("LEFTFOLD_BIN", &*binary)]].concat();
    let args = ["test", "--package", PACKAGE, "--test", TARGET, "--", test, "--nocapture"];
    crate::cargo(&args, &env)
}
