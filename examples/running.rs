use std::io::Write;
use std::path::Path;
use std::thread;

use anyhow::bail;
use event_listener::Event;
use leftfold::Embedded;
use leftfold::runtime::Runtime;
use pollster::block_on;

/// Keeps the store of an example.
const KEEP: &str = "--keep";

/// Runs an example on a store in a temporary directory. With `--keep` the directory stays, and the last
/// line that is printed reads the events of a query from it.
pub fn run(
    name: &str,
    query: &str,
    story: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    run_with(name, query, |dir, arguments| match arguments {
        [] => story(dir),
        _ => bail!("usage: [{KEEP}]"),
    })
}

/// Runs an example that has arguments of its own.
pub fn run_with(
    name: &str,
    query: &str,
    story: impl FnOnce(&Path, &[&str]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_kept = arguments.iter().any(|argument| argument == KEEP);
    let others = arguments.iter().map(String::as_str).filter(|argument| *argument != KEEP);
    let others: Vec<&str> = others.collect();
    let dir = tempfile::Builder::new().prefix(&format!("leftfold-{name}-")).tempdir()?;
    story(dir.path(), &others)?;
    if is_kept {
        let dir = dir.keep();
        println!("\nThe store is in {dir}. Look at it:", dir = dir.display());
        println!("leftfold --data {dir} read '{query}'", dir = dir.display());
    }
    Ok(())
}

/// Writes the heading of a step.
pub(crate) fn heading(out: &mut dyn Write, text: &str) -> std::io::Result<()> {
    writeln!(out, "-- {text} --")
}

/// Runs the parts of a runtime while `other` runs.
pub(crate) fn while_running(
    runtime: Runtime<Embedded>,
    other: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let stop = Event::new();
    let stopped = stop.listen();
    let runner = thread::spawn(|| block_on(runtime.run_until(stopped)));
    let done = other();
    stop.notify(usize::MAX);
    runner.join().map_err(|_| anyhow::anyhow!("the runtime has panicked"))?;
    done
}
