//! `cargo xtask kill views`: the system test that kills a server with views, many times.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};

const TIMES: u64 = 1_000;
/// The test; it prints the seed of each of its parts.
const VIEWS: &str = "views_killed::";

/// Kills a server with views. Words are `--times N` and `--seed N`.
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
    let args =
        ["test", "--package", "leftfold-cli", "--test", "system", "--", VIEWS, "--nocapture"];
    let env = [("LEFTFOLD_VIEW_KILLS", &*times.to_string()), ("LEFTFOLD_SEED", &*seed.to_string())];
    crate::cargo(&args, &env).with_context(|| format!("seed {seed}"))?;
    println!("seed {seed}: {times} kills: the tables equal rebuilds and the model");
    Ok(())
}
