//! Runs a fuzz target under libFuzzer, on the toolchain that the project is pinned to.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::{cargo, root};

/// How to install the tool; the command never installs it by itself.
const MISSING: &str = "\
cargo-fuzz is not installed; get it with
  cargo install cargo-fuzz --version 0.13.2 --locked";

const SECONDS: &str = "60";
/// An input that takes longer counts as a failure.
const SECONDS_PER_INPUT: &str = "10";
/// The maximum length of inputs: a segment of a small store has a few thousand bytes.
const INPUT_BYTES: &str = "16384";

pub(crate) fn run(target: &str, seconds: Option<&str>) -> anyhow::Result<()> {
    let targets = targets()?;
    if !targets.iter().any(|known| known == target) {
        bail!("there is no target {target}; there are: {}", targets.join(", "));
    }
    let seconds = seconds.unwrap_or(SECONDS);
    seconds.parse::<u32>().with_context(|| format!("{seconds} is not a number of seconds"))?;
    let mut probe = Command::new("cargo");
    probe.args(["fuzz", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    if !probe.status().is_ok_and(|status| status.success()) {
        bail!(MISSING);
    }
    // libFuzzer writes new inputs to the first directory, and only reads the committed corpus.
    let found = root().join("target/fuzz-corpus").join(target);
    let kept = root().join("fuzz/corpus").join(target);
    let [found, kept] = [&found, &kept].map(|dir| dir.to_string_lossy().into_owned());
    let seeds = ["run", "--package", "leftfold-fuzzed", "--example", "seeds", "--"];
    cargo(&[&seeds[..], &[target, &found]].concat(), &[])?;
    let limits = [
        format!("-max_total_time={seconds}"),
        format!("-timeout={SECONDS_PER_INPUT}"),
        format!("-max_len={INPUT_BYTES}"),
    ];
    // The sanitizers need a nightly compiler, and they find errors of unsafe code, which this
    // project does not have. Coverage works on any compiler.
    let mut args = vec!["fuzz", "run", "--sanitizer", "none", target, &found, &kept, "--"];
    args.extend(limits.iter().map(String::as_str));
    cargo(&args, &[])
}

/// Returns the names of the targets, from the names of their files.
fn targets() -> anyhow::Result<Vec<String>> {
    let dir = root().join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in dir.read_dir().with_context(|| dir.display().to_string())? {
        let name = entry?.file_name();
        names.extend(Path::new(&name).file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}
