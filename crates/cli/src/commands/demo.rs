//! The demo: a bank's statements of one night, from the files to queries over them.

use std::fs;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use comfy_table::{CellAlignment, Table};
use futures_util::future::{Either, select};
use leftfold::{Append, Embedded, EventStore, Expected, NewEvent, Options, Query, Read, Recorded};
use leftfold_connect::sample::Night;
use leftfold_connect::{Mapping, Tally, sample};
use leftfold_views::{Answer, AskLimits, Definition, ViewStart, Views};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::json;

use super::ingest::{ingest_all, report_in_words, summary};
use super::read::pages;
use crate::args;
use crate::inputs::Inputs;
use crate::output::{print_table, table, thousands};
use crate::rejects::{Existing, Rejects};

/// The file that marks a directory as a demo's, which another demo may replace.
const MARK: &str = "made-by-leftfold-demo";

/// The view of balances and daily totals.
const VIEW: &str = include_str!("demo.sql");

/// The longest time that the view may need to catch up.
const PATIENCE: Duration = Duration::from_secs(3_600);

const BUSIEST: &str = "select account, currency, entries, dec_round(booked, 2) as booked
from balances order by entries desc, account limit 10";

const DAILY: &str =
    "select day, currency, entries, dec_round(credit, 2) as credit, dec_round(debit, 2) as debit
from daily_totals order by day, currency";

/// The fields of an entry that the demo reads.
#[derive(Deserialize)]
struct Entry {
    signed_amount: Decimal,
    currency: String,
    #[serde(default)]
    counterparty: Option<String>,
}

pub(crate) fn run(args: &args::Demo) -> anyhow::Result<ExitCode> {
    let dir = &args.dir;
    prepare(dir)?;
    let (files, data) = (dir.join("files"), dir.join("data"));
    fs::create_dir_all(&files)?;
    say!("1. The night: four camt.053 files, as a bank sends them");
    let options = sample::NightOptions { entries: args.entries, ..sample::NightOptions::default() };
    let night = sample::write_night(&files, &options)?;
    say!(
        "   {} entries over {} accounts in {} MB; the last file repeats the first, {} records are \
         malformed,\n   and some entries are late by a day or two\n",
        thousands(night.entries),
        thousands(options.accounts),
        night.bytes / 1_000_000,
        night.malformed
    );

    let store = Embedded::open(&data, Options::default())?;
    two_writers(&store)?;
    store.close();

    say!(
        "3. Ingest: an event for each entry; the process is killed in the middle, and begins again"
    );
    let all: Vec<PathBuf> = night.files.iter().chain([&night.duplicate]).cloned().collect();
    killed_ingest(dir, &data, &all, &night)?;
    let store = Arc::new(Embedded::open(&data, Options::default())?);
    let durable = count(&store, "category:account")?;
    say!("   kill -9 after {} durable events; now all files from their start", thousands(durable));
    let mapping = Mapping::builtin("camt.053").context("the mapping is built in")?;
    let rejects = dir.join("rejects.ndjson");
    let mut rejects = Rejects::to(Some(&rejects), Existing::Refuse, u64::MAX)?;
    let started = Instant::now();
    let mut ingest = |files: &[PathBuf]| -> anyhow::Result<Tally> {
        let inputs = Inputs::find(files);
        Ok(ingest_all(&store, &mapping, inputs, &mut rejects, report_in_words)?.tally)
    };
    let first = ingest(&night.files)?;
    let again = ingest(&all[night.files.len()..])?;
    let seconds = started.elapsed().as_secs_f64();
    say!(
        "   {:.0} MB/s, durable: {} events were new, {} were there\n",
        night.bytes as f64 / 1e6 / seconds,
        thousands(first.ingested),
        thousands(first.repeated)
    );
    reconcile(&store, &night, durable, first)?;

    let account = ask_by_sql(&store, &data)?;
    last_entries(&store, &account)?;
    next_steps(dir, &data, &account);
    if let Some(store) = Arc::into_inner(store) {
        store.close();
    }
    let total = Tally { ingested: durable + first.ingested, ..again };
    say!("{}", summary(Tally { rejected: first.rejected + again.rejected, ..total }));
    Ok(ExitCode::SUCCESS)
}

