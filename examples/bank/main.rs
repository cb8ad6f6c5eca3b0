//! A bank: accounts, transfers, and two concurrent writers of one account.

use std::io::stdout;

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    leftfold_examples::bank::story(dir.path(), &mut stdout())
}
