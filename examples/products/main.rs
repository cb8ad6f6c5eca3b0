//! A validation service that starts without local state (S07).

use std::io::stdout;

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    leftfold_examples::products::story(dir.path(), &mut stdout())
}
