//! A client's process: its lines are read as they come, and waiting is bounded.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempPath;

use crate::event::Event;

/// The longest line; a longer one is cut.
const LINE: u64 = 1 << 20;
/// The most events of a program: enough for the long tests.
const EVENTS: usize = 2_000_000;
/// How many of the other lines are kept, to be shown if the program fails.
const TAIL: usize = 40;

/// Which of its outputs a line of a program comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Errors,
}

/// A temporary file with what a program reads; it is there until the program ends.
#[derive(Debug)]
pub(crate) struct Input {
    path: TempPath,
    is_standard: bool,
}

impl Input {
    /// The command line names it.
    pub(crate) fn named(path: TempPath) -> Self {
        Input { path, is_standard: false }
    }

    /// It is the standard input.
    pub(crate) fn standard(path: TempPath) -> Self {
        Input { path, is_standard: true }
    }
}

/// Finds the events in a line.
pub(crate) type Parse = fn(Stream, &str) -> Vec<Event>;

/// A running client. Dropping it kills the process.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    output: Arc<Output>,
    _inputs: Vec<Input>,
}

#[derive(Debug, Default)]
struct Output {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    events: Vec<Event>,
    tail: Vec<String>,
    open: usize,
}

impl Program {
    /// Starts a process. The kernel kills it if the thread that starts it ends first.
    pub(crate) fn start(
        name: String,
        command: &Command,
        parse: Parse,
        inputs: Vec<Input>,
    ) -> anyhow::Result<Self> {
        let mut bound = Command::new("setpriv");
        bound.args(["--pdeathsig", "KILL", "--"]);
        bound.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            bound.env(name, value.unwrap_or_default());
        }
        if let Some(directory) = command.get_current_dir() {
            bound.current_dir(directory);
        }
        let stdin = inputs.iter().find(|input| input.is_standard);
        let stdin = stdin.map(|input| File::open(&input.path)).transpose()?;
        let stdin = stdin.map_or(Stdio::null(), Stdio::from);
        bound.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = bound.spawn().with_context(|| format!("starting {bound:?}"))?;
        let output = Arc::new(Output::default());
        output.lock().open = 2;
        if let Some(out) = child.stdout.take() {
            follow(out, Stream::Out, parse, output.clone());
        }
        if let Some(errors) = child.stderr.take() {
            follow(errors, Stream::Errors, parse, output.clone());
        }
        Ok(Program { name, child, output, _inputs: inputs })
    }

    /// Waits until the events so far fulfil a condition.
    ///
    /// # Errors
    /// The program ends before, or the time is over; the message shows what it printed.
    pub fn wait_until(
        &self,
        what: &str,
        patience: Duration,
        mut holds: impl FnMut(&[Event]) -> bool,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        let mut state = self.output.lock();
        while !holds(&state.events) {
            let left = deadline.saturating_duration_since(Instant::now());
            if state.open == 0 || left.is_zero() {
                let why = if state.open == 0 { "it ended" } else { "the time is over" };
                bail!("{}: expected {what}, but {why}; {}", self.name, state.report());
            }
            let waited = self.output.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// Returns the events so far.
    pub fn events(&self) -> Vec<Event> {
        self.output.lock().events.clone()
    }

    /// Waits for the end of the program, which must succeed; returns its events.
    ///
    /// # Errors
    /// It fails or takes too long.
    pub fn finish(self, patience: Duration) -> anyhow::Result<Vec<Event>> {
        let (status, events, report) = self.end(patience)?;
        if !status.success() {
            bail!("{report}");
        }
        Ok(events)
    }

    /// Waits for the end of the program, however it ends; returns its events.
    ///
    /// # Errors
    /// It takes too long.
    pub fn outcome(self, patience: Duration) -> anyhow::Result<Vec<Event>> {
        Ok(self.end(patience)?.1)
    }

    fn end(mut self, patience: Duration) -> anyhow::Result<(ExitStatus, Vec<Event>, String)> {
        let deadline = Instant::now() + patience;
        let mut state = self.output.lock();
        while state.open > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("{} does not end; {}", self.name, state.report());
            }
            let waited = self.output.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let report = state.report();
        let events = std::mem::take(&mut state.events);
        drop(state);
        let status = self.child.wait()?;
        let end = match status.signal() {
            Some(signal) => format!("was ended by signal {signal}"),
            None => format!("ended with {status}"),
        };
        let report = format!("{} {end}; {report}", self.name);
        Ok((status, events, report))
    }

    /// Kills the process at once; returns its events.
    ///
    /// # Errors
    /// Its end can't be waited for.
    pub fn kill(mut self) -> anyhow::Result<Vec<Event>> {
        self.child.kill()?;
        self.outcome(Duration::from_secs(10))
    }

    /// Asks the process to end, by `SIGTERM`.
    ///
    /// # Errors
    /// It has ended.
    pub fn terminate(&self) -> anyhow::Result<()> {
        let id = self.child.id().try_into().ok().and_then(Pid::from_raw);
        let id = id.context("a process without an id")?;
        kill_process(id, Signal::TERM).with_context(|| format!("{} has ended", self.name))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn report(&self) -> String {
        let last = self.events.iter().rev().take(3).rev();
        let last: Vec<_> = last.map(|event| format!("{event:?}")).collect();
        let (count, last, tail) = (self.events.len(), last.join("\n  "), self.tail.join("\n  "));
        format!("{count} events, the last:\n  {last}\nother lines:\n  {tail}")
    }
}

/// Reads lines on a thread of its own until the output is closed.
fn follow(from: impl Read + Send + 'static, stream: Stream, parse: Parse, output: Arc<Output>) {
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while matches!(from.by_ref().take(LINE).read_until(b'\n', &mut line), Ok(1..)) {
            let text = String::from_utf8_lossy(&line);
            let found = parse(stream, text.trim_end());
            let mut state = output.lock();
            match found.is_empty() {
                true => state.keep(text.trim_end()),
                false if state.events.len() < EVENTS => state.events.extend(found),
                false => {}
            }
            drop(state);
            output.changed.notify_all();
            line.clear();
        }
        output.lock().open -= 1;
        output.changed.notify_all();
    });
}

