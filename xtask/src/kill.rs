//! `cargo xtask kill views`: the tests that kill a server with views in SQLite, and a process with views in
//! PostgreSQL, many times.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};

const TIMES: u64 = 1_000;
/// The test on SQLite; it prints the seed of each of its parts.
const ON_SQLITE: [&str; 3] = ["leftfold-cli", "system", "views_killed::"];
/// The test on PostgreSQL.
const ON_POSTGRES: [&str; 3] = ["leftfold-views", "postgres", "when_the_host_is_killed"];

/// Kills a server with views, and a process with views in PostgreSQL, so many times each. Words are `--times N` and
/// `--seed N`.
pub(crate) fn views(words: &[&str]) -> anyhow::Result<()> {
    let (mut times, mut seed) = (TIMES, None);
    for pair in words.chunks(2) {
        match pair {
            ["--times", number] => times = number.parse().context("the times are a number")?,
            ["--seed", number] => seed = Some(number.parse().context("the seed is a number")?),
            other => bail!("--times N or --seed N is expected, found {}", other.join(" ")),
        }
    }
    let seed: u64 = match seed {
        Some(seed) => seed,
        None => SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
    };
    println!("seed {seed}: {times} kills");
    let env = [("LEFTFOLD_VIEW_KILLS", &*times.to_string()), ("LEFTFOLD_SEED", &*seed.to_string())];
    for [package, target, test] in [ON_SQLITE, ON_POSTGRES] {
        let args = ["test", "--package", package, "--test", target, "--", test, "--nocapture"];
        crate::cargo(&args, &env).with_context(|| format!("seed {seed}"))?;
    }
    println!("seed {seed}: {times} kills: the tables equal rebuilds and the model");
    Ok(())
}
