//! Requests that schemathesis makes from the OpenAPI document, valid and invalid ones. They go to a
//! server with an empty store, which must answer each as the document says.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};

use crate::{root, target};

const VERSION: &str = "schemathesis==4.32.5";
/// The number of random requests per operation, in addition to the document's examples and edge
/// cases.
const EXAMPLES: &str = "50";

const NO_PYTHON: &str = "\
schemathesis needs Python 3.10 or newer with its module venv; install it (Debian and Ubuntu: apt-get \
install python3-venv; macOS: brew install python)";
/// Fails if the version is older or a module is missing.
const IS_PYTHON: &str = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";
const NOT_INSTALLED: &str =
    "schemathesis could not be installed from PyPI into target/schemathesis";

fn directory() -> PathBuf {
    target().join("schemathesis")
}

fn tool() -> PathBuf {
    directory().join("bin/schemathesis")
}

fn is_installed() -> bool {
    let mut probe = Command::new(tool());
    probe.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

/// Checks for the tool, or for Python, which can install it.
pub(crate) fn check() -> anyhow::Result<()> {
    let mut python = Command::new("python3");
    python.args(["-c", IS_PYTHON]).stderr(Stdio::null());
    if !is_installed() && !python.status().is_ok_and(|status| status.success()) {
        bail!(NO_PYTHON);
    }
    Ok(())
}

/// Installs the tool if it is missing.
pub(crate) fn prepare() -> anyhow::Result<()> {
    if is_installed() {
        return Ok(());
    }
    let dir = directory();
    let made = Command::new("python3").args(["-m", "venv"]).arg(&dir).status();
    if !made.is_ok_and(|status| status.success()) {
        bail!(NO_PYTHON);
    }
    let mut pip = Command::new(dir.join("bin/pip"));
    let installed = pip.args(["install", "--quiet", VERSION]).status();
    if !installed.is_ok_and(|status| status.success()) {
        bail!(NOT_INSTALLED);
    }
    Ok(())
}

/// A server process that is killed when it is dropped.
struct ServerProcess(Child);

impl Drop for ServerProcess {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Operations whose answers never end, so that they can't be checked.
const ENDLESS: [&str; 3] = ["subscribe", "follow_answer", "follow_answer_of_view"];
/// Operations with which a run could remove its own permissions; then it would test nothing.
const LOCKING_OUT: [&str; 4] = ["remove_user", "remove_group", "remove_member", "remove_grant"];
const CREDENTIALS: &str = "Authorization: Basic YWRtaW46c2NoZW1hdGhlc2lz";

fn serve(binary: &str, data: &Path) -> anyhow::Result<(ServerProcess, String)> {
    _ = std::fs::remove_dir_all(data);
    let mut server = Command::new(binary);
    server.arg("--data").arg(data.join("store"));
    server.args(["serve", "--listen", "127.0.0.1:0", "--backups"]).arg(data.join("backups"));
    // The admin exists from the start, so that a user that the run adds cannot lock it out.
    server.env("LEFTFOLD_ADMIN_PASSWORD", "schemathesis");
    let server = server.args(["--log-level", "error"]).stdout(Stdio::piped()).spawn();
    let mut server = ServerProcess(server.with_context(|| format!("starting {binary}"))?);
    let mut line = String::new();
    let out = server.0.stdout.take().context("the server has no output")?;
    BufReader::new(out).read_line(&mut line)?;
    let base = line.trim().strip_prefix("listening on ").context("the server did not start")?;
    Ok((server, base.to_owned()))
}

fn ask(base: &str, seed: u64, chosen: &[&str]) -> anyhow::Result<()> {
    let mut tool = Command::new(tool());
    tool.env("SCHEMATHESIS_HOOKS", root().join("tests/schemathesis_hooks.py"));
    tool.arg("--config-file").arg(root().join("tests/schemathesis.toml"));
    tool.args(["run", "--max-examples", EXAMPLES, "--seed", &seed.to_string()]);
    // Excluded, because it could change the password of the run itself.
    tool.args(["--exclude-operation-id", "change_password"]);
    tool.args(["--header", CREDENTIALS]).args(chosen);
    let status = tool.arg(format!("{base}/openapi.json")).current_dir(target()).status();
    if !status.context("starting schemathesis")?.success() {
        bail!(
            "the server's answers differ from its OpenAPI document; to repeat the run: \
             cargo xtask schemathesis {seed}"
        );
    }
    Ok(())
}

/// Tests a binary's server: first all operations but those of [`ENDLESS`] and [`LOCKING_OUT`], then the latter on a
/// server of their own.
pub(crate) fn run(binary: &str, seed: u64) -> anyhow::Result<()> {
    let data = target().join("schemathesis-data");
    let (server, base) = serve(binary, &data)?;
    let left_out = ENDLESS.iter().chain(&LOCKING_OUT);
    let chosen: Vec<_> = left_out.flat_map(|id| ["--exclude-operation-id", id]).collect();
    ask(&base, seed, &chosen)?;
    let mut still = Command::new("curl");
    still.args(["--silent", "--fail", "--output", "/dev/null", "--header", CREDENTIALS]);
    let status = still.arg(format!("{base}/v1/users")).status();
    if !status.context("starting curl; install it, as by `apt install curl`")?.success() {
        bail!("the run removed its own permissions: exclude the operation that did so");
    }
    drop(server);
    let (server, base) = serve(binary, &data)?;
    ask(&base, seed, &["--include-tag", "accounts"])?;
    drop(server);
    Ok(std::fs::remove_dir_all(&data)?)
}
