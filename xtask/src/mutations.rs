//! Plants deliberate bugs, each in a copy of the source: the tests must catch every one.
//!
//! The command prints how many seeds the simulation needs to catch each bug. One bug shows only after
//! a frame of exactly the length of a torn one; the seeds never produce that, so a test does.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::SIMULATION;

/// The most seeds that the simulation may need: CI runs at least this number.
const SEEDS: u64 = 2_000;

struct Mutation {
    what: &'static str,
    file: &'static str,
    /// The text that is replaced. It occurs exactly once in the file.
    from: &'static str,
    to: &'static str,
    by: Detector,
}

/// What must catch a bug.
#[derive(Clone, Copy)]
enum Detector {
    Simulation,
    /// The simulation of nodes on a fake Kafka.
    Cluster,
    /// A test of a package, by name.
    Test {
        package: &'static str,
        name: &'static str,
    },
}

const MUTATIONS: [Mutation; 28] = [
    Mutation {
        what: "skip the sync before the acknowledgement",
        file: "crates/log/src/writer/tail.rs",
        from: "        body.file.sync()?;\n",
        to: "",
        by: Detector::Simulation,
    },
    Mutation {
        what: "drop the marks",
        file: "crates/log/src/writer/turn.rs",
        from: "synced_mark: tail.synced }",
        to: "synced_mark: 0 }",
        by: Detector::Simulation,
    },
    Mutation {
        what: "one off in ordinals",
        file: "crates/index/src/set.rs",
        from: "let ordinal = list.ordinal.map(|first| first + index as u64);",
        to: "let ordinal = list.ordinal.map(|first| first + index as u64 + 1);",
        by: Detector::Simulation,
    },
    Mutation {
        what: "take the fingerprint of an id for the id",
        file: "crates/store/src/embedded/repeat.rs",
        from: "is_of(&stream.name) && stored.id() == event.id {",
        to: "is_of(&stream.name) {",
        by: Detector::Test {
            package: "leftfold-store",
            name: "ids_with_one_fingerprint_are_different_events",
        },
    },
    Mutation {
        what: "merge the ids of a file as if it were the first",
        file: "crates/index/src/file/merge.rs",
        from: "self.builder.id(id, offset + self.shift(input))?;",
        to: "self.builder.id(id, offset + self.shift(input) / 2)?;",
        by: Detector::Simulation,
    },
    Mutation {
        what: "swap a generation before it is written",
        file: "crates/log/src/rewrite.rs",
        from: "        self.file.sync()?;\n",
        to: "",
        by: Detector::Simulation,
    },
    Mutation {
        what: "forget a posting",
        file: "crates/store/src/embedded/admit.rs",
        from: "                facts: &draft.keys[event.keys.clone()],\n",
        to: "                facts: if position % 16 == 7 { &[] } else { &draft.keys[event.keys.clone()] },\n",
        by: Detector::Simulation,
    },
    Mutation {
        what: "do not clear the torn tail",
        file: "crates/log/src/recovery.rs",
        from: "    clear_tail(file, recovered)?;\n",
        to: "",
        by: Detector::Test {
            package: "leftfold-log",
            name: "recovers_from_a_torn_last_frame_and_never_revives_what_came_after_it",
        },
    },
    Mutation {
        what: "scavenge one event too many",
        file: "crates/api/src/retention.rs",
        from: "(last + 1).saturating_sub(count)",
        to: "(last + 2).saturating_sub(count)",
        by: Detector::Simulation,
    },
    Mutation {
        what: "use a cached retention that is out of date",
        file: "crates/store/src/embedded/retention/streams.rs",
        from: "            && known == version\n",
        to: "            && known <= version\n",
        by: Detector::Simulation,
    },
    Mutation {
        what: "skip the sync of the directory of a new segment",
        file: "crates/log/src/create.rs",
        from: "    disk.sync_dir(\"log\")?;\n",
        to: "",
        by: Detector::Simulation,
    },
    Mutation {
        what: "skip the sync of a manifest before its name",
        file: "crates/io/src/disk.rs",
        from: "    file.sync()?;\n",
        to: "",
        by: Detector::Simulation,
    },
    Mutation {
        what: "skip the sync of the name of a manifest",
        file: "crates/io/src/disk.rs",
        from: "    disk.sync_dir(dir).map_err(|error| io::Error::other(error.to_string()))?;\n",
        to: "    _ = dir;\n",
        by: Detector::Simulation,
    },
    Mutation {
        what: "skip the sync of what recovery has written",
        file: "crates/log/src/recovery.rs",
        from: "    file.sync()\n",
        to: "    Ok(())\n",
        by: Detector::Simulation,
    },
    Mutation {
        what: "skip the sync of a footer",
        file: "crates/log/src/seal.rs",
        from: "        body.file.sync()?;\n",
        to: "",
        by: Detector::Simulation,
    },
    Mutation {
        what: "skip the sync of the directory of a generation",
        file: "crates/log/src/rewrite.rs",
        from: "        self.of.disk.sync_dir(\"log\")?;\n",
        to: "",
        by: Detector::Simulation,
    },
    Mutation {
        what: "leave the file of a generation that failed",
        file: "crates/log/src/rewrite.rs",
        from: "            _ = catalog.disk.remove(&new.name());\n",
        to: "",
        by: Detector::Simulation,
    },
    Mutation {
        what: "give up a job that met a full disk",
        file: "crates/store/src/embedded/maintenance/mod.rs",
        from: "            state.queue(lane).push_front(job);\n",
        to: "",
        by: Detector::Simulation,
    },
    Mutation {
        what: "skip the sync of a file of a backup",
        file: "crates/log/src/backup/target.rs",
        from: "        file.sync().map_err(|error| BackupError::io(&dir, name, error))?;\n",
        to: "        _ = (dir, name, file);\n",
        by: Detector::Simulation,
    },
    Mutation {
        what: "list a backup before the names of its files",
        file: "crates/log/src/backup/target.rs",
        from: "            self.disk.sync_dir(dir).map_err(|error| self.failed(dir, error))?;\n",
        to: "            _ = dir;\n",
        by: Detector::Simulation,
    },
    Mutation {
        what: "skip the sync of a restored file",
        file: "crates/log/src/backup/restore.rs",
        from: "        file.sync().map_err(|error| failed(name, error))?;\n",
        to: "",
        by: Detector::Simulation,
    },
    Mutation {
        what: "skip the sync of the directories of a restore",
        file: "crates/log/src/backup/restore.rs",
        from: "    DIRECTORIES.iter().try_for_each(|dir| to.sync_dir(dir).map_err(|error| failed(dir, error)))\n",
        to: "    Ok(())\n",
        by: Detector::Simulation,
    },
    Mutation {
        what: "acknowledge a batch wherever it landed",
        file: "crates/cluster/src/partition/own.rs",
        from: "Ok(landed) if landed == at =>",
        to: "Ok(landed) if landed >= at =>",
        by: Detector::Cluster,
    },
    Mutation {
        what: "take any claim for one's own",
        file: "crates/cluster/src/partition/claim.rs",
        from: "if copy.is_claimed_at(at, term) && copy.next() == at + 1 {",
        to: "if copy.next() >= at + 1 {",
        by: Detector::Cluster,
    },
    Mutation {
        what: "keep what Kafka has not confirmed",
        file: "crates/log/src/recovery.rs",
        from: "if is_copy && marked_end < whole_end && known <= whole_end {",
        to: "if is_copy && whole_end < marked_end {",
        by: Detector::Cluster,
    },
    Mutation {
        what: "read linearizably without a barrier",
        file: "crates/store/src/embedded/replica/mod.rs",
        from: "        finish(self.sequencer.submit(Task::Barrier, 0).await?.outcome().await?)\n",
        to: "        Ok(())\n",
        by: Detector::Cluster,
    },
    Mutation {
        what: "count records behind a gap",
        file: "crates/cluster/src/ledger.rs",
        from: "std::cmp::Ordering::Greater => Verdict::Void(VoidReason::Gap),",
        to: "std::cmp::Ordering::Greater => Verdict::Counts,",
        by: Detector::Cluster,
    },
    Mutation {
        what: "forget the own records after a hand-over",
        file: "crates/cluster/src/partition/own.rs",
        from: "return match copy.pass(claimed.term, written) {",
        to: "return match written < u64::MAX {",
        by: Detector::Cluster,
    },
];

