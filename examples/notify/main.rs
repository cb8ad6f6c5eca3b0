//! Customers are notified over HTTP, at least once and at most once (S17).

use std::io::stdout;

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    leftfold_examples::notify::story(dir.path(), &mut stdout())
}
