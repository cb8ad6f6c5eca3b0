//! SQL views beside the same work by hand: `cargo xtask bench views`. A number as an argument scales the sizes, as 0.05
//! does to check that it works; `sqlite`, `postgres`, `events`, `appends` or `live` runs only that part.

mod appends;
mod by_hand;
mod catch_up;
mod events;
mod live;
mod rows;

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use leftfold::{Append, Embedded, NewEvent, Options};
use leftfold_bench::{bare_loop, machine, wait_for_idle};
use leftfold_io::run_behind_others;
use leftfold_views::{Definition, Views};

/// The streams that the events are spread over: each event updates the row of its stream.
const ORDERS: u64 = 100_000;
/// About the bytes that an append of one of the events takes in the log: the bare loop writes this.
const FRAME: usize = 384;

type Store = Arc<Embedded>;

/// The amount of work.
#[derive(Debug, Clone, Copy)]
struct Size {
    rounds: usize,
    /// The events that views catch up with.
    events: u64,
    /// The appends of a round at a rate.
    appends: u64,
    /// The changes of a round that a live query sends.
    changes: u64,
    /// The writes of the bare loop.
    syncs: u64,
    is_small: bool,
}

impl Size {
    fn scaled(scale: f64) -> Self {
        let is_small = scale < 1.0;
        let scaled = |full: u64, least: u64| ((full as f64 * scale) as u64).max(least);
        Size {
            rounds: if is_small { 2 } else { 5 },
            events: scaled(1_000_000, 1_000),
            appends: scaled(20_000, 200),
            changes: scaled(300, 10),
            syncs: scaled(2_000, 50),
            is_small,
        }
    }
}

fn main() -> anyhow::Result<()> {
    let (mut scale, mut only) = (1.0, None);
    for argument in std::env::args().skip(1) {
        match argument.parse::<f64>() {
            Ok(number) => scale = number,
            Err(_) => only = Some(argument),
        }
    }
    anyhow::ensure!(scale > 0.0 && scale <= 100.0, "the scale is more than 0 and at most 100");
    let parts = ["sqlite", "postgres", "events", "appends", "live"];
    let is_known = only.as_deref().is_none_or(|only| parts.contains(&only));
    anyhow::ensure!(is_known, "the parts are {}", parts.join(", "));
    let dir = tempfile::Builder::new().prefix("leftfold-bench").tempdir_in(".")?;
    let bench = Bench { dir: dir.path(), size: Size::scaled(scale) };
    println!("{}; SQLite {} with WAL, synchronous normal", machine(), rusqlite::version());
    println!("{} rounds: median (least to greatest)", bench.size.rounds);
    bench.run(|part| only.as_deref().is_none_or(|only| only == part))
}

/// The place and the size of the measurements.
struct Bench<'a> {
    dir: &'a Path,
    size: Size,
}

impl Bench<'_> {
    fn run(&self, is_wanted: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        let needs_store = ["sqlite", "postgres", "events", "appends"].into_iter().any(&is_wanted);
        if needs_store {
            let store = fill(&self.dir.join("store"), self.size.events)?;
            if is_wanted("sqlite") {
                catch_up::into_sqlite(self, &store)?;
            }
            if is_wanted("postgres") {
                catch_up::into_postgres(self, &store)?;
            }
            if is_wanted("events") {
                events::measure(self, &store)?;
            }
            if is_wanted("appends") {
                appends::measure(self, &store)?;
            }
        }
        if is_wanted("live") {
            live::measure(self)?;
        }
        Ok(())
    }

    /// Waits for idle processors, unless nothing is measured but that it works.
    fn settle(&self) {
        if !self.size.is_small {
            wait_for_idle();
        }
    }

    /// Returns the current rate of the bare loop.
    fn control(&self) -> anyhow::Result<f64> {
        self.settle();
        Ok(bare_loop(self.dir, FRAME, self.size.syncs)?)
    }
}

/// Makes a store with events.
fn fill(dir: &Path, events: u64) -> anyhow::Result<Store> {
    let store = Arc::new(Embedded::open(dir, Options::default())?);
    let mut at = 0;
    while at < events {
        let upto = events.min(at + 5_000);
        let append = (at..upto).fold(Append::new(), |append, n| {
            append.event(format!("order-{}", n.wrapping_mul(7_919) % ORDERS), event(n))
        });
        store.blocking().append(append)?;
        at = upto;
    }
    Ok(store)
}

fn event(n: u64) -> NewEvent {
    let note = "x".repeat(150);
    let (customer, total) = (n % 5_000, n % 1_000);
    let data = format!(r#"{{"customer":"c{customer}","total":"{total}.90","note":"{note}"}}"#);
    NewEvent::json("OrderChanged", data)
}

/// Returns the file of the view, which counts the events of an order by `step`.
fn view_file(name: &str, step: u32) -> String {
    format!(
        "-- @view {name}
-- @query category:order
create table orders (id text primary key, customer text, total text, events integer);
-- @on OrderChanged
insert into orders values (:stream_id, :data.customer, :data.total, {step})
    on conflict (id) do update set total = excluded.total, events = orders.events + {step};"
    )
}

fn definition(name: &str) -> anyhow::Result<Definition> {
    Ok(Definition::parse(&view_file(name, 1))?)
}

/// Runs views on a thread while something is done with them.
fn with_views<T>(
    dir: &Path,
    store: &Store,
    doing: impl FnOnce(&Views<Embedded>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let views = Views::open(store.clone(), dir)?;
    let (stop, stopped) = futures_util::future::abortable(std::future::pending::<()>());
    let of_thread = views.clone();
    let thread = std::thread::spawn(move || {
        // As a server does.
        run_behind_others();
        pollster::block_on(of_thread.run_until(async { _ = stop.await }))
    });
    let done = doing(&views).and_then(|done| remove_all(&views).map(|()| done));
    stopped.abort();
    thread.join().ok().context("the views have panicked")??;
    done
}

/// Removes all views, so that the next measurement begins without any.
fn remove_all(views: &Views<Embedded>) -> anyhow::Result<()> {
    pollster::block_on(async {
        for view in views.list().await {
            views.remove(&view.name).await?;
        }
        Ok(())
    })
}
