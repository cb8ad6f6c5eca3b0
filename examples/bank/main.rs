//! A bank: accounts, transfers, and two concurrent writers of one account.

use std::io::stdout;

use leftfold_examples::{bank, run};

fn main() -> anyhow::Result<()> {
    run("bank", "stream:account-0", |dir| bank::story(dir, &mut stdout()))
}
