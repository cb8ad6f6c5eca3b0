//! Orders pass three services, and a caller waits for the outcome (S12).

use std::io::stdout;

use leftfold_examples::orders::{service, story, story_of_processes};
use leftfold_examples::run_with;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // A service has no store of its own, and is killed.
    if let [first, name, url] = arguments.as_slice()
        && first == "service"
    {
        return service(name, url);
    }
    run_with("orders", "stream:stock-chair", |dir, arguments| match arguments {
        [] => story_of_processes(dir, &mut stdout()),
        ["--one-process"] => story(dir, &mut stdout()),
        _ => anyhow::bail!("usage: [--keep] [--one-process]"),
    })
}
