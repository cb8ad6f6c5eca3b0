//! Installs what the clients need, at pinned versions, below `target/clients/`.
//!
//! Each tool has a directory with a file `pins`, which holds the text of all that was installed. An
//! installation whose pins are equal is left alone; another one is made anew. Only Debian's `kcat` is the
//! system's.

mod steps;

pub use steps::interpreter;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;

/// What a client runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// Python with confluent-kafka, kafka-python and aiokafka.
    Python,
    /// Node.js with kafkajs.
    Node,
    /// The program in Go with franz-go.
    Go,
    /// Debian's kcat.
    Kcat,
    /// Kafka's own tools.
    Java,
    /// Python with Spark and its source for Kafka, for the long tests.
    Spark,
}

/// Returns the directory of all installations.
pub fn directory() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| here().join("../../target"));
    // The clients run in directories of their own.
    std::path::absolute(&target).unwrap_or(target).join("clients")
}

/// Returns the directory with the programs.
pub fn here() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

impl Tool {
    /// The tools of the tests that run in CI.
    pub const USUAL: [Tool; 5] = [Tool::Python, Tool::Node, Tool::Go, Tool::Kcat, Tool::Java];

    /// Returns its name, which is that of its directory.
    pub fn name(self) -> &'static str {
        match self {
            Tool::Python => "python",
            Tool::Node => "node",
            Tool::Go => "go",
            Tool::Kcat => "kcat",
            Tool::Java => "java",
            Tool::Spark => "spark",
        }
    }

    /// Returns the directory of its installation.
    pub fn directory(self) -> PathBuf {
        directory().join(self.name())
    }

    /// Installs all of [`Tool::USUAL`] at once; returns how long each took.
    ///
    /// # Errors
    /// The message says what failed and what to install by hand.
    pub fn prepare_usual() -> anyhow::Result<Vec<(Tool, Duration)>> {
        std::thread::scope(|threads| {
            let all = Tool::USUAL.map(|tool| (tool, threads.spawn(move || tool.prepare())));
            let died = |_| Err(anyhow::anyhow!("an installation panicked"));
            all.into_iter()
                .map(|(tool, thread)| Ok((tool, thread.join().unwrap_or_else(died)?)))
                .collect()
        })
    }

    /// Checks that its installation can begin: that Python, Node.js, Go or Java are there. Fetches nothing.
    ///
    /// # Errors
    /// The message says what to install.
    pub fn check(self) -> anyhow::Result<()> {
        self.is_installed().or_else(|_| steps::check(self))
    }

    /// Installs it, unless it is there; returns how long that took.
    ///
    /// # Errors
    /// The message says what failed and what to install by hand.
    pub fn prepare(self) -> anyhow::Result<Duration> {
        let started = Instant::now();
        fs::create_dir_all(directory()).context("creating target/clients")?;
        // Several test programs may start at once; one of them installs.
        let lock = directory().join(format!("{}.lock", self.name()));
        let _lock = File::create(&lock).and_then(|file| file.lock().map(|()| file));
        if self.is_installed().is_err() {
            let place = self.directory();
            if place.exists() {
                fs::remove_dir_all(&place)
                    .with_context(|| format!("removing {}", place.display()))?;
            }
            fs::create_dir_all(&place).with_context(|| format!("creating {}", place.display()))?;
            steps::check(self)?;
            steps::install(self, &place)?;
            fs::write(place.join("pins"), steps::pins(self)?).context("writing the pins")?;
        }
        Ok(started.elapsed())
    }

    fn is_installed(self) -> anyhow::Result<()> {
        let found = fs::read(self.directory().join("pins"))?;
        anyhow::ensure!(found == steps::pins(self)?, "other versions are installed");
        Ok(())
    }
}

/// Runs a step of an installation; its failure ends in a sentence that says what to do.
///
/// # Errors
/// The command can't be started, or fails; the message ends with the advice.
pub fn run(command: &mut Command, advice: &str) -> anyhow::Result<()> {
    let shown = format!("{command:?}");
    let output = command.output().with_context(|| format!("{shown} can't be started: {advice}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().collect();
    let last = lines.get(lines.len().saturating_sub(12)..).unwrap_or_default().join("\n");
    anyhow::bail!("{shown} ended with {}: {advice}; its last lines:\n{last}", output.status)
}
