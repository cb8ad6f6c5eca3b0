//! Commands beside bare appends of the same run: `cargo xtask bench folds`. A number as an argument
//! divides all sizes, only to check that it works.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::future::join_all;
use leftfold::view::{RedbRows, RowView, TypedRows, ViewError, ViewRunner};
use leftfold::{
    Append, Command, Decider, Embedded, Entities, Event, EventStore, Execute, Expected,
    MemorySnapshots, NewEvent, Options, RedbSnapshots, SnapshotPolicy, State, StreamState,
};
use leftfold_bench::{bare_loop, machine, spread, wait_for_idle};
use serde::{Deserialize, Serialize};

const ROUNDS: usize = 5;
const CALLERS: [u64; 3] = [1, 64, 1_024];
const THREADS: u64 = 4;
const FRAME: usize = 448;
const MEMORY: usize = 64 << 20;

#[derive(Debug, Clone, Event)]
enum Bank {
    Deposited { cents: u64, note: String },
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Account {
    cents: u64,
    notes: u64,
}

impl State for Account {
    type Event = Bank;
    const SNAPSHOTS: Option<SnapshotPolicy<Self>> = Some(SnapshotPolicy::json("account", 1));
    fn apply(&mut self, Bank::Deposited { cents, note }: &Bank) {
        self.cents += cents;
        self.notes += note.len() as u64;
    }
}

struct Deposit {
    account: String,
    cents: u64,
}

impl Command for Deposit {
    type Event = Bank;
    type Error = std::convert::Infallible;
    type Reads = StreamState<Account>;
    fn reads(&self) -> StreamState<Account> {
        StreamState::of(&self.account)
    }
    fn decide(&self, account: &Account) -> Result<Vec<Bank>, Self::Error> {
        // The decision depends on the state, so the state must be loaded.
        let cents = self.cents + account.cents % 2;
        Ok(vec![Bank::Deposited { cents, note: note() }])
    }
}

/// Returns text that makes an event about as large as those of the other benchmarks.
fn note() -> String {
    "x".repeat(220)
}

type Store = Arc<Embedded>;
type Accounts = Entities<Account, Store>;

fn main() -> anyhow::Result<()> {
    let divisor = std::env::args().nth(1).map_or(Ok(1), |text| text.parse())?;
    let sizes = Sizes { divisor: u64::max(divisor, 1) };
    let dir = tempfile::Builder::new().prefix("leftfold-bench").tempdir_in(".")?;
    println!("{}; fdatasync before every answer; events of 256 bytes", machine());
    println!("{ROUNDS} rounds interleaved: median (least to greatest)\n");
    commands(&dir.path().join("commands"), &sizes)?;
    one_entity(&dir.path().join("one"), &sizes)?;
    load(&dir.path().join("load"), &sizes)?;
    views(&dir.path().join("views"), &sizes)?;
    memory(&dir.path().join("memory"), &sizes)
}

struct Sizes {
    divisor: u64,
}

impl Sizes {
    fn of(&self, whole: u64) -> u64 {
        (whole / self.divisor).max(1)
    }

    /// Waits for an idle machine; does not wait in a run that only checks that it works.
    fn settle(&self) {
        if self.divisor == 1 {
            wait_for_idle();
        }
    }
}

fn open(dir: &Path) -> anyhow::Result<Store> {
    Ok(Arc::new(Embedded::open(dir, Options::default())?))
}

/// Runs concurrent callers on a few threads; each starts its next turn when its last one is done.
/// Returns the turns per second.
fn callers<F>(callers: u64, turns: u64, turn: impl Fn(u64, u64) -> F + Sync) -> anyhow::Result<f64>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let (next, threads) = (AtomicU64::new(0), callers.min(THREADS));
    let started = Instant::now();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let (next, turn) = (&next, &turn);
                scope.spawn(move || {
                    let caller = |caller| async move {
                        let mut nth = 0;
                        while next.fetch_add(1, Ordering::Relaxed) < turns {
                            turn(caller, nth).await?;
                            nth += 1;
                        }
                        anyhow::Ok(())
                    };
                    let mine = (thread..callers).step_by(threads as usize).map(caller);
                    pollster::block_on(join_all(mine)).into_iter().collect::<Result<(), _>>()
                })
            })
            .collect();
        for worker in workers {
            worker.join().map_err(|_| anyhow::anyhow!("a caller has panicked"))??;
        }
        anyhow::Ok(())
    })?;
    Ok(turns as f64 / started.elapsed().as_secs_f64())
}

