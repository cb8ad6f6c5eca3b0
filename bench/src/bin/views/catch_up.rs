//! Views that catch up with a whole history, beside the loop by hand, in SQLite and in PostgreSQL.

use std::path::Path;
use std::time::{Duration, Instant};

use leftfold_postgres_server::Server;
use leftfold_views::{AskLimits, Cell, Definition, ViewStart};

use crate::rows::{Durations, print_control};
use crate::{Bench, Store, by_hand, view_file, with_views};

/// How long a view may take.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// One view, ten views, and the loop over `rusqlite`.
pub(crate) fn into_sqlite(bench: &Bench, store: &Store) -> anyhow::Result<()> {
    let events = bench.size.events;
    println!("\ncatching up over {events} events, one upsert each, into SQLite");
    let mut controls = Vec::new();
    let mut loops = Durations::new("by hand over rusqlite");
    let (mut one, mut ten) = (Durations::new("one view"), Durations::new("ten views at once"));
    for round in 0..bench.size.rounds {
        controls.push(bench.control()?);
        let file = bench.dir.join(format!("hand-{round}.sqlite"));
        loops.push(by_hand::sqlite(&file, store, events)?);
        bench.settle();
        one.push(catch_up(bench, &bench.dir.join(format!("one-{round}")), store, 1, "")?);
        bench.settle();
        ten.push(catch_up(bench, &bench.dir.join(format!("ten-{round}")), store, 10, "")?);
    }
    let (loops, one, ten) = (loops.print(events), one.print(events), ten.print(events));
    let (of_one, of_ten) = (one / loops, ten / one);
    println!(
        "one view takes {of_one:.2} times the time by hand; ten take {of_ten:.2} times that of one"
    );
    print_control(controls);
    Ok(())
}

/// One view, and the loop over `tokio-postgres`, in the same server.
pub(crate) fn into_postgres(bench: &Bench, store: &Store) -> anyhow::Result<()> {
    let events = bench.size.events;
    println!("\ncatching up over {events} events, one upsert each, into PostgreSQL");
    let server = Server::start()?;
    let file = bench.dir.join("url");
    std::fs::write(&file, server.url())?;
    let target = format!("-- @target postgres file:{}\n", file.canonicalize()?.display());
    let mut controls = Vec::new();
    let mut loops = Durations::new("by hand over tokio-postgres");
    let mut one = Durations::new("one view");
    for round in 0..bench.size.rounds {
        controls.push(bench.control()?);
        let schema = format!("hand{round}");
        loops.push(by_hand::postgres(&server.url(), &schema, store, events)?);
        bench.settle();
        one.push(catch_up(bench, &bench.dir.join(format!("postgres-{round}")), store, 1, &target)?);
    }
    let (loops, one) = (loops.print(events), one.print(events));
    println!("the view takes {:.2} times the time by hand", one / loops);
    print_control(controls);
    Ok(())
}

/// Returns the seconds until views, added at once, have all events.
fn catch_up(
    bench: &Bench,
    dir: &Path,
    store: &Store,
    count: usize,
    target: &str,
) -> anyhow::Result<f64> {
    with_views(dir, store, |views| {
        let started = Instant::now();
        for n in 0..count {
            let file = view_file(&format!("v{n}"), 1);
            let file = file.replace("-- @query", &format!("{target}-- @query"));
            pollster::block_on(views.add(&Definition::parse(&file)?, ViewStart::Beginning))?;
        }
        let head = store.blocking().head();
        for n in 0..count {
            pollster::block_on(views.wait_for_cursor(&format!("v{n}"), &head, PATIENCE))?;
        }
        let seconds = started.elapsed().as_secs_f64();
        if target.is_empty() {
            let sum = views.ask("select sum(events) from v0.orders", None, AskLimits::default());
            match pollster::block_on(sum)?.rows.concat().as_slice() {
                [Cell::Integer(applied)] => by_hand::check(*applied, bench.size.events)?,
                other => anyhow::bail!("the sum of the events is {other:?}"),
            }
        }
        Ok(seconds)
    })
}
