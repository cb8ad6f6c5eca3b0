//! A validation service that starts without local state (S07).

use std::io::stdout;

use leftfold_examples::{products, run};

fn main() -> anyhow::Result<()> {
    run("products", "category:product", |dir| products::story(dir, &mut stdout()))
}
