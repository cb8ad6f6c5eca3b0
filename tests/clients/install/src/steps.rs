//! The steps of each installation, what they need, and what they pin.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use super::{Tool, here, run};

const NO_PYTHON: &str = "\
    the Python clients of Kafka need Python 3.10 or newer with its module venv; install it (Debian and \
    Ubuntu: apt-get install python3-venv; macOS: brew install python)";
const NO_NODE: &str = "\
    kafkajs needs Node.js 18 or newer with npm; install it (Debian and Ubuntu: apt-get install npm; \
    macOS: brew install node)";
const NO_GO: &str =
    "franz-go needs Go 1.26 or newer; install it (go.dev/dl; macOS: brew install go)";
const NO_KCAT: &str = "\
    kcat is missing; install it (Debian and Ubuntu: apt-get install kcat; macOS: brew install kcat)";
const NO_MAVEN: &str = "\
    Kafka's tools need Java 17 and Maven; install them (Debian and Ubuntu: apt-get install \
    openjdk-17-jre-headless maven; macOS: brew install openjdk maven)";

/// Fails if Python is older or a module is missing.
const IS_PYTHON: &str = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";
const IS_NODE: &str = "process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)";

/// Checks what an installation needs.
pub(super) fn check(tool: Tool) -> anyhow::Result<()> {
    match tool {
        Tool::Python => can_run(&["python3", "-c", IS_PYTHON], NO_PYTHON),
        Tool::Node => can_run(&["node", "-e", IS_NODE], NO_NODE)
            .and_then(|()| can_run(&["npm", "--version"], NO_NODE)),
        Tool::Go => can_run(&["go", "version"], NO_GO),
        Tool::Kcat => can_run(&["kcat", "-V"], NO_KCAT)
            .or_else(|missing| if can_apt_get() { Ok(()) } else { Err(missing) }),
        Tool::Java => can_run(&["java", "-version"], NO_MAVEN)
            .and_then(|()| can_run(&["mvn", "--version"], NO_MAVEN)),
        Tool::Spark => check(Tool::Python).and_then(|()| check(Tool::Java)),
    }
}

/// Returns the text of all that an installation depends on.
pub(super) fn pins(tool: Tool) -> anyhow::Result<Vec<u8>> {
    let files: &[&str] = match tool {
        Tool::Python => &["python/requirements.txt"],
        Tool::Node => &["node/package.json", "node/package-lock.json"],
        Tool::Go => &["go"],
        Tool::Kcat => return Ok(b"Debian's".to_vec()),
        Tool::Java => &["java/pom.xml"],
        Tool::Spark => &["spark/requirements.txt", "spark/pom.xml"],
    };
    let mut text = here().to_string_lossy().into_owned().into_bytes();
    for file in files {
        let mut all = vec![here().join(file)];
        if all.iter().all(|path| path.is_dir()) {
            let entries = fs::read_dir(here().join(file))?;
            all = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
            all.sort();
        }
        for path in all {
            let read = fs::read(&path).with_context(|| format!("reading {}", path.display()));
            text.extend_from_slice(&read?);
        }
    }
    Ok(text)
}

/// Installs a tool into an empty directory.
pub(super) fn install(tool: Tool, place: &Path) -> anyhow::Result<()> {
    match tool {
        Tool::Python => python(place, &here().join("python/requirements.txt")),
        Tool::Node => node(place),
        Tool::Go => go(place),
        Tool::Kcat => kcat(),
        Tool::Java => maven(place, &here().join("java/pom.xml")),
        Tool::Spark => python(place, &here().join("spark/requirements.txt"))
            .and_then(|()| maven(place, &here().join("spark/pom.xml"))),
    }
}

fn python(place: &Path, requirements: &Path) -> anyhow::Result<()> {
    let environment = place.join("venv");
    run(Command::new("python3").args(["-m", "venv"]).arg(&environment), NO_PYTHON)?;
    let mut pip = Command::new(environment.join("bin/pip"));
    pip.args(["install", "--quiet", "--no-deps", "--prefer-binary", "--requirement"]);
    // PyPI has Spark as a source only, in which its jars are.
    run(pip.arg(requirements), "the Python clients of Kafka can't be installed from PyPI")
}

fn node(place: &Path) -> anyhow::Result<()> {
    for name in ["package.json", "package-lock.json", ".npmrc"] {
        let from = here().join("node").join(name);
        fs::copy(&from, place.join(name)).with_context(|| format!("copying {}", from.display()))?;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(place);
    run(&mut npm, "kafkajs can't be installed from the npm registry")
}

fn go(place: &Path) -> anyhow::Result<()> {
    let mut go = Command::new("go");
    go.args(["build", "-o"]).arg(place.join("client")).arg(".");
    // Another version of Go is not fetched without a word.
    go.env("GOTOOLCHAIN", "local").current_dir(here().join("go"));
    run(&mut go, NO_GO)
}

fn kcat() -> anyhow::Result<()> {
    if can_run(&["kcat", "-V"], NO_KCAT).is_ok() {
        return Ok(());
    }
    run(apt_get().arg("update"), NO_KCAT)?;
    run(apt_get().args(["install", "--yes", "--no-install-recommends", "kcat"]), NO_KCAT)
}

/// Copies the jars of a `pom.xml`, and all that they depend on, to `jars/`.
fn maven(place: &Path, pom: &Path) -> anyhow::Result<()> {
    fs::copy(pom, place.join("pom.xml")).with_context(|| format!("copying {}", pom.display()))?;
    let mut maven = Command::new("mvn");
    maven.args(["--batch-mode", "--no-transfer-progress", "--strict-checksums", "--quiet"]);
    maven.args(["dependency:copy-dependencies", "-DincludeScope=runtime"]);
    maven.arg("-DoutputDirectory=jars").current_dir(place);
    run(&mut maven, "the jars can't be fetched from Maven Central")
}

/// Returns the program of Python with the libraries.
pub fn interpreter(tool: Tool) -> PathBuf {
    tool.directory().join("venv/bin/python")
}

fn can_run(words: &[&str], advice: &str) -> anyhow::Result<()> {
    let (program, arguments) = words.split_first().context("no program")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        _ => bail!("{advice}"),
    }
}

/// Whether this account may install Debian's packages: only root may.
fn can_apt_get() -> bool {
    rustix::process::geteuid().is_root() && can_run(&["apt-get", "--version"], NO_KCAT).is_ok()
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.arg("--quiet=2").env("DEBIAN_FRONTEND", "noninteractive");
    command
}
