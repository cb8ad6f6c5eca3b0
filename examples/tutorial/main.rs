//! Runs `docs/tutorial.md`.

use std::sync::Arc;

use leftfold::{Embedded, Options};

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let store = Arc::new(Embedded::open(dir.path(), Options::default())?);
    let steps = pollster::block_on(leftfold_examples::tutorial::run(store))?;
    println!("all {steps} steps of the tutorial hold");
    Ok(())
}
