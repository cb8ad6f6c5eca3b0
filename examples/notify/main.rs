//! Customers are notified over HTTP, at least once and at most once (S17).

use std::io::stdout;

use leftfold_examples::{notify, run};

fn main() -> anyhow::Result<()> {
    run("notify", "stream:leftfold.parked-texts", |dir| notify::story(dir, &mut stdout()))
}
