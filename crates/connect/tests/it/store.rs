//! Ingesting whole files into a store: new, repeated and refused records.

use std::sync::Arc;

use leftfold_api::{Query, Read};
use leftfold_connect::{
    IngestObserver, IngestSummary, LedgerEntry, Mapping, Reject, Tally, ingest, sample,
};
use leftfold_io::SystemClock;
use leftfold_io::fake::{FakeDisk, SeededRandom};
use leftfold_store::{Embedded, Options};

use crate::identity::source;

const ROWS: &str = r#"
name = "rows"
format = "csv"
stream = "{stream}"
data = ["n", "what"]
event = { type = "Row", time = "day" }
id = { keys = [["n"]] }
[field]
stream = { path = "stream", required = true }
n = { path = "n", required = true }
what = { path = "what" }
day = { path = "day", type = "date" }
"#;

#[derive(Default)]
struct Rejects(Vec<Reject>);

impl IngestObserver for Rejects {
    fn on_reject(&mut self, reject: &Reject) -> std::io::Result<()> {
        self.0.push(reject.clone());
        Ok(())
    }
}

pub(crate) fn store() -> Embedded {
    let disk = Arc::new(FakeDisk::new());
    let random = Arc::new(SeededRandom::new(1));
    Embedded::open_on(disk, Arc::new(SystemClock), random, Options::default()).unwrap()
}

fn rows(store: &Embedded, rows: &[String]) -> (Tally, Vec<Reject>) {
    let text = format!("stream,n,what,day\n{}", rows.concat());
    let mut rejects = Rejects::default();
    let mapping = Mapping::parse(ROWS).unwrap();
    let IngestSummary { tally, read, .. } =
        ingest(store, &mapping, source("rows.csv"), text.as_bytes(), &mut rejects).unwrap();
    assert!(read.complete);
    (tally, rejects.0)
}

fn row(stream: &str, n: usize, what: &str) -> String {
    format!("{stream},{n},{what},2026-01-31\n")
}

fn tally(ingested: u64, repeated: u64, rejected: u64) -> Tally {
    Tally { ingested, repeated, rejected, ..Tally::default() }
}

fn contents(store: &Embedded) -> Vec<(u64, String, u64, String)> {
    let (mut all, mut read) = (Vec::new(), Read::forward(Query::All));
    loop {
        let page = store.blocking().read(read).unwrap();
        all.extend(page.events.iter().map(|event| {
            let data = String::from_utf8(event.data().to_vec()).unwrap();
            (event.position(), event.stream().to_owned(), event.version(), data)
        }));
        if !page.more {
            return all;
        }
        read = Read::forward(Query::All).after(page.cursor);
    }
}

#[test]
fn the_same_file_twice_adds_nothing() {
    let store = store();
    let file: Vec<_> = (0..2_345).map(|n| row(&format!("s-{}", n % 7), n, "x")).collect();
    assert_eq!(rows(&store, &file), (tally(2_345, 0, 0), vec![]));
    let before = contents(&store);
    assert_eq!(rows(&store, &file), (tally(0, 2_345, 0), vec![]));
    assert_eq!(contents(&store), before);
}

#[test]
fn ingesting_the_whole_file_completes_a_truncated_one() {
    let file: Vec<_> = (0..1_400).map(|n| row(&format!("s-{}", n % 7), n, "x")).collect();
    let whole = store();
    rows(&whole, &file);
    for cut in [0, 1, 499, 500, 501, 777, 1_000, 1_399] {
        let store = store();
        // A file without rows says so.
        let refused = u64::from(cut == 0);
        assert_eq!(rows(&store, &file[..cut]).0, tally(cut as u64, 0, refused));
        assert_eq!(rows(&store, &file).0, tally(1_400 - cut as u64, cut as u64, 0), "cut {cut}");
        assert_eq!(contents(&store), contents(&whole), "cut {cut}: the same events and order");
    }
}

#[test]
fn records_in_several_files_are_added_once() {
    let store = store();
    let all: Vec<_> = (0..1_000).map(|n| row("s", n, "x")).collect();
    let odd: Vec<_> = all.iter().skip(1).step_by(2).cloned().collect();
    assert_eq!(rows(&store, &odd).0, tally(500, 0, 0));
    assert_eq!(rows(&store, &all).0, tally(500, 500, 0));
    let twice =
        [&all[..10], &all[..10], &[row("s", 1_000, "new"), row("s", 1_000, "new")]].concat();
    assert_eq!(rows(&store, &twice).0, tally(1, 21, 0));
}

