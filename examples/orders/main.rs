//! Orders pass three services, and a caller waits for the outcome (S12).

use std::io::stdout;

use leftfold_examples::orders::{service, story, story_of_processes};

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let dir = tempfile::tempdir()?;
    match words.as_slice() {
        [] => story_of_processes(dir.path(), &mut stdout()),
        ["--one-process"] => story(dir.path(), &mut stdout()),
        ["service", name, url] => service(name, url),
        _ => anyhow::bail!("usage: [--one-process]"),
    }
}
