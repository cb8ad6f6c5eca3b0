//! Counts the instructions of the smallest operations. The counts do not depend on the load of the
//! machine, so a diff shows a regression.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::cargo;

/// The file with the counts.
const COUNTS: &str = "bench/instructions.txt";
/// Each operation runs this often in two runs; the difference of the runs excludes the setup.
const TIMES: [u64; 2] = [100, 300];

pub(crate) fn count() -> anyhow::Result<()> {
    cargo(&["build", "--release", "--package", "leftfold-bench", "--bin", "instructions"], &[])?;
    let target = crate::target();
    let program = target.join("release/instructions");
    let names = Command::new(&program).output().context("running the benchmark")?;
    let before = std::fs::read_to_string(COUNTS).unwrap_or_default();
    let mut now = String::from(
        "# Instructions of one operation, counted by `cargo xtask bench instructions` (callgrind; the system's\n\
        # allocator; without the kernel). They depend only on the compiler and the C library.\n",
    );
    for name in String::from_utf8_lossy(&names.stdout).lines() {
        let [few, many] = TIMES.map(|times| instructions_of(&program, name, times));
        let each = many?.saturating_sub(few?) / (TIMES[1] - TIMES[0]);
        let was =
            before.lines().find_map(|line| line.strip_suffix(name)?.trim().parse::<u64>().ok());
        let change = was.map_or(String::new(), |was| {
            format!("  ({:+.1}%)", (each as f64 / was.max(1) as f64 - 1.0) * 100.0)
        });
        println!("{each:>10}  {name}{change}");
        writeln!(now, "{each:>10}  {name}")?;
    }
    Ok(std::fs::write(COUNTS, now)?)
}

fn instructions_of(program: &Path, name: &str, times: u64) -> anyhow::Result<u64> {
    let counted = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([name, &times.to_string()])
        .output()
        .context("valgrind is needed: install Debian's package of that name")?;
    let output = String::from_utf8_lossy(&counted.stderr);
    let collected = output.lines().find_map(|line| line.split_once("Collected : "));
    match collected.and_then(|(_, count)| count.trim().parse().ok()) {
        Some(count) if counted.status.success() => Ok(count),
        _ => bail!("counting {name:?} failed: {output}"),
    }
}
