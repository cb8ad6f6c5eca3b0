//! Deliberate bugs, each in a copy of the source: the tests must find every one.
//!
//! What is the simulation worth? Here is how many seeds it takes to catch a bug of each kind. One
//! of them needs a frame of just the length of a torn one before it, which chance does not bring
//! about: a test does.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::SIMULATION;

/// So many seeds must be enough: as many as at least run in CI.
const SEEDS: u64 = 2_000;

struct Mutation {
    what: &'static str,
    file: &'static str,
    /// Stands there exactly once.
    from: &'static str,
    to: &'static str,
    by: By,
}

/// What has to catch a bug.
#[derive(Clone, Copy)]
enum By {
    Simulation,
    /// A test of the log, by name.
    Test(&'static str),
}

const MUTATIONS: [Mutation; 8] = [
    Mutation {
        what: "skip the sync before the acknowledgement",
        file: "crates/log/src/writer/tail.rs",
        from: "        body.file.sync()?;\n",
        to: "",
        by: By::Simulation,
    },
    Mutation {
        what: "drop the marks",
        file: "crates/log/src/writer/turn.rs",
        from: "synced_mark: tail.synced }",
        to: "synced_mark: 0 }",
        by: By::Simulation,
    },
    Mutation {
        what: "one off in ordinals",
        file: "crates/index/src/set.rs",
        from: "let ordinal = list.ordinal.map(|first| first + index as u64);",
        to: "let ordinal = list.ordinal.map(|first| first + index as u64 + 1);",
        by: By::Simulation,
    },
    Mutation {
        what: "swap a generation before it is written",
        file: "crates/log/src/rewrite.rs",
        from: "        self.file.sync()?;\n",
        to: "",
        by: By::Simulation,
    },
    Mutation {
        what: "forget a posting",
        file: "crates/store/src/embedded/admit.rs",
        from: "    adding.posting(event.type_key, position);\n",
        to: "    if position % 16 != 7 {\n        adding.posting(event.type_key, position);\n    }\n",
        by: By::Simulation,
    },
    Mutation {
        what: "do not clear the torn tail",
        file: "crates/log/src/recovery.rs",
        from: "    clear_tail(file, recovered)?;\n",
        to: "",
        by: By::Test("recovers_from_a_torn_last_frame_and_never_revives_what_came_after_it"),
    },
    Mutation {
        what: "scavenge one event too many",
        file: "crates/store/src/retention.rs",
        from: "(last + 1).saturating_sub(count)",
        to: "(last + 2).saturating_sub(count)",
        by: By::Simulation,
    },
    Mutation {
        what: "take a stale state of a stream for the newest",
        file: "crates/store/src/embedded/retention/streams.rs",
        from: "            && known == version\n",
        to: "            && known <= version\n",
        by: By::Simulation,
    },
];

pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let copy = root.join("target/mutations/source");
    let mut uncaught = 0;
    copy_source(root, &copy)?;
    for mutation in &MUTATIONS {
        let seeds = with_mutation(&copy, mutation, || match mutation.by {
            By::Simulation => seeds_until_caught(root, &copy),
            By::Test(name) => caught_by(name, root, &copy),
        })?;
        println!("{:<46} {}", mutation.what, seeds.as_deref().unwrap_or("NOT CAUGHT"));
        uncaught += usize::from(seeds.is_none());
    }
    ensure!(uncaught == 0, "{uncaught} of the bugs were not caught");
    Ok(())
}

/// All files that belong to the project, and no others.
fn copy_source(root: &Path, copy: &Path) -> anyhow::Result<()> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root).output();
    let listed = String::from_utf8(listed.context("starting git")?.stdout)?;
    if copy.exists() {
        fs::remove_dir_all(copy)?;
    }
    for name in listed.split_terminator('\0') {
        let (from, to) = (root.join(name), copy.join(name));
        if let Some(dir) = to.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::copy(&from, to).with_context(|| name.to_owned())?;
    }
    Ok(())
}

/// Does something while the bug is there.
fn with_mutation<T>(
    copy: &Path,
    mutation: &Mutation,
    run: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let path = copy.join(mutation.file);
    let text = fs::read_to_string(&path)?;
    let (what, count) = (mutation.what, text.matches(mutation.from).count());
    ensure!(count == 1, "{what}: the place is there {count} times in {}", mutation.file);
    fs::write(&path, text.replace(mutation.from, mutation.to))?;
    let outcome = run();
    fs::write(&path, text)?;
    outcome
}

fn test(root: &Path, copy: &Path, args: &[&str]) -> anyhow::Result<std::process::Output> {
    Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .arg("test")
        .args(args)
        .env("LEFTFOLD_SEEDS", SEEDS.to_string())
        .env("RUST_BACKTRACE", "0")
        .env("CARGO_TARGET_DIR", root.join("target/mutations/build"))
        .current_dir(copy)
        .output()
        .context("starting cargo")
}

fn caught_by(name: &str, root: &Path, copy: &Path) -> anyhow::Result<Option<String>> {
    let output = test(root, copy, &["--package", "leftfold-log", "--test", "it", name])?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(text.contains("running 1 test"), "there is no test {name}:\n{text}");
    Ok((!output.status.success()).then(|| format!("caught by {name}")))
}

/// Runs the simulation; how many seeds it took, about: two threads go through half of them each.
fn seeds_until_caught(root: &Path, copy: &Path) -> anyhow::Result<Option<String>> {
    let simulation =
        ["--package", "leftfold-store", "--test", "it", "--", SIMULATION, "--nocapture"];
    let output = test(root, copy, &simulation)?;
    if output.status.success() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let failed = text.lines().filter_map(|line| {
        let (seed, _) = line.strip_prefix("seed ")?.split_once(' ')?;
        seed.parse::<u64>().ok()
    });
    let half = SEEDS / 2;
    match failed.map(|seed| 2 * (seed % half) + 1).min() {
        Some(seeds) => Ok(Some(format!("caught after {seeds} seeds"))),
        None => bail!("the simulation did not run:\n{text}"),
    }
}
