//! Parents that arrive days later, and parked messages (S08).

use std::io::stdout;

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    leftfold_examples::error_processor::story(dir.path(), &mut stdout())
}