fn commands(dir: &Path, sizes: &Sizes) -> anyhow::Result<()> {
    let store = open(dir)?;
    let accounts = Accounts::new(Decider::new(store.clone()));
    let turns = |callers: u64| sizes.of(if callers == 1 { 3_000 } else { 40_000 });
    let mut rates = vec![[const { Vec::new() }; 3]; CALLERS.len()];
    let mut bare = Vec::new();
    for round in 0..ROUNDS {
        sizes.settle();
        bare.push(bare_loop(dir, FRAME, sizes.of(3_000))?);
        for (callers, rates) in CALLERS.iter().zip(&mut rates) {
            let name = |kind: &str| format!("{kind}-{round}-{callers}");
            sizes.settle();
            rates[0].push(appends(&store, &name("bare"), *callers, turns(*callers))?);
            sizes.settle();
            rates[1].push(hot(&accounts, &name("hot"), *callers, turns(*callers))?);
            sizes.settle();
            rates[2].push(cold(&store, &name("cold"), *callers, turns(*callers))?);
        }
    }
    let [control, least, greatest] = spread(bare);
    println!(
        "bare write+fdatasync, preallocated      {control:>9.0}/s  ({least:.0} to {greatest:.0})"
    );
    for (callers, [append, hot, cold]) in CALLERS.iter().zip(rates) {
        for (what, rates) in [
            ("appends", &append),
            ("commands, entities", &hot),
            ("commands, loaded each time", &cold),
        ] {
            let times = append.iter().zip(rates).map(|(append, rate)| append / rate).collect();
            let ([rate, least, greatest], [times, low, high]) =
                (spread(rates.clone()), spread(times));
            println!(
                "{callers:>5} callers, {what:<26}{rate:>9.0}/s  ({least:.0} to {greatest:.0})  \
                 costs {times:.2} of a bare append ({low:.2} to {high:.2})"
            );
        }
    }
    Ok(())
}

/// Appends without commands or states: each caller to its own stream, under its expected version.
fn appends(store: &Store, name: &str, count: u64, turns: u64) -> anyhow::Result<f64> {
    let data = format!(r#"{{"cents":1,"note":"{}"}}"#, note());
    callers(count, turns, |caller, nth| {
        let (stream, store) = (format!("{name}-{caller}"), store.clone());
        let expected = nth.checked_sub(1).map_or(Expected::NoStream, Expected::Exactly);
        let event = NewEvent::json("Deposited", data.clone());
        async move {
            store.append(Append::new().event(&stream, event).expect(&stream, expected)).await?;
            Ok(())
        }
    })
}

fn hot(accounts: &Accounts, name: &str, count: u64, turns: u64) -> anyhow::Result<f64> {
    callers(count, turns, |caller, _| {
        let done = accounts.execute(Deposit { account: format!("{name}-{caller}"), cents: 1 });
        async move {
            done.await?;
            Ok(())
        }
    })
}

fn cold(store: &Store, name: &str, count: u64, turns: u64) -> anyhow::Result<f64> {
    callers(count, turns, |caller, _| {
        let (store, account) = (store.clone(), format!("{name}-{caller}"));
        async move {
            store.execute(Deposit { account, cents: 1 }).await?;
            Ok(())
        }
    })
}

fn one_entity(dir: &Path, sizes: &Sizes) -> anyhow::Result<()> {
    let accounts = Accounts::new(Decider::new(open(dir)?));
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        sizes.settle();
        rates.push(hot_one(&accounts, sizes.of(40_000))?);
    }
    let [rate, least, greatest] = spread(rates);
    println!(
        " 1024 callers, one entity                {rate:>9.0}/s  ({least:.0} to {greatest:.0})\n"
    );
    Ok(())
}

fn hot_one(accounts: &Accounts, turns: u64) -> anyhow::Result<f64> {
    callers(1_024, turns, |_, _| {
        let done = accounts.execute(Deposit { account: "account-1".to_owned(), cents: 1 });
        async move {
            done.await?;
            Ok(())
        }
    })
}

