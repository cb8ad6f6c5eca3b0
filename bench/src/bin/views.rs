//! SQL views beside the same work written by hand over `rusqlite`: `cargo xtask bench views`. A number as an
//! argument divides all sizes, only to check that it works.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use leftfold::{Append, Embedded, NewEvent, Options, Query, Read};
use leftfold_bench::{machine, spread, wait_for_idle};
use leftfold_views::{AskLimits, Definition, ViewPhase, ViewStart, Views};
use serde::Deserialize;

const ROUNDS: usize = 3;
/// The streams that the events are spread over: each event updates the row of its stream.
const ORDERS: u64 = 100_000;
const UPSERT: &str = "insert into orders values (?1, ?2, ?3, 1) on conflict (id) do update set total = excluded.total, events = events + 1";

type Store = Arc<Embedded>;

fn definition(name: &str) -> anyhow::Result<Definition> {
    Ok(Definition::parse(&format!(
        "-- @view {name}
         -- @query category:order
         create table orders (id text primary key, customer text, total text, events integer);
         -- @on OrderChanged
         insert into orders values (:stream_id, :data.customer, :data.total, 1)
             on conflict (id) do update set total = excluded.total, events = events + 1;"
    ))?)
}

fn main() -> anyhow::Result<()> {
    let divisor = std::env::args().nth(1).map_or(Ok(1), |text| text.parse())?;
    let events = 1_000_000 / u64::max(divisor, 1);
    let dir = tempfile::Builder::new().prefix("leftfold-bench").tempdir_in(".")?;
    println!("{}; SQLite {} with WAL, synchronous normal", machine(), rusqlite::version());
    let store = open(&dir.path().join("store"), events)?;
    catch_up(dir.path(), &store, events)?;
    live(dir.path(), &store, events)
}

fn open(dir: &Path, events: u64) -> anyhow::Result<Store> {
    let store = Arc::new(Embedded::open(dir, Options::default())?);
    let mut at = 0;
    while at < events {
        let upto = events.min(at + 5_000);
        let append = (at..upto).fold(Append::new(), |append, n| {
            let event = NewEvent::json("OrderChanged", data(n));
            append.event(format!("order-{}", n.wrapping_mul(7_919) % ORDERS), event)
        });
        store.blocking().append(append)?;
        at = upto;
    }
    Ok(store)
}

fn data(n: u64) -> String {
    let note = "x".repeat(150);
    format!(r#"{{"customer":"c{}","total":"{}.90","note":"{note}"}}"#, n % 5_000, n % 1_000)
}

/// One view, ten views, and the loop by hand, over the whole history.
fn catch_up(dir: &Path, store: &Store, events: u64) -> anyhow::Result<()> {
    println!(
        "\ncatching up over {events} events, one upsert each; {ROUNDS} rounds: median (least to greatest)"
    );
    let (mut by_hand, mut one, mut ten) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        wait_for_idle();
        by_hand.push(hand_written(&dir.join(format!("hand-{round}.sqlite")), store)?);
        wait_for_idle();
        one.push(with_views(&dir.join(format!("one-{round}")), store, 1)?);
        wait_for_idle();
        ten.push(with_views(&dir.join(format!("ten-{round}")), store, 10)?);
    }
    let line = |name: &str, seconds: &[f64]| {
        let [median, least, greatest] = spread(seconds.to_vec());
        let rate = events as f64 / median;
        println!("{name:<28} {median:>7.2} s ({least:.2} to {greatest:.2}) {rate:>9.0} events/s");
        median
    };
    let by_hand = line("by hand over rusqlite", &by_hand);
    let one = line("one view", &one);
    let ten = line("ten views at once", &ten);
    println!(
        "one view takes {:.2} times the time by hand; ten take {:.2} times that of one",
        one / by_hand,
        ten / one
    );
    Ok(())
}

#[derive(Deserialize)]
struct Order {
    customer: String,
    total: String,
}

fn hand_written(path: &Path, store: &Store) -> anyhow::Result<f64> {
    let mut connection = rusqlite::Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.execute_batch("create table orders (id text primary key, customer text, total text, events integer); create table at (cursor text)")?;
    let started = Instant::now();
    let mut read = Read::forward(Query::category("order"));
    loop {
        let mut events = Vec::new();
        let (mut more, mut cursor) = (true, None);
        while more && events.len() < 2_048 {
            let page = store.blocking().read(read.clone())?;
            (more, cursor) = (page.more, Some(page.cursor.clone()));
            read = Read::forward(Query::category("order")).after(page.cursor);
            events.extend(page.events);
        }
        let transaction = connection.transaction()?;
        for event in &events {
            let order: Order = serde_json::from_slice(&event.data())?;
            let id = event.stream().strip_prefix("order-").unwrap_or_default();
            transaction.prepare_cached(UPSERT)?.execute((id, order.customer, order.total))?;
        }
        transaction.execute("delete from at", ())?;
        transaction.execute("insert into at values (?1)", [cursor.map(|it| it.to_string())])?;
        transaction.commit()?;
        if !more {
            return Ok(started.elapsed().as_secs_f64());
        }
    }
}

