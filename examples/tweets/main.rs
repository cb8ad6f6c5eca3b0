//! A flow of tweets: nothing is loaded, memory stays flat, the rate is the store's.

use std::io::stdout;

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let tweets = std::env::args().nth(1).map_or(Ok(200_000), |count| count.parse())?;
    leftfold_examples::tweets::story(dir.path(), tweets, &mut stdout())
}
