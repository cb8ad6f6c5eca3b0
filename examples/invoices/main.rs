//! Invoices: commands are accepted now and handled later, each once.

use std::io::stdout;

use leftfold_examples::{invoices, run};

fn main() -> anyhow::Result<()> {
    run("invoices", "stream:invoice-0", |dir| invoices::story(dir, &mut stdout()))
}
