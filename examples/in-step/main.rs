//! PostgreSQL, Kafka, a search index, a web hook and a view in step with the store (S10).

use std::io::stdout;

use leftfold_examples::in_step::{serve, story};

/// How often each is killed.
const ROUNDS: u32 = 2;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        // What the example starts: the server.
        ["serve", dir, port] => serve(dir, port),
        [] => story(tempfile::tempdir()?.path(), ROUNDS, &mut stdout()),
        [rounds] => story(tempfile::tempdir()?.path(), rounds.parse()?, &mut stdout()),
        _ => anyhow::bail!("usage: [ROUNDS]"),
    }
}
