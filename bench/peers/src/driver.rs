//! Runs the benchmark: gets the systems, loads each, and gives them turns, in another order each
//! round.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::process;
use crate::roster::Name;
use crate::syncs::SyncCounts;
use crate::system::Disk;
use crate::turn::{Figure, Line};
use crate::work::{Scale, Work};

/// The longest turn and the longest load. A system that takes longer is killed, and its row says
/// so.
const MAX_TURN: Duration = Duration::from_secs(120);
const MAX_LOAD: Duration = Duration::from_secs(600);
const QUIET: Duration = Duration::from_secs(2);

/// The parameters of a run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) cache: PathBuf,
    pub(crate) names: Vec<Name>,
    pub(crate) rounds: u64,
    pub(crate) quick: bool,
}

/// The results of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct RunResults {
    pub(crate) rounds: u64,
    pub(crate) minutes: f64,
    pub(crate) scale: Option<Scale>,
    /// Turns that began while the processors were busy.
    pub(crate) busy: Vec<String>,
    pub(crate) systems: Vec<(Name, SystemResults)>,
}

/// The results of one system.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SystemResults {
    pub(crate) version: String,
    /// Why it does not take part, or only partly.
    pub(crate) failures: Vec<String>,
    pub(crate) load: Option<(u64, f64, Disk)>,
    pub(crate) rounds: Vec<Round>,
    pub(crate) syncs: Option<SyncCounts>,
}

/// A system's results in one round.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Round {
    pub(crate) control: Vec<f64>,
    pub(crate) figures: Vec<(Work, Figure)>,
    pub(crate) memory: Option<u64>,
}

impl RunResults {
    pub(crate) fn of(&self, name: Name) -> Option<&SystemResults> {
        self.systems.iter().find(|(one, _)| *one == name).map(|(_, of)| of)
    }
}

impl Plan {
    fn scale(&self) -> Scale {
        if self.quick { Scale::QUICK } else { Scale::FULL }
    }

    fn run_dir(&self) -> PathBuf {
        self.cache.join("run")
    }

    /// Gets and loads the systems, measures them, and counts their syncs.
    pub(crate) fn run(&self) -> anyhow::Result<RunResults> {
        let mut found = self.begin()?;
        let started = Instant::now();
        for (name, of) in &mut found.systems {
            if of.failures.is_empty() && *name != Name::Bare {
                self.load(*name, of);
            }
        }
        for round in 0..self.rounds {
            for at in order(round, found.systems.len()) {
                let Some((name, of)) = found.systems.get_mut(at) else { continue };
                if of.failures.iter().any(|why| why.starts_with(EXCLUDED)) {
                    continue;
                }
                // A quick run measures nothing, so it does not wait.
                if !self.quick && !process::wait_for_idle(QUIET) {
                    found.busy.push(format!("round {}, {}", round + 1, name.file()));
                }
                self.turn(*name, of, round);
            }
        }
        found.rounds = self.rounds;
        found.scale = Some(self.scale());
        self.count(&mut found);
        found.minutes = started.elapsed().as_secs_f64() / 60.0;
        if found.systems.iter().all(|(_, of)| of.failures.is_empty()) {
            fs::remove_dir_all(self.run_dir())?;
        }
        Ok(found)
    }

    /// Only counts syncs.
    pub(crate) fn count_only(&self) -> anyhow::Result<RunResults> {
        let mut found = self.begin()?;
        self.count(&mut found);
        Ok(found)
    }

    /// Empties the run's directory and gets the systems.
    fn begin(&self) -> anyhow::Result<RunResults> {
        let run = self.run_dir();
        if run.exists() {
            fs::remove_dir_all(&run).with_context(|| format!("removing {}", run.display()))?;
        }
        fs::create_dir_all(&run)?;
        let mut found = RunResults::default();
        for name in &self.names {
            let mut of = SystemResults::default();
            match name.install(&self.cache) {
                Ok(version) => of.version = version,
                Err(error) => of.fail(format!("{OUT}: {error:#}"), *name),
            }
            found.systems.push((*name, of));
        }
        Ok(found)
    }

    fn load(&self, name: Name, of: &mut SystemResults) {
        let done = self.child("load", name, 0, |line| {
            if let Line::Loaded { events, seconds, disk } = line {
                eprintln!("{}: {events} events loaded in {seconds:.1} s", name.file());
                of.load = Some((events, seconds, disk));
            }
        });
        if let Err(error) = done {
            of.fail(format!("{OUT}: loading failed: {error:#}"), name);
        }
    }

