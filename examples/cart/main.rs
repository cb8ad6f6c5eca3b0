//! A cart that accepts commands in any order.

use std::io::stdout;

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    leftfold_examples::cart::story(dir.path(), &mut stdout())
}
