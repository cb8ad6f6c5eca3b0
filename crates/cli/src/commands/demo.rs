//! The demo: a bank's statements of one night, from the files to queries over them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail};
use leftfold::{Embedded, Options, Query, Read, Recorded, StreamInfo, Streams};
use leftfold_connect::{Mapping, sample};
use rust_decimal::Decimal;
use serde::Deserialize;

use super::ingest::{Rejects, ingest_all, summary};
use super::read::pages;
use crate::args;
use crate::output::{table, thousands};

/// The file that marks a directory as a demo's, which another demo may replace.
const MARK: &str = "made-by-leftfold-demo";

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
    println!("1. The night: four camt.053 files, as a bank sends them");
    let options = sample::NightOptions { entries: args.entries, ..sample::NightOptions::default() };
    let night = sample::write_night(&files, &options)?;
    println!(
        "   {} entries over {} accounts in {} MB; the last file repeats the first, {} records are \
         malformed,\n   and some entries are late by a day or two\n",
        thousands(night.entries),
        thousands(options.accounts),
        night.bytes / 1_000_000,
        night.malformed
    );

    println!("2. Ingest: one event for each entry, with its own event time");
    let mapping = Mapping::builtin("camt.053").context("the mapping is built in")?;
    let store = Embedded::open(&data, Options::default())?;
    let mut rejects = Rejects::to(Some(&dir.join("rejects.ndjson")))?;
    let started = Instant::now();
    let mut all = night.files.clone();
    all.push(night.duplicate.clone());
    let (sum, _) = ingest_all(&store, &mapping, &all, &mut rejects)?;
    let seconds = started.elapsed().as_secs_f64();
    let bytes: u64 = all.iter().filter_map(|file| fs::metadata(file).ok()).map(|m| m.len()).sum();
    println!(
        "   {} in {seconds:.1} s: {:.0} MB/s, durable\n",
        thousands(sum.ingested),
        bytes as f64 / 1e6 / seconds
    );

    let busiest = busiest(&store)?;
    daily_totals(&store)?;
    let Some(account) = busiest else { bail!("the night has no accounts") };
    last_entries(&store, &account)?;
    next_steps(dir, &data, &account);
    store.close();
    println!("{}", summary(sum));
    Ok(ExitCode::SUCCESS)
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
    fs::create_dir_all(dir)?;
    Ok(fs::write(ours, "leftfold demo replaces this directory\n")?)
}

fn entry(event: &Recorded) -> anyhow::Result<Entry> {
    serde_json::from_slice(&event.data()).with_context(|| format!("event {}", event.position()))
}

fn all_streams(store: &Embedded) -> anyhow::Result<Vec<StreamInfo>> {
    let mut wanted = Streams { category: Some("account".to_owned()), ..Streams::default() };
    let mut streams = Vec::new();
    loop {
        let page = store.blocking().streams(&wanted)?;
        streams.extend(page.streams);
        if !page.more {
            return Ok(streams);
        }
        wanted.after = Some(page.cursor);
    }
}

/// Prints the ten accounts with the most entries and returns the first.
fn busiest(store: &Embedded) -> anyhow::Result<Option<String>> {
    println!("3. The ten busiest accounts: each balance is a fold over the account's stream");
    let mut streams = all_streams(store)?;
    streams.sort_by(|a, b| b.version.cmp(&a.version).then(a.name.cmp(&b.name)));
    let mut rows = table(&["   account", "entries", "sum of booked entries"]);
    let started = Instant::now();
    for stream in streams.iter().take(10) {
        let mut sums: BTreeMap<String, Decimal> = BTreeMap::new();
        let booked = Query::stream(&stream.name).and(Query::event_type("EntryBooked"));
        fold(store, booked, |event| {
            let entry = entry(event)?;
            *sums.entry(entry.currency).or_default() += entry.signed_amount;
            Ok(())
        })?;
        let sums: Vec<_> = sums.iter().map(|(currency, sum)| format!("{sum} {currency}")).collect();
        let name = stream.name.trim_start_matches("account-");
        rows.add_row([&format!("   {name}"), &thousands(stream.version + 1), &sums.join(", ")]);
    }
    println!("{rows}\n   folded in {:.1} ms\n", started.elapsed().as_secs_f64() * 1e3);
    Ok(streams.first().map(|stream| stream.name.clone()))
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

fn daily_totals(store: &Embedded) -> anyhow::Result<()> {
    println!("4. Daily totals by event time: late entries stand in the day when they happened");
    let mut days: BTreeMap<(String, String), (u64, Decimal, Decimal)> = BTreeMap::new();
    fold(store, "category:account type:EntryBooked".parse()?, |event| {
        let day = event.event_time().to_string().chars().take(10).collect();
        let entry = entry(event)?;
        let total = days.entry((day, entry.currency)).or_default();
        total.0 += 1;
        let side = if entry.signed_amount.is_sign_negative() { &mut total.2 } else { &mut total.1 };
        *side += entry.signed_amount;
        Ok(())
    })?;
    let mut rows = table(&["   day", "currency", "entries", "credit", "debit"]);
    for ((day, currency), (entries, credit, debit)) in days {
        let numbers = [thousands(entries), credit.to_string(), debit.to_string()];
        rows.add_row([format!("   {day}"), currency].into_iter().chain(numbers));
    }
    println!("{rows}\n");
    Ok(())
}

fn last_entries(store: &Embedded, account: &str) -> anyhow::Result<()> {
    println!("5. The last entries of {account}, read backward");
    let page = store.blocking().read(Read::backward(Query::stream(account)).limit(5))?;
    let mut rows = table(&["   version", "event time", "type", "amount", "counterparty"]);
    for event in &page.events {
        let Entry { signed_amount, currency, counterparty } = entry(event)?;
        rows.add_row([
            format!("   {}", event.version()),
            event.event_time().to_string(),
            event.event_type().to_owned(),
            format!("{signed_amount} {currency}"),
            counterparty.unwrap_or_default(),
        ]);
    }
    println!("{rows}\n");
    Ok(())
}

fn next_steps(dir: &Path, data: &Path, account: &str) {
    let (dir, data) = (dir.display(), data.display());
    println!("6. Go on (the store is in {data}, the rejects in {dir}/rejects.ndjson)");
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
        println!("   cargo run --release -- --data {data} {command}");
    }
}
