//! Runs `docs/tutorial.md`.

use std::sync::Arc;

use leftfold::{Embedded, Options};
use leftfold_examples::{run, tutorial};

fn main() -> anyhow::Result<()> {
    run("tutorial", "*", |dir| {
        let store = Arc::new(Embedded::open(dir, Options::default())?);
        let steps = tokio::runtime::Runtime::new()?.block_on(tutorial::run(store))?;
        println!("all {steps} steps of the tutorial hold");
        Ok(())
    })
}
