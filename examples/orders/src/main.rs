//! Orders pass three services, and a caller awaits the outcome (S12).

use std::io::stdout;

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    leftfold_example_orders::story(dir.path(), &mut stdout())
}
