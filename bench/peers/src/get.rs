//! Gets the systems from their own registries, with those registries' clients, into the cache
//! directory. Existing ones are kept. A system that cannot be had is left out, with a message that
//! says what would help.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

pub(crate) const UMADB: &str = "0.7.8";
pub(crate) const SIERRADB: &str = "0.3.1";
pub(crate) const NATS: &str = "v2.15.2";
pub(crate) const MESSAGE_DB: &str = "1.3.1";
const POSTGRES: &str = "/usr/lib/postgresql";

/// Returns the directory of PostgreSQL's programs.
pub(crate) fn postgres_bin() -> anyhow::Result<PathBuf> {
    let installed = std::fs::read_dir(POSTGRES).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = installed.map(|entry| entry.path().join("bin")).collect();
    found.retain(|bin| bin.join("initdb").exists());
    // Use the version of the tables if there are several, otherwise the newest.
    found.sort();
    let best = found.iter().find(|bin| bin.starts_with("/usr/lib/postgresql/15"));
    best.or(found.last()).cloned().with_context(|| {
        format!("there is no PostgreSQL in {POSTGRES}: install Debian's package postgresql-15")
    })
}

/// Returns UmaDB's server, from its Python package.
pub(crate) fn umadb(cache: &Path) -> anyhow::Result<PathBuf> {
    let home = cache.join("umadb");
    let program = home.join("bin/umadb");
    if !program.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&home))
            .context("UmaDB's server is a Python package: install python3 with venv")?;
        let pip = &mut Command::new(home.join("bin/pip"));
        run(pip.args(["install", "--quiet", &format!("umadb=={UMADB}")]))
            .context("UmaDB's server comes from the Python package index, by pip")?;
    }
    Ok(program)
}

/// Returns SierraDB's server, built from its crate.
pub(crate) fn sierradb(cache: &Path) -> anyhow::Result<PathBuf> {
    let home = cache.join("sierradb");
    let program = home.join("bin/sierradb");
    if !program.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
        let command = &mut Command::new(cargo);
        command.args(["install", "--locked", "sierradb-server", "--version", SIERRADB, "--root"]);
        command.arg(&home).env("CARGO_TARGET_DIR", cache.join("build-sierradb"));
        run(command).context("SierraDB's server is built from crates.io, by cargo")?;
    }
    Ok(program)
}

/// Returns the NATS server, built from its module.
pub(crate) fn nats(cache: &Path) -> anyhow::Result<PathBuf> {
    let bin = std::path::absolute(cache.join("nats"))?;
    let program = bin.join("nats-server");
    if !program.exists() {
        let command = &mut Command::new("go");
        command.args(["install", &format!("github.com/nats-io/nats-server/v2@{NATS}")]);
        run(command.env("GOBIN", &bin))
            .context("the NATS server is built from the Go module proxy: install Go")?;
    }
    Ok(program)
}

/// Returns the directory of message-db's SQL, from its npm package.
pub(crate) fn message_db(cache: &Path) -> anyhow::Result<PathBuf> {
    let home = cache.join("message-db");
    let sql = home.join("package/database");
    if !sql.exists() {
        std::fs::create_dir_all(&home)?;
        let npm = &mut Command::new("npm");
        npm.args(["pack", "--silent", &format!("@eventide/message-db@{MESSAGE_DB}")]);
        run(npm.current_dir(&home))
            .context("message-db's SQL comes from the npm registry: install npm")?;
        let archive = format!("eventide-message-db-{MESSAGE_DB}.tgz");
        run(Command::new("tar").args(["xzf", &archive]).current_dir(&home))?;
    }
    Ok(sql)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let shown = format!("{command:?}");
    eprintln!("{shown}");
    // Its output goes to the terminal, but never between the lines of a table.
    let status = command.stdout(std::io::stderr()).status().with_context(|| shown.clone())?;
    if !status.success() {
        bail!("{shown} ended with {status}");
    }
    Ok(())
}

/// Returns what a program prints as its version.
pub(crate) fn version(program: &Path) -> String {
    let output = Command::new(program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_else(|_| "?".to_owned())
}
