use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Far more than it takes to start a server.
const STARTED_WITHIN: Duration = Duration::from_secs(60);

/// The binary under test: the one that `LEFTFOLD_BIN` names, or the one that was built with the tests.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("LEFTFOLD_BIN").unwrap_or(env!("CARGO_BIN_EXE_leftfold").into()).into()
}

pub(crate) fn command(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(binary());
    // A few commands have no store.
    if !matches!(args, ["demo" | "cert" | "completions" | "mapping", ..]) {
        command.arg("--data").arg(data);
    }
    command.args(args).stdin(Stdio::null());
    command
}

pub(crate) fn run(data: &Path, args: &[&str]) -> Output {
    command(data, args).output().unwrap()
}

/// Runs a command that must succeed; gives what it printed.
pub(crate) fn stdout(data: &Path, args: &[&str]) -> String {
    let output = run(data, args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {} {errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that must fail; gives what it complained of.
pub(crate) fn stderr(data: &Path, args: &[&str]) -> String {
    let output = run(data, args);
    assert_eq!(output.status.code(), Some(1), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Runs a command whose command line must be refused; gives what it complained of.
pub(crate) fn usage_error(data: &Path, args: &[&str]) -> String {
    let output = run(data, args);
    let words = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {words}");
    words
}

/// Runs a command with an input; it must succeed; gives what it printed.
pub(crate) fn stdout_of_input(data: &Path, args: &[&str], input: &str) -> String {
    let mut command = command(data, args);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {} {errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// A process that is killed, without warning, when it is dropped.
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Starts a server on an address; port 0 takes a free one. Gives it and its address.
pub(crate) fn serve(data: &Path, address: &str) -> (Killed, String) {
    serve_as(data, address, |_| {})
}

/// Starts a server whose command is changed first.
pub(crate) fn serve_as(data: &Path, address: &str, set: impl Fn(&mut Command)) -> (Killed, String) {
    let started = Instant::now();
    loop {
        let mut serve = command(data, &["serve", "--listen", address, "--log-level", "error"]);
        set(&mut serve);
        let mut child = Killed(serve.stdout(Stdio::piped()).spawn().unwrap());
        let mut line = String::new();
        BufReader::new(child.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if let Some(url) = line.trim().strip_prefix("listening on http://") {
            return (child, url.to_owned());
        }
        // The port that the killed one had may be free a moment later only.
        assert!(started.elapsed() < STARTED_WITHIN, "the server does not start");
    }
}
