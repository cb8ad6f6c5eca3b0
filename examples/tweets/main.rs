//! Many tweets: no state is loaded, memory stays flat, and the store limits the rate.

use std::io::stdout;

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let tweets = std::env::args().nth(1).map_or(Ok(200_000), |count| count.parse())?;
    leftfold_examples::tweets::story(dir.path(), tweets, &mut stdout())
}
