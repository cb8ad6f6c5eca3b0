//! The lock files: one of the workspace, and one of each package outside it.

use crate::cargo;

const MANIFESTS: [&str; 3] = ["Cargo.toml", "bench/peers/Cargo.toml", "fuzz/Cargo.toml"];

/// Adds missing packages to the lock files and removes unused ones. Versions do not change.
pub(crate) fn update() -> anyhow::Result<()> {
    each(&[])
}

/// Fails if a lock file is out of date.
pub(crate) fn check() -> anyhow::Result<()> {
    each(&["--locked"])
        .map_err(|error| error.context("a lock file is out of date: run `cargo xtask locks`"))
}

fn each(options: &[&str]) -> anyhow::Result<()> {
    for manifest in MANIFESTS {
        let args = ["update", "--quiet", "--workspace", "--manifest-path", manifest];
        cargo(&[&args[..], options].concat(), &[])?;
    }
    Ok(())
}
