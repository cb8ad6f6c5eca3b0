//! A validation service that boots from zero (S07).

use std::io::stdout;

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    leftfold_example_products::story(dir.path(), &mut stdout())
}
