//! Redis for tests: Debian's package.

use leftfold_redis_server::program;

use crate::apt;

/// Checks that Redis is there, or can be installed.
pub(crate) fn check() -> anyhow::Result<()> {
    apt::check(program())
}

/// Installs Redis if it is missing.
pub(crate) fn prepare() -> anyhow::Result<()> {
    if program().is_err() {
        apt::install("redis-server")?;
    }
    program()?;
    Ok(())
}