/// Loads an entity with a long history, with and without its snapshot.
fn load(dir: &Path, sizes: &Sizes) -> anyhow::Result<()> {
    let store = open(dir)?;
    let events = sizes.of(100_000);
    let data = format!(r#"{{"cents":1,"note":"{}"}}"#, note());
    let mut left = events;
    while left > 0 {
        let batch = left.min(10_000);
        let append = (0..batch).fold(Append::new(), |append, _| {
            append.event(
                "account-1",
                NewEvent { schema_version: 1, ..NewEvent::json("Deposited", data.clone()) },
            )
        });
        store.blocking().append(append)?;
        left -= batch;
    }
    let reads = StreamState::<Account>::of("account-1");
    let timed = |decider: &Decider<Store>| -> anyhow::Result<f64> {
        let started = Instant::now();
        let account = pollster::block_on(decider.load(&reads))?;
        anyhow::ensure!(account.cents == events);
        Ok(started.elapsed().as_secs_f64() * 1e6)
    };
    let path = dir.join("snapshots.redb");
    let plain = Decider::new(store.clone());
    timed(&plain.clone().snapshots(RedbSnapshots::open(&path)?))?;
    let (mut full, mut kept) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        sizes.settle();
        full.push(timed(&plain)?);
        // The file is opened again, so only the system's page cache has its content.
        let decider = plain.clone().snapshots(RedbSnapshots::open(&path)?);
        for _ in 0..100 {
            kept.push(timed(&decider)?);
        }
    }
    for (what, times) in [("folded from the first event", full), ("from its snapshot", kept)] {
        let [median, least, greatest] = spread(times);
        println!(
            "an entity of {events} events, {what:<28}{median:>9.0} us  ({least:.0} to {greatest:.0})"
        );
    }
    Ok(())
}

/// The turnover of each account.
struct Turnovers;

impl RowView for Turnovers {
    type Event = Bank;
    type Key = String;
    type Row = u64;
    fn name(&self) -> &str {
        "turnovers"
    }
    fn apply(&self, rows: &mut TypedRows<'_, Self>, event: Bank) -> Result<(), ViewError> {
        let Bank::Deposited { cents, .. } = event;
        let account = rows.recorded().stream().to_owned();
        rows.upsert(&account, |turnover| *turnover += cents)
    }
}

/// Follows appends of a hundred events with rows in a file, and builds the same rows from the start.
fn views(dir: &Path, sizes: &Sizes) -> anyhow::Result<()> {
    let (appends, data) = (sizes.of(100), format!(r#"{{"cents":1,"note":"{}"}}"#, note()));
    let (mut live, mut built) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        sizes.settle();
        let dir = dir.join(round.to_string());
        let store = open(&dir)?;
        let rows = |name: &str| RedbRows::open(dir.join(name));
        let view = ViewRunner::new(Turnovers, store.clone(), rows("live")?);
        let append = |nth: u64| {
            let streams = (0..100).map(|event| format!("account-{}", (nth * 100 + event) % 1_000));
            let event = || NewEvent::json("Deposited", data.clone());
            streams.fold(Append::new(), |append, stream| append.event(stream, event()))
        };
        let followed = async {
            let started = Instant::now();
            let mut last = store.head().await?;
            for nth in 0..appends {
                last = store.append(append(nth)).await?.cursor;
            }
            view.at_least(last).await?;
            live.push((appends * 100) as f64 / started.elapsed().as_secs_f64());
            anyhow::Ok(())
        };
        let mut ended = Ok(());
        pollster::block_on(view.run_until(async { ended = followed.await }))?;
        ended?;
        let view = ViewRunner::new(Turnovers, store.clone(), rows("built")?);
        let started = Instant::now();
        pollster::block_on(view.catch_up())?;
        built.push((appends * 100) as f64 / started.elapsed().as_secs_f64());
    }
    for (what, rates) in
        [("appended and followed live", live), ("built from the first event", built)]
    {
        let [rate, least, greatest] = spread(rates);
        println!("a view in a file, {what:<27}{rate:>9.0} events/s  ({least:.0} to {greatest:.0})");
    }
    Ok(())
}

/// Uses ten thousand entities all the time, and a million once each.
fn memory(dir: &Path, sizes: &Sizes) -> anyhow::Result<()> {
    let (hot, cold, parts) = (sizes.of(10_000), sizes.of(1_000_000), 10);
    let decider = Decider::new(open(dir)?).snapshots(MemorySnapshots::default());
    let accounts = Accounts::new(decider).memory(MEMORY / sizes.divisor as usize);
    println!("\n{hot} hot entities and {cold} cold ones, {} MB for states", MEMORY >> 20);
    for part in 0..parts {
        let next = AtomicU64::new(0);
        let turns = 2 * (cold / parts).max(1);
        let rate = callers(1_024.min(turns), turns, |_, _| {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            let account = match nth % 2 {
                0 => format!("hot-{}", nth / 2 % hot),
                _ => format!("cold-{}", part * cold / parts + nth / 2),
            };
            let done = accounts.execute(Deposit { account, cents: 1 });
            async move {
                done.await?;
                Ok(())
            }
        })?;
        let (count, bytes) = accounts.in_memory();
        println!(
            "{:>9} cold: {rate:>7.0}/s, {count} entities in memory, {} KB of states, {} MB resident",
            (part + 1) * cold / parts,
            bytes >> 10,
            resident_megabytes(),
        );
    }
    Ok(())
}

fn resident_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) / 1024
}
