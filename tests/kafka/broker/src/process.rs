//! One Java process: how it is started, signalled, and made to end with its parent.
//!
//! A test program may be killed at any moment, and its brokers must not stay behind. So a small shell
//! stands between: it holds the reading end of a pipe whose other end only the test program has, and
//! kills Java when that pipe closes, however the program ended.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::BrokerError;

/// Descriptor 3 is the pipe; Java must not have it. Java's own number is the only line printed.
const LEASH: &str = r#"
exec 3<&0
"$@" </dev/null >>"$LEFTFOLD_LOG" 2>&1 3<&- &
java=$!
echo "$java"
exec >/dev/null
( read -r _ <&3; kill -9 "$java" ) 2>/dev/null &
leash=$!
wait "$java"
code=$?
kill "$leash" 2>/dev/null
exit "$code"
"#;

/// How long a node lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// Until this process ends.
    WithParent,
    /// Until it is taken down.
    Detached,
}

/// A running Java.
#[derive(Debug)]
pub(crate) struct Process {
    /// The shell, or Java itself if it is detached.
    child: Child,
    java: Pid,
    _leash: Option<ChildStdin>,
}

impl Process {
    /// Starts it, its output going to the end of `log`.
    pub(crate) fn start(
        java: &[String],
        log: &Path,
        lifetime: Lifetime,
    ) -> Result<Self, BrokerError> {
        let started = match lifetime {
            Lifetime::WithParent => Self::leashed(java, log),
            Lifetime::Detached => Self::detached(java, log),
        };
        started.map_err(BrokerError::io("starting a broker"))
    }

    fn leashed(java: &[String], log: &Path) -> std::io::Result<Self> {
        let mut shell = Command::new("sh");
        shell.args(["-c", LEASH, "leash"]).args(java).env("LEFTFOLD_LOG", log);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = shell.spawn()?;
        let leash = child.stdin.take();
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        Ok(Process { child, java: pid(&line)?, _leash: leash })
    }

    fn detached(java: &[String], log: &Path) -> std::io::Result<Self> {
        use std::os::unix::process::CommandExt;
        let log = File::options().create(true).append(true).open(log)?;
        let (program, arguments) = java.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.process_group(0).spawn()?;
        let java = pid(&child.id().to_string())?;
        Ok(Process { child, java, _leash: None })
    }

    pub(crate) fn number(&self) -> i32 {
        self.java.as_raw_nonzero().get()
    }

    /// What it ended with, if it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<(), BrokerError> {
        let sent = kill_process(self.java, signal).map_err(std::io::Error::from);
        sent.map_err(BrokerError::io("signalling a broker"))
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) fn kill(mut self) -> Result<(), BrokerError> {
        if self.ended().is_none() {
            self.signal(Signal::KILL)?;
            self.child.wait().map_err(BrokerError::io("waiting for a broker to end"))?;
        }
        Ok(())
    }
}

fn pid(text: &str) -> std::io::Result<Pid> {
    let number = text.trim().parse().ok().and_then(Pid::from_raw);
    number.ok_or_else(|| std::io::Error::other("no process was started"))
}

/// Where a node's process number is noted.
pub(crate) fn note(node: &Path) -> PathBuf {
    node.join("pid")
}

/// The process that runs in this node's directory, if it still does. Numbers are used again, so its
/// command line must name the directory.
pub(crate) fn running_in(node: &Path) -> Option<Pid> {
    let number = pid(&fs::read_to_string(note(node)).ok()?).ok()?;
    let raw = number.as_raw_nonzero().to_string();
    let output = Command::new("ps").args(["-o", "command=", "-p", &raw]).output();
    let command = match output {
        Ok(output) => output.stdout,
        // A small system may have no `ps`.
        Err(_) => fs::read(format!("/proc/{raw}/cmdline")).ok()?,
    };
    let directory = node.to_string_lossy().into_owned();
    String::from_utf8_lossy(&command).contains(&directory).then_some(number)
}

/// Kills what an earlier process left running in this node's directory.
pub(crate) fn end_stale(node: &Path) {
    if let Some(stale) = running_in(node) {
        // It may have ended in this moment.
        _ = kill_process(stale, Signal::KILL);
    }
}
