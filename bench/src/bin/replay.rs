//! A history folded on one thread and on several: `cargo xtask bench replay [EVENTS]`.
//!
//! The fold keeps the balances of accounts and parses the JSON of each event, as a view does when
//! it is rebuilt.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use leftfold::{
    Append, Compression, Embedded, NewEvent, Options, Query, Read, Recorded, Replay, ReplayKey,
};
use leftfold_bench::{machine, spread, wait_for_idle};

const ROUNDS: usize = 5;
const EVENTS: u64 = 400_000;
const ACCOUNTS: u64 = 5_000;
/// The events of one append while the store is filled.
const TOGETHER: u64 = 5_000;

/// The balances by account and currency, in cents.
type Balances = HashMap<(String, String), i64>;

/// A way to fold the history.
#[derive(Clone, Copy)]
enum Way {
    Pages,
    ByKey(usize),
    InOrder(usize),
}

fn main() -> anyhow::Result<()> {
    let events = std::env::args().nth(1).map_or(Ok(EVENTS), |text| text.parse())?;
    let dir = tempfile::Builder::new().prefix("leftfold-bench").tempdir_in(".")?;
    println!("{}; {events} events of {ACCOUNTS} accounts, JSON, parsed by the fold", machine());
    println!("{ROUNDS} rounds interleaved, each after idle processors: median (least to greatest)");
    for compression in [Compression::Off, Compression::Fast, Compression::Small] {
        measure(dir.path(), compression, events)?;
    }
    Ok(())
}

fn ways() -> Vec<Way> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut threads = vec![1, 2, cores];
    threads.sort_unstable();
    threads.dedup();
    let by_key = threads.iter().map(|threads| Way::ByKey(*threads));
    let in_order = threads.iter().map(|threads| Way::InOrder(*threads));
    [Way::Pages].into_iter().chain(by_key).chain(in_order).collect()
}

fn measure(dir: &Path, compression: Compression, events: u64) -> anyhow::Result<()> {
    let store = filled(&dir.join(format!("{compression:?}")), compression, events)?;
    let stat = store.stat()?;
    println!(
        "\npacking {compression:?}: log {} MB, {} segments",
        stat.log_bytes >> 20,
        stat.segments
    );
    let expected = fold(&store, Way::Pages)?;
    let mut seconds = vec![Vec::new(); ways().len()];
    for _round in 0..ROUNDS {
        wait_for_idle();
        for (way, seconds) in ways().into_iter().zip(&mut seconds) {
            let started = Instant::now();
            let balances = fold(&store, way)?;
            seconds.push(started.elapsed().as_secs_f64());
            anyhow::ensure!(balances == expected, "{} gives other balances", name(way));
        }
    }
    for (way, taken) in ways().into_iter().zip(&seconds) {
        let [rate, least, greatest] = spread(taken.iter().map(|s| events as f64 / s).collect());
        let faster = seconds[0].iter().zip(taken).map(|(pages, s)| pages / s).collect();
        let [ratio, low, high] = spread(faster);
        println!(
            "{:<34}{rate:>10.0} events/s  ({least:.0} to {greatest:.0})  {ratio:.2} times the \
             sequential fold ({low:.2} to {high:.2})",
            name(way)
        );
    }
    Ok(())
}

fn name(way: Way) -> String {
    let threads = |n| if n == 1 { "1 thread".to_owned() } else { format!("{n} threads") };
    match way {
        Way::Pages => "sequential fold, page by page".to_owned(),
        Way::ByKey(n) => format!("replay by stream, {}", threads(n)),
        Way::InOrder(n) => format!("replay in order, {}", threads(n)),
    }
}

/// Returns a store with a history; all closed segments are sealed and compressed.
fn filled(dir: &Path, compression: Compression, events: u64) -> anyhow::Result<Embedded> {
    let mut options =
        Options { compression, maintenance_bytes_per_second: 1 << 40, ..Options::default() };
    options.log.segment_bytes = 16 << 20;
    let store = Embedded::open(dir, options)?;
    for first in (0..events).step_by(TOGETHER as usize) {
        let numbers = first..(first + TOGETHER).min(events);
        store.blocking().append(numbers.fold(Append::new(), booked))?;
    }
    store.settle()?;
    Ok(store)
}

fn booked(append: Append, n: u64) -> Append {
    // Spread adjacent events over accounts and amounts.
    let spread = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (account, cents) = (spread % ACCOUNTS, (spread >> 40) as i64 % 100_000 - 40_000);
    let currency = ["EUR", "USD", "CHF"][(spread >> 33) as usize % 3];
    let json = format!(
        r#"{{"account":"DE{account:020}","booking":{n},"cents":{cents},"currency":"{currency}","text":"transfer no. {n}","counterparty":{{"name":"Party {}","bic":"ABCDDEFF{:03}"}}}}"#,
        (spread >> 20) % 10_000,
        spread % 997,
    );
    append.event(format!("account-{account}"), NewEvent::json("EntryBooked", json))
}

/// Returns the account, the currency and the cents of an event.
fn entry(event: &Recorded) -> anyhow::Result<((String, String), i64)> {
    #[derive(serde::Deserialize)]
    struct Entry {
        account: String,
        currency: String,
        cents: i64,
    }
    let entry: Entry = serde_json::from_slice(&event.data())?;
    Ok(((entry.account, entry.currency), entry.cents))
}

fn apply(balances: &mut Balances, event: &Recorded) -> anyhow::Result<()> {
    let (key, cents) = entry(event)?;
    *balances.entry(key).or_default() += cents;
    Ok(())
}

fn fold(store: &Embedded, way: Way) -> anyhow::Result<Balances> {
    let of = |threads| Replay::of(Query::All).by(ReplayKey::Stream).threads(threads);
    let mut balances = Balances::new();
    match way {
        Way::Pages => pages(store, &mut balances)?,
        Way::ByKey(threads) => {
            let start = |_partition| Balances::new();
            let replayed = store.replay(&of(threads), start, |state, _, event| apply(state, event));
            balances.extend(replayed?.states.into_iter().flatten());
        }
        Way::InOrder(threads) => {
            let add = |(key, cents): (_, i64)| {
                *balances.entry(key).or_default() += cents;
                Ok(())
            };
            store.replay_in_order(&of(threads), entry, add)?;
        }
    }
    Ok(balances)
}

fn pages(store: &Embedded, balances: &mut Balances) -> anyhow::Result<()> {
    let mut read = Read::forward(Query::All);
    loop {
        let page = store.blocking().read(read)?;
        page.events.iter().try_for_each(|event| apply(balances, event))?;
        if !page.more {
            return Ok(());
        }
        read = Read::forward(Query::All).after(page.cursor);
    }
}