/// Two threads decide at the same time that the till is still closed.
fn two_writers(store: &Embedded) -> anyhow::Result<()> {
    say!("2. Two writers open the same till at the same moment, each expecting it to be closed");
    let open = |who: &str| {
        let event = NewEvent::json("TillOpened", json!({ "by": who }).to_string());
        let append = Append::new().event("till-1", event).expect("till-1", Expected::NoStream);
        store.blocking().append(append)
    };
    let outcomes = std::thread::scope(|threads| {
        let writers = ["Ada", "Ben"].map(|who| (who, threads.spawn(move || open(who))));
        writers.map(|(who, writer)| (who, writer.join()))
    });
    for (who, outcome) in outcomes {
        match outcome {
            Ok(Ok(_)) => say!("   {who} wins: till-1 is at version 0"),
            Ok(Err(error)) => say!("   {who} is refused: {error}"),
            Err(_) => bail!("a writer panicked"),
        }
    }
    say!("");
    Ok(())
}

/// Ingests the files in a process of its own, which is killed once a part of them is durable.
fn killed_ingest(dir: &Path, data: &Path, files: &[PathBuf], night: &Night) -> anyhow::Result<()> {
    /// Bytes of the log for each event of the night after which the process is killed: a fifth of them.
    const BYTES: u64 = 100;
    let mut child = std::process::Command::new(std::env::current_exe()?)
        .arg("--data")
        .arg(data)
        .arg("ingest")
        .args(files)
        .args(["--map", "camt.053", "--rejects"])
        .arg(dir.join("killed.ndjson"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    while child.try_wait()?.is_none() {
        if log_bytes(data)? >= night.good * BYTES {
            child.kill()?;
            child.wait()?;
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

fn log_bytes(data: &Path) -> anyhow::Result<u64> {
    let files = fs::read_dir(data.join("log"))?;
    Ok(files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum())
}

fn count(store: &Embedded, query: &str) -> anyhow::Result<u64> {
    let mut events = 0;
    fold(store, query.parse()?, |_| {
        events += 1;
        Ok(())
    })?;
    Ok(events)
}

/// Explains the number of events, from the entries in the files on.
fn reconcile(store: &Embedded, night: &Night, durable: u64, first: Tally) -> anyhow::Result<()> {
    say!("4. The sum: nothing is lost and nothing is there twice");
    let booked = count(store, "category:account type:EntryBooked")?;
    let pending = count(store, "category:account type:EntryPending")?;
    let found = count(store, "category:account")?;
    let whole = night.entries - night.malformed;
    let mut rows = table(&["   ", "events"]);
    for (what, n) in [
        ("entries in the three files", night.entries),
        ("malformed ones among them, refused", night.malformed),
        ("further events of entries that hold several transactions", night.good - whole),
        ("events that the night must yield", night.good),
        ("durable before the kill", durable),
        ("ingested after it", first.ingested),
        ("found in the store", found),
        ("of these booked", booked),
        ("of these pending", pending),
    ] {
        rows.add_row([format!("   {what}"), thousands(n)]);
    }
    right_align(&mut rows, 1..2);
    print_table(&rows)?;
    say!("");
    if found != night.good || durable + first.ingested != found || booked + pending != found {
        bail!("the store does not hold what the night must yield; please report this");
    }
    Ok(())
}

fn right_align(rows: &mut Table, columns: std::ops::Range<usize>) {
    for column in columns {
        if let Some(column) = rows.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// Formats an amount with two decimals and commas between thousands.
fn money(amount: Decimal) -> String {
    let cents = format!("{:.2}", amount.abs());
    let (whole, cents) = cents.split_once('.').unwrap_or((&cents, "00"));
    let sign = if amount.is_sign_negative() { "-" } else { "" };
    format!("{sign}{}.{cents}", thousands(whole.parse().unwrap_or_default()))
}

fn prepare(dir: &Path) -> anyhow::Result<()> {
    let ours = dir.join(MARK);
    if dir.exists() && !ours.exists() && dir.read_dir()?.next().is_some() {
        bail!(
            "{} is not empty and was not made by a demo; choose another with --dir",
            dir.display()
        );
    }
    if ours.exists() {
        fs::remove_dir_all(dir)?;
    }
    fs::create_dir_all(dir)
        .with_context(|| format!("the directory {} can't be made", dir.display()))?;
    Ok(fs::write(ours, "leftfold demo replaces this directory\n")?)
}

fn entry(event: &Recorded) -> anyhow::Result<Entry> {
    serde_json::from_slice(&event.data()).with_context(|| format!("event {}", event.position()))
}

/// Plugs the view in, asks it for balances and daily totals, and returns the busiest account.
fn ask_by_sql(store: &Arc<Embedded>, data: &Path) -> anyhow::Result<String> {
    say!("5. A view in SQL, plugged in now: it reads the night and then follows");
    let views = Views::open(store.clone(), data.join("views"))?;
    let asking = async {
        let view = Definition::parse(VIEW)?;
        let started = Instant::now();
        views.add(&view, ViewStart::Beginning).await?;
        let caught_up = (store.head().await?, PATIENCE);
        let ask = async |sql: &str, at_least| -> anyhow::Result<Answer> {
            Ok(views.ask(sql, at_least, AskLimits::default()).await?)
        };
        let busiest = ask(BUSIEST, Some(caught_up)).await?;
        let seconds = started.elapsed().as_secs_f64();
        say!("   it has caught up in {seconds:.1} s; the ten busiest accounts:");
        print_answer(BUSIEST, &busiest)?;
        say!("6. Daily totals by event time: late entries stand in the day when they happened");
        print_answer(DAILY, &ask(DAILY, None).await?)?;
        let first = busiest.rows.first().and_then(|row| row.first());
        first.map(|id| format!("account-{id}")).context("the night has no accounts")
    };
    pollster::block_on(async {
        match select(pin!(views.run()), pin!(asking)).await {
            Either::Left((ended, _)) => bail!("the views have ended: {ended:?}"),
            Either::Right((asked, _)) => asked,
        }
    })
}

/// Prints a question and its answer.
fn print_answer(sql: &str, answer: &Answer) -> anyhow::Result<()> {
    say!("   {}", sql.replace('\n', "\n   "));
    let mut columns = answer.columns.iter().map(String::as_str);
    let first = format!("   {}", columns.next().unwrap_or_default());
    let columns: Vec<_> = std::iter::once(first.as_str()).chain(columns).collect();
    let mut rows = table(&columns);
    for row in &answer.rows {
        let cells = row.iter().enumerate();
        rows.add_row(cells.map(|(at, cell)| match at {
            0 => format!("   {cell}"),
            _ => cell.to_string(),
        }));
    }
    right_align(&mut rows, 2..columns.len());
    print_table(&rows)?;
    say!("");
    Ok(())
}

/// Calls `apply` with all events of a query, in order.
fn fold(
    store: &Embedded,
    query: Query,
    mut apply: impl FnMut(&Recorded) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut failed = None;
    pages(store, Read::forward(query), usize::MAX, |events| {
        for event in events {
            failed = failed.take().or(apply(event).err());
        }
        Ok(())
    })?;
    failed.map_or(Ok(()), Err)
}

fn last_entries(store: &Embedded, account: &str) -> anyhow::Result<()> {
    say!("7. The last entries of {account}, read backward");
    let page = store.blocking().read(Read::backward(Query::stream(account)).limit(5))?;
    let mut rows = table(&["   version", "event time", "type", "amount", "counterparty"]);
    for event in &page.events {
        let Entry { signed_amount, currency, counterparty } = entry(event)?;
        rows.add_row([
            format!("   {}", event.version()),
            event.event_time().to_string(),
            event.event_type().to_owned(),
            format!("{} {currency}", money(signed_amount)),
            counterparty.unwrap_or_default(),
        ]);
    }
    right_align(&mut rows, 3..4);
    print_table(&rows)?;
    say!("");
    Ok(())
}

fn next_steps(dir: &Path, data: &Path, account: &str) {
    let (dir, data) = (dir.display(), data.display());
    say!("8. Go on (the store is in {data}, the rejects in {dir}/rejects.ndjson)");
    for command in [
        format!("read 'stream:{account}' --backward --limit 10"),
        "read 'category:account type:EntryPending' --limit 5".to_owned(),
        "read 'time:2026-03-30..2026-03-31 tag:currency=EUR' --limit 5".to_owned(),
        "index define pending type:EntryPending".to_owned(),
        "streams --category account --limit 5".to_owned(),
        "stat".to_owned(),
        "verify".to_owned(),
        format!("ingest {dir}/files/*.xml --map camt.053 --rejects {dir}/again.ndjson"),
    ] {
        say!("   cargo run --release -- --data {data} {command}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_has_two_decimals_and_commas() {
        for (amount, shown) in [
            ("0", "0.00"),
            ("1234567.5", "1,234,567.50"),
            ("-20945784.41", "-20,945,784.41"),
            ("-0.07", "-0.07"),
        ] {
            assert_eq!(money(amount.parse().unwrap()), shown);
        }
    }
}