    fn turn(&self, name: Name, of: &mut SystemResults, round: u64) {
        let (started, mut now) = (Instant::now(), Round::default());
        let mut failures = Vec::new();
        let done = self.child("turn", name, round, |line| match line {
            Line::Control { rate } => now.control.push(rate),
            Line::Done { work, figure } => now.figures.push((work, figure)),
            Line::Failed { work, why } => failures.push(format!("{work:?}: {why}")),
            Line::Memory { bytes } => now.memory = now.memory.max(Some(bytes)),
            Line::Loaded { .. } | Line::Syncs(_) => {}
        });
        let seconds = started.elapsed().as_secs_f64();
        eprintln!("round {}: {} took {seconds:.1} s", round + 1, name.file());
        failures.into_iter().for_each(|why| of.fail(why, name));
        if let Err(error) = done {
            of.fail(format!("round {}: {error:#}", round + 1), name);
        }
        of.rounds.push(now);
    }

    fn count(&self, found: &mut RunResults) {
        for (name, of) in &mut found.systems {
            if of.failures.iter().any(|why| why.starts_with(EXCLUDED)) {
                continue;
            }
            let done = self.child("syncs", *name, 0, |line| {
                if let Line::Syncs(counted) = line {
                    of.syncs = Some(counted);
                }
            });
            match (done, &of.syncs) {
                (Err(error), _) => eprintln!("{}: syncs not counted: {error:#}", name.file()),
                (Ok(()), Some(counted)) => {
                    eprintln!("{}: {:.2} syncs an append", name.file(), counted.per_append());
                }
                (Ok(()), None) => {}
            }
        }
    }

    /// Runs this program for one system, and reads each line of JSON that it prints.
    fn child(
        &self,
        task: &str,
        name: Name,
        round: u64,
        mut handle: impl FnMut(Line),
    ) -> anyhow::Result<()> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(task).arg("--cache").arg(&self.cache).arg("--system").arg(name.file());
        command.arg("--round").arg(round.to_string());
        if self.quick {
            command.arg("--quick");
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let out = BufReader::new(child.stdout.take().context("a child without output")?);
        let (send, lines_received) = mpsc::channel();
        std::thread::spawn(move || {
            // Some systems print in this process; lines of other forms are skipped.
            let lines = out.lines().map_while(Result::ok);
            lines.filter_map(|line| serde_json::from_str(&line).ok()).for_each(|line: Line| {
                _ = send.send(line);
            });
        });
        let longest = if task == "load" { MAX_LOAD } else { MAX_TURN };
        let end = Instant::now() + longest;
        loop {
            match lines_received.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => handle(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    kill_family(child.id())?;
                    child.wait()?;
                    bail!("it took longer than {} s and was ended", longest.as_secs());
                }
            }
        }
        let status = child.wait()?;
        if !status.success() {
            bail!("it ended with {status}; its log is in {}", self.run_dir().display());
        }
        Ok(())
    }
}

/// The start of a failure that excludes a system from the run.
const EXCLUDED: &str = "takes no part";

impl SystemResults {
    fn fail(&mut self, why: String, name: Name) {
        eprintln!("{}: {why}", name.file());
        // Remove local paths, because the page of results is published.
        let here = std::env::current_dir().unwrap_or_default();
        let why = why.replace(&format!("{}/", here.display()), "");
        if !self.failures.contains(&why) {
            self.failures.push(why);
        }
    }
}

/// Kills a child and the servers that it has started.
fn kill_family(root: u32) -> anyhow::Result<()> {
    for process in process::family(root)? {
        if let Some(id) = i32::try_from(process).ok().and_then(Pid::from_raw) {
            _ = kill_process(id, Signal::KILL);
        }
    }
    Ok(())
}

/// Returns the order of a round. Each round begins with another system, and every second one is
/// reversed, so that no system always follows the same one.
fn order(round: u64, systems: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..systems).collect();
    if systems > 0 {
        order.rotate_left((round as usize * 2) % systems);
    }
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

/// Saves the results of a run, so that the tables can be made again.
pub(crate) fn save(found: &RunResults, path: &Path) -> anyhow::Result<()> {
    Ok(fs::write(path, serde_json::to_vec_pretty(found)?)?)
}

/// Loads the results of an earlier run, or returns `None`.
pub(crate) fn load_saved(path: &Path) -> Option<RunResults> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_has_all_systems_in_another_order() {
        let rounds: Vec<Vec<usize>> = (0..5).map(|round| order(round, 9)).collect();
        for (n, round) in rounds.iter().enumerate() {
            let mut sorted = round.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..9).collect::<Vec<_>>());
            assert!(rounds.iter().take(n).all(|earlier| earlier != round));
        }
    }
}