impl State {
    fn keep(&mut self, line: &str) {
        if self.tail.len() == TAIL {
            self.tail.remove(0);
        }
        self.tail.push(line.chars().take(500).collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> Program {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Program::start(
            "sh".to_owned(),
            &command,
            |_, line| Event::parse(line).into_iter().collect(),
            vec![],
        )
        .unwrap()
    }

    #[test]
    fn waits_for_events_and_shows_what_was_printed_if_they_do_not_come() {
        let program = shell("echo '{\"done\": 1}'; exec sleep 60");
        program.wait_until("an event", PATIENCE, |events| events == [Event::Done]).unwrap();
        let late = program.wait_until("two", Duration::from_millis(1), |events| events.len() == 2);
        assert!(late.unwrap_err().to_string().contains("expected two, but the time is over"));
        assert_eq!(program.kill().unwrap(), [Event::Done]);
    }

    #[test]
    fn a_program_that_fails_is_reported_with_its_errors() {
        let failed = shell("echo broken >&2; exit 3").finish(PATIENCE).unwrap_err().to_string();
        assert!(failed.contains("exit status: 3") && failed.contains("broken"), "{failed}");
    }

    #[test]
    fn a_program_gets_sigterm() {
        let program = shell(
            "trap 'echo \"{\\\"closed\\\": true}\"; exit 0' TERM; echo '{\"done\": 1}'
            while :; do sleep 0.01; done",
        );
        program.wait_until("its start", PATIENCE, |events| !events.is_empty()).unwrap();
        program.terminate().unwrap();
        assert_eq!(program.finish(PATIENCE).unwrap(), [Event::Done, Event::Closed]);
    }
}
