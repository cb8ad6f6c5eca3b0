//! PostgreSQL for tests: Debian's package, installed where this account may.

use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// Checks that PostgreSQL is there, or can be installed.
pub(crate) fn check() -> anyhow::Result<()> {
    match leftfold_postgres_server::programs() {
        Ok(_) => Ok(()),
        Err(_) if can_install() => Ok(()),
        Err(missing) => Err(missing.into()),
    }
}

/// Installs PostgreSQL if it is missing.
pub(crate) fn prepare() -> anyhow::Result<()> {
    if leftfold_postgres_server::programs().is_err() {
        println!("installing PostgreSQL from Debian's packages");
        apt_get(&["update"])?;
        apt_get(&["install", "--yes", "--no-install-recommends", "postgresql"])?;
    }
    leftfold_postgres_server::programs()?;
    Ok(())
}

/// Whether this account may install packages: only root may.
fn can_install() -> bool {
    let mut id = Command::new("id");
    let is_root = id.arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    let mut apt = Command::new("apt-get");
    is_root && apt.arg("--version").stdout(Stdio::null()).status().is_ok()
}

fn apt_get(args: &[&str]) -> anyhow::Result<()> {
    let mut apt = Command::new("apt-get");
    apt.arg("--quiet=2").args(args).env("DEBIAN_FRONTEND", "noninteractive");
    let status = apt.status().context("starting apt-get")?;
    if !status.success() {
        bail!("apt-get {} failed; install the package postgresql by hand", args.join(" "));
    }
    Ok(())
}
