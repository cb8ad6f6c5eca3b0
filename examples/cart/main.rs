//! A cart that accepts commands in any order.

use std::io::stdout;

use leftfold_examples::{cart, run};

fn main() -> anyhow::Result<()> {
    run("cart", "category:cart", |dir| cart::story(dir, &mut stdout()))
}