impl Mutation {
    /// Returns the text of the file, in which the text to replace must occur exactly once.
    fn find_in(&self, root: &Path) -> anyhow::Result<String> {
        let Mutation { what, file, from, .. } = self;
        let text = fs::read_to_string(root.join(file)).with_context(|| (*file).to_owned())?;
        let count = text.matches(from).count();
        ensure!(
            count == 1,
            "{what}: {file} should contain the text once, but contains it {count} times; change the \
             mutation to what the source says now: {from:?}"
        );
        Ok(text)
    }
}

pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let copy = root.join("target/mutations/source");
    let mut uncaught = 0;
    copy_source(root, &copy)?;
    for mutation in &MUTATIONS {
        let seeds = with_mutation(&copy, mutation, || match mutation.by {
            Detector::Simulation => seeds_until_caught(root, &copy, "leftfold-store"),
            Detector::Cluster => seeds_until_caught(root, &copy, "leftfold-cluster"),
            Detector::Test { package, name } => caught_by([package, name], root, &copy),
        })?;
        println!("{:<46} {}", mutation.what, seeds.as_deref().unwrap_or("NOT CAUGHT"));
        uncaught += usize::from(seeds.is_none());
    }
    ensure!(uncaught == 0, "{uncaught} of the bugs were not caught");
    Ok(())
}

/// Copies the files that git lists.
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

/// Runs something while the bug is in the copy.
fn with_mutation<T>(
    copy: &Path,
    mutation: &Mutation,
    run: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let path = copy.join(mutation.file);
    let text = mutation.find_in(copy)?;
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

fn caught_by(
    [package, name]: [&str; 2],
    root: &Path,
    copy: &Path,
) -> anyhow::Result<Option<String>> {
    let output = test(root, copy, &["--package", package, "--test", "it", name])?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(text.contains("running 1 test"), "there is no test {name}:\n{text}");
    Ok((!output.status.success()).then(|| format!("caught by {name}")))
}

/// Runs the simulation and returns about how many seeds it took: two threads run one half each, or one all.
fn seeds_until_caught(root: &Path, copy: &Path, package: &str) -> anyhow::Result<Option<String>> {
    let simulation = ["--package", package, "--test", "it", "--", SIMULATION, "--nocapture"];
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutation_finds_the_text_that_it_replaces() {
        for mutation in &MUTATIONS {
            if let Err(error) = mutation.find_in(crate::root()) {
                panic!("{error:#}");
            }
        }
    }
}
