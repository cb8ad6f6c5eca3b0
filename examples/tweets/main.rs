//! Many tweets: no state is loaded, memory stays flat, and the store limits the rate.

use std::io::stdout;

use anyhow::Context;
use leftfold_examples::{run_with, tweets};

fn main() -> anyhow::Result<()> {
    run_with("tweets", "tag:author=7", |dir, arguments| {
        let count = arguments.first().map_or(Ok(200_000), |count| count.parse());
        let count = count.context("usage: [--keep] [NUMBER OF TWEETS]")?;
        tweets::story(dir, count, &mut stdout())
    })
}