#[test]
fn the_same_key_with_other_content_is_refused_in_the_file_and_in_the_store() {
    let store = store();
    let (counts, rejects) = rows(&store, &[row("s", 1, "one"), row("s", 1, "other")]);
    assert_eq!(
        (counts, rejects[0].reason.code(), rejects[0].line),
        (tally(1, 0, 1), "id_reused", 3)
    );
    let file = [row("s", 2, "two"), row("s", 1, "third"), row("s", 3, "three")];
    let (counts, rejects) = rows(&store, &file);
    assert_eq!((counts, rejects[0].reason.code()), (tally(2, 0, 1), "id_reused"));
    assert!(rejects[0].message.contains("with other content"), "{}", rejects[0].message);
    assert_eq!(rejects[0].record, "s,1,third,2026-01-31");
}

#[test]
fn only_the_records_that_the_store_refuses_are_rejected() {
    let store = store();
    let long = "x".repeat(1_100);
    let own = "leftfold.connector-mine";
    let file = [
        row("s", 1, "a"),
        row(&long, 2, "b"),
        row("$mine", 3, "c"),
        row(own, 4, "d"),
        row("s", 5, "e"),
    ];
    let (counts, rejects) = rows(&store, &file);
    assert_eq!(counts, tally(2, 0, 3));
    assert!(rejects.iter().all(|reject| reject.reason.code() == "refused"));
    for part in
        ["it has 1100 bytes", "$mine belongs to the store", "leftfold.connector-mine belongs"]
    {
        assert!(rejects.iter().any(|reject| reject.message.contains(part)), "{part}: {rejects:?}");
    }
}

#[test]
fn a_night_of_statements_is_ingested_as_generated() {
    let dir = tempfile::tempdir().unwrap();
    let options =
        sample::NightOptions { accounts: 20, entries: 1_500, ..sample::NightOptions::default() };
    let night = sample::write_night(dir.path(), &options).unwrap();
    let (store, mapping) = (store(), Mapping::builtin("camt.053").unwrap());
    let mut sum = Tally::default();
    let mut rejects = Rejects::default();
    for file in night.files.iter().chain([&night.duplicate]) {
        let input = std::io::BufReader::new(std::fs::File::open(file).unwrap());
        let IngestSummary { tally, .. } =
            ingest(&store, &mapping, source("night.xml"), input, &mut rejects).unwrap();
        sum.ingested += tally.ingested;
        sum.repeated += tally.repeated;
        sum.rejected += tally.rejected;
    }
    assert_eq!(sum.ingested, night.good);
    assert_eq!(sum.repeated, night.duplicates);
    assert_eq!(sum.rejected, night.malformed + night.duplicate_malformed);
    assert_eq!(contents(&store).len() as u64, night.good);
}

#[test]
fn the_ledger_says_what_came_in() {
    let store = store();
    let mapping = Mapping::parse(ROWS).unwrap();
    let text = format!("stream,n,what,day\n{}{}", row("a", 1, "x"), row("b", 2, "y"));
    for name in ["monday.csv", "tuesday.csv"] {
        let mut rejects = Rejects::default();
        let done = ingest(&store, &mapping, source(name), text.as_bytes(), &mut rejects).unwrap();
        let entry = LedgerEntry::new(name, &mapping, &done);
        pollster::block_on(entry.write(&store)).unwrap();
    }
    assert_eq!(contents(&store).len(), 2, "the ledger is bookkeeping");
    for query in [LedgerEntry::query(None), LedgerEntry::query(Some("rows"))] {
        let page = store.blocking().read(Read::forward(query)).unwrap();
        let entries: Vec<_> = page.events.iter().filter_map(LedgerEntry::of_recorded).collect();
        let told = |entry: &LedgerEntry| (entry.file.clone(), entry.ingested, entry.repeated);
        assert_eq!(told(&entries[0]), ("monday.csv".to_owned(), 2, 0));
        assert_eq!(told(&entries[1]), ("tuesday.csv".to_owned(), 0, 2));
        assert_eq!(entries[0].bytes, text.len() as u64);
        // echo -ne 'stream,n,what,day\na,1,x,2026-01-31\nb,2,y,2026-01-31\n' | sha256sum
        assert_eq!(
            entries[0].sha256,
            "9864b4889c5733819a9dd2f03ccd4c22a7a1f1ad8380776fe327d610dbf53cb9"
        );
        assert_eq!(entries[0].sha256, entries[1].sha256);
    }
    assert!(
        store
            .blocking()
            .read(Read::forward(LedgerEntry::query(Some("no"))))
            .unwrap()
            .events
            .is_empty()
    );
}
