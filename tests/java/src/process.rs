//! Starts, signals and ends one Java process.
//!
//! A test program may be killed at any moment, and its servers must not outlive it. So a small shell
//! script, the watchdog, runs between them. It holds the reading end of a pipe whose other end only
//! the test program has, and kills Java when that pipe closes, however the program ended.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::JavaError;

/// Descriptor 3 is the pipe; Java must not inherit it. The script prints only Java's process id.
const WATCHDOG: &str = r#"
exec 3<&0
"$@" </dev/null >>"$LEFTFOLD_LOG" 2>&1 3<&- &
java=$!
echo "$java"
exec >/dev/null
( read -r _ <&3; kill -9 "$java" ) 2>/dev/null &
watchdog=$!
wait "$java"
code=$?
kill "$watchdog" 2>/dev/null
exit "$code"
"#;

/// The lifetime of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Until this process ends.
    WithParent,
    /// Until it is stopped.
    Detached,
}

/// A running Java process.
#[derive(Debug)]
pub struct Process {
    /// The shell, or Java itself if it is detached.
    child: Child,
    java: Pid,
    _watchdog: Option<ChildStdin>,
}

impl Process {
    /// Starts Java and appends its output to `log`.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start(java: &[String], log: &Path, lifetime: Lifetime) -> Result<Self, JavaError> {
        let started = match lifetime {
            Lifetime::WithParent => Self::watched(java, log),
            Lifetime::Detached => Self::detached(java, log),
        };
        started.map_err(JavaError::io("starting Java"))
    }

    fn watched(java: &[String], log: &Path) -> std::io::Result<Self> {
        let mut shell = Command::new("sh");
        shell.args(["-c", WATCHDOG, "watchdog"]).args(java).env("LEFTFOLD_LOG", log);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = shell.spawn()?;
        let watchdog = child.stdin.take();
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        Ok(Process { child, java: pid(&line)?, _watchdog: watchdog })
    }

    fn detached(java: &[String], log: &Path) -> std::io::Result<Self> {
        use std::os::unix::process::CommandExt;
        let log = File::options().create(true).append(true).open(log)?;
        let (program, arguments) = java.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.process_group(0).spawn()?;
        let java = pid(&child.id().to_string())?;
        Ok(Process { child, java, _watchdog: None })
    }

    /// Returns the process id of Java.
    pub fn number(&self) -> i32 {
        self.java.as_raw_nonzero().get()
    }

    /// Returns the exit status, or `None` if the process runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Sends a signal to Java.
    ///
    /// # Errors
    /// It has ended.
    pub fn signal(&self, signal: Signal) -> Result<(), JavaError> {
        let sent = kill_process(self.java, signal).map_err(std::io::Error::from);
        sent.map_err(JavaError::io("signalling Java"))
    }

    /// Sends `SIGKILL` and waits for the end of the process.
    ///
    /// # Errors
    /// It can't be killed.
    pub fn kill(mut self) -> Result<(), JavaError> {
        if self.ended().is_none() {
            self.signal(Signal::KILL)?;
            self.child.wait().map_err(JavaError::io("waiting for Java to end"))?;
        }
        Ok(())
    }
}

fn pid(text: &str) -> std::io::Result<Pid> {
    let number = text.trim().parse().ok().and_then(Pid::from_raw);
    number.ok_or_else(|| std::io::Error::other("no process was started"))
}

/// Returns the file that holds a node's process id.
pub fn note(node: &Path) -> PathBuf {
    node.join("pid")
}

/// Returns the process that runs in this node's directory, or `None`.
///
/// Process ids are reused, so the command line of the process must name the directory.
pub fn running_in(node: &Path) -> Option<Pid> {
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

/// Kills a process that an earlier test program left running in this node's directory.
pub fn kill_stale(node: &Path) {
    if let Some(stale) = running_in(node) {
        // A failure means that it has just ended.
        _ = kill_process(stale, Signal::KILL);
    }
}
