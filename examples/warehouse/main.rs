//! Islands with stock that send each other messages (S14).

use std::io::stdout;

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    leftfold_examples::warehouse::story(dir.path(), &mut stdout())
}
