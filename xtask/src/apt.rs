//! Packages of Debian for tests, installed where this account may.

use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// Checks that a program is there, or can be installed.
pub(crate) fn check<T, E: Into<anyhow::Error>>(found: Result<T, E>) -> anyhow::Result<()> {
    match found {
        Ok(_) => Ok(()),
        Err(_) if can_install() => Ok(()),
        Err(missing) => Err(missing.into()),
    }
}

/// Installs a package.
pub(crate) fn install(package: &str) -> anyhow::Result<()> {
    println!("installing {package} from Debian's packages");
    apt_get(package, &["update"])?;
    apt_get(package, &["install", "--yes", "--no-install-recommends", package])
}

/// Whether this account may install packages: only root may.
fn can_install() -> bool {
    let mut id = Command::new("id");
    let is_root = id.arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    let mut apt = Command::new("apt-get");
    is_root && apt.arg("--version").stdout(Stdio::null()).status().is_ok()
}

fn apt_get(package: &str, args: &[&str]) -> anyhow::Result<()> {
    let mut apt = Command::new("apt-get");
    apt.arg("--quiet=2").args(args).env("DEBIAN_FRONTEND", "noninteractive");
    let status = apt.status().context("starting apt-get")?;
    if !status.success() {
        bail!("apt-get {} failed; install the package {package} by hand", args.join(" "));
    }
    Ok(())
}
