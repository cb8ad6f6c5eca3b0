//! A cart that takes commands in any order.

use std::io::stdout;

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    leftfold_example_cart::story(dir.path(), &mut stdout())
}