/// Runs views on a thread while something is done with them.
fn running<T>(
    dir: &Path,
    store: &Store,
    doing: impl FnOnce(&Views<Embedded>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let views = Views::open(store.clone(), dir)?;
    let (stop, stopped) = futures_util::future::abortable(std::future::pending::<()>());
    let of_thread = views.clone();
    let thread = std::thread::spawn(move || {
        pollster::block_on(of_thread.run_until(async { _ = stop.await }))
    });
    let done = doing(&views);
    stopped.abort();
    thread.join().map_err(|_| anyhow::anyhow!("the views have panicked"))??;
    done
}

fn with_views(dir: &Path, store: &Store, count: usize) -> anyhow::Result<f64> {
    running(dir, store, |views| {
        let started = Instant::now();
        for n in 0..count {
            pollster::block_on(views.add(&definition(&format!("v{n}"))?, ViewStart::Beginning))?;
        }
        let head = store.blocking().head();
        for n in 0..count {
            let sql = format!("select count(*) from v{n}.orders");
            let at_least = Some((head.clone(), Duration::from_secs(600)));
            pollster::block_on(views.ask(&sql, at_least, AskLimits::default()))?;
        }
        let took = started.elapsed().as_secs_f64();
        for n in 0..count {
            pollster::block_on(views.remove(&format!("v{n}")))?;
        }
        Ok(took)
    })
}

/// How late a view is while 5,000 events a second come in, and what an append costs beside it and beside ten views
/// that catch up.
fn live(dir: &Path, store: &Store, events: u64) -> anyhow::Result<()> {
    const RATE: u64 = 5_000;
    let turns = (events / 50).clamp(200, 20_000);
    println!("\n{RATE} appends of one event a second, {turns} of them: p50 and p99");
    wait_for_idle();
    let (alone, _) = paced(store, turns, RATE, |_| Ok(()))?;
    print_latency("an append without views", alone);
    running(&dir.join("beside"), store, |views| {
        for n in 0..10 {
            pollster::block_on(views.add(&definition(&format!("v{n}"))?, ViewStart::Beginning))?;
        }
        let (appends, _) = paced(store, turns, RATE, |_| Ok(()))?;
        print_latency("an append beside ten of them", appends);
        // The number means something only if they were not there yet.
        let behind = pollster::block_on(views.list());
        let behind = behind.iter().filter(|view| view.phase == ViewPhase::Building);
        println!("{} of 10 views still caught up at the end of that", behind.count());
        for n in 0..10 {
            pollster::block_on(views.remove(&format!("v{n}")))?;
        }
        Ok(())
    })?;
    running(&dir.join("live"), store, |views| {
        pollster::block_on(
            views.add(&definition("orders")?, pollster::block_on(ViewStart::now(store))?),
        )?;
        while pollster::block_on(views.status("orders"))?.phase != ViewPhase::Following {
            std::thread::yield_now();
        }
        let (appends, lags) = paced(store, turns, RATE, |cursor| {
            let at_least = Some((cursor, Duration::from_secs(60)));
            let ask = views.ask("select 1 from orders limit 1", at_least, AskLimits::default());
            pollster::block_on(ask)?;
            Ok(())
        })?;
        print_latency("an append with a view", appends);
        print_latency("until a question sees it", lags);
        Ok(())
    })
}

fn print_latency(name: &str, mut micros: Vec<f64>) {
    micros.sort_by(f64::total_cmp);
    let at = |share: f64| {
        micros.get((micros.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN)
    };
    println!("{name:<28} {:>9.0} us {:>9.0} us", at(0.5), at(0.99));
}

/// Appends at a rate; every hundredth append is waited for. Returns the microseconds of the appends, and of the waits.
fn paced(
    store: &Store,
    turns: u64,
    rate: u64,
    mut wait: impl FnMut(leftfold::Cursor) -> anyhow::Result<()>,
) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let (mut appends, mut waits) = (Vec::new(), Vec::new());
    let started = Instant::now();
    for n in 0..turns {
        let due = Duration::from_micros(n * 1_000_000 / rate);
        while started.elapsed() < due {
            std::hint::spin_loop();
        }
        let event = NewEvent::json("OrderChanged", data(n));
        let before = Instant::now();
        let appended =
            store.blocking().append(Append::new().event(format!("order-{}", n % ORDERS), event))?;
        appends.push(before.elapsed().as_secs_f64() * 1e6);
        if n % 100 == 99 {
            let before = Instant::now();
            wait(appended.cursor)?;
            waits.push(before.elapsed().as_secs_f64() * 1e6);
        }
    }
    Ok((appends, waits))
}
