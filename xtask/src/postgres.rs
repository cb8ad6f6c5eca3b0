//! PostgreSQL for tests: Debian's package.

use leftfold_postgres_server::programs;

use crate::apt;

/// Checks that PostgreSQL is there, or can be installed.
pub(crate) fn check() -> anyhow::Result<()> {
    apt::check(programs())
}

/// Installs PostgreSQL if it is missing.
pub(crate) fn prepare() -> anyhow::Result<()> {
    if programs().is_err() {
        apt::install("postgresql")?;
    }
    programs()?;
    Ok(())
}
