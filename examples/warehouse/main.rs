//! Islands with stock that send each other messages (S14).

use std::io::stdout;

use leftfold_examples::{run, warehouse};

fn main() -> anyhow::Result<()> {
    run("warehouse", "stream:island-south", |dir| warehouse::story(dir, &mut stdout()))
}
