//! A bank over HTTP with axum, until its client has asked everything.

use std::io::stdout;

use leftfold_examples::{run, web};

fn main() -> anyhow::Result<()> {
    run("web", "category:account", |dir| web::story(dir, &mut stdout()))
}
