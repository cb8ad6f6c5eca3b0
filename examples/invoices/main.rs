//! Invoices: commands are accepted now and handled later, each once.

use std::io::stdout;

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    leftfold_examples::invoices::story(dir.path(), &mut stdout())
}
