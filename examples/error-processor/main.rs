//! Parents that come days later, and what is parked (S08).

use std::io::stdout;

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    leftfold_examples::error_processor::story(dir.path(), &mut stdout())
}
