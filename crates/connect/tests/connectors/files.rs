//! Files are ingested as they arrive.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use leftfold_api::{Query, Recorded};
use leftfold_connect::connectors::{ConnectorDefinition, ConnectorPhase, ConnectorStatus};
use leftfold_connect::sample::{NightOptions, write_night};
use leftfold_connect::{LedgerEntry, Mapping};
use leftfold_store::Embedded;
use tempfile::TempDir;

use crate::export::{read_all, until};
use crate::support::{PATIENCE, World};

const MAPPING: &str = r#"
    name = "orders"
    format = "ndjson"
    stream = "order-{number}"
    data = ["number", "total"]
    event = { type = "OrderImported", time = "day" }
    id = { keys = [["number"]] }
    [field]
    number = { path = "/no", required = true }
    total = { path = "/total", type = "decimal" }
    day = { path = "/day", type = "date", required = true }
"#;

/// Directories to watch, and for what is done.
pub(crate) struct Folder {
    dir: TempDir,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["in", "done", "rejects"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        fs::write(dir.path().join("orders.toml"), MAPPING).unwrap();
        Folder { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Returns a definition; `top` are lines of it, `files` lines of its table.
    pub(crate) fn watching(&self, top: &str, files: &str) -> String {
        let root = self.dir.path().display();
        format!(
            "name = \"night\"\nkind = \"files\"\n{top}\n[files]\nwatch = \"{root}/in/*\"\n\
             mapping_file = \"{root}/orders.toml\"\npoll = \"20ms\"\nsettle = \"10ms\"\n{files}\n"
        )
    }

    /// Returns the lines of a table that moves done files.
    pub(crate) fn moving(&self) -> String {
        format!("done = \"move\"\ndone_directory = \"{}\"", self.path("done").display())
    }

    /// Lets a file arrive at once.
    pub(crate) fn arrive(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let unfinished = self.path("in").join(format!("{name}.part"));
        fs::write(&unfinished, bytes).unwrap();
        fs::rename(unfinished, self.path("in").join(name)).unwrap();
    }

    pub(crate) fn names(&self, directory: &str) -> Vec<String> {
        names_in(&self.path(directory))
    }
}

fn names_in(directory: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let names = fs::read_dir(directory).unwrap().map(name);
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

pub(crate) fn orders(numbers: std::ops::Range<u32>) -> String {
    let line = |no| format!("{{\"no\":\"{no}\",\"total\":\"{no}.50\",\"day\":\"2026-11-30\"}}\n");
    numbers.map(line).collect()
}

pub(crate) fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Returns the numbers of the orders in the store, sorted; each event is one.
pub(crate) async fn numbers(store: &Embedded) -> Vec<u32> {
    let events = read_all(store, Query::category("order")).await;
    let number = |event: &Recorded| event.stream().strip_prefix("order-")?.parse().ok();
    let mut numbers: Vec<u32> = events.iter().map(|event| number(event).unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

async fn ledger(world: &World, mapping: &str) -> Vec<LedgerEntry> {
    let events = read_all(&world.store, LedgerEntry::query(Some(mapping))).await;
    events.iter().filter_map(LedgerEntry::of_recorded).collect()
}

/// Waits until as many files were read as the ledger has entries.
async fn until_entries(world: &World, count: usize) -> Vec<LedgerEntry> {
    let waiting = async {
        loop {
            let entries = ledger(world, "orders").await;
            if entries.len() >= count {
                assert_eq!(entries.len(), count, "{entries:#?}");
                return entries;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, waiting).await {
        Ok(entries) => entries,
        Err(_) => panic!("{:?} {:?}", ledger(world, "orders").await, world.connectors.list().await),
    }
}

fn counts(status: &ConnectorStatus) -> Option<(u64, u64, u64)> {
    status.gauges.map(|gauges| (gauges.events, gauges.skipped, gauges.held))
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_ingested_as_they_arrive_compressed_or_not() {
    let (world, folder) = (World::new().await, Folder::new());
    folder.arrive("a.ndjson", orders(0..1500));
    world.add(&folder.watching("", "")).await;
    until_entries(&world, 1).await;
    folder.arrive("b.ndjson.gz", gzip(&orders(1500..1700)));
    folder.arrive("c.ndjson.zst", zstd::encode_all(orders(1700..1900).as_bytes(), 1).unwrap());
    // Two parts, as they come from tools that append.
    folder.arrive("d.gz", [gzip(&orders(1900..1950)), gzip(&orders(1950..2000))].concat());
    let entries = until_entries(&world, 4).await;
    assert_eq!(numbers(&world.store).await, (0..2000).collect::<Vec<_>>());
    assert!(entries.iter().all(|entry| entry.complete && entry.rejected == 0), "{entries:#?}");
    let status = world.until("night", |it| counts(it) == Some((2000, 0, 0))).await;
    assert_eq!((status.phase, status.query), (ConnectorPhase::Running, None));
    assert_eq!(status.gauges.unwrap().lag_micros, Some(0));
    // They stay where they are, and a hidden or unfinished one is none.
    folder.arrive(".hidden", orders(3000..3001));
    fs::write(folder.path("in/e.tmp"), orders(3000..3001)).unwrap();
    folder.arrive("f", orders(2000..2001));
    until_entries(&world, 5).await;
    assert_eq!(numbers(&world.store).await.len(), 2001);
    assert_eq!(folder.names("in").len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_nights_batch_are_ingested_in_the_order_of_their_arrival() {
    let (world, folder) = (World::new().await, Folder::new());
    let options = NightOptions { seed: 7, accounts: 20, entries: 2_000, malformed: 9 };
    let night = write_night(&folder.path("in"), &options).unwrap();
    let text = folder.watching("", &folder.moving()).replace(
        &format!("mapping_file = \"{}\"", folder.path("orders.toml").display()),
        "mapping = \"camt.053\"",
    );
    world.add(&text).await;
    let entries = async {
        loop {
            let entries = ledger(&world, "camt.053").await;
            if entries.len() == 4 {
                return entries;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let entries = tokio::time::timeout(PATIENCE, entries).await.unwrap();
    let sum = |of: fn(&LedgerEntry) -> u64| entries.iter().map(of).sum::<u64>();
    assert_eq!(sum(|entry| entry.ingested), night.good);
    assert_eq!(sum(|entry| entry.repeated), night.duplicates);
    assert_eq!(sum(|entry| entry.rejected), night.malformed + night.duplicate_malformed);
    world.until("night", |it| counts(it).is_some_and(|(events, ..)| events == night.good)).await;
    until(async || folder.names("done").len() == 4).await;
    assert!(folder.names("in").iter().all(|name| name.ends_with(".rejects.ndjson")));
}

/// A line that is cut where the file ends at a look would be refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_grows_is_read_when_it_has_settled() {
    let (world, folder) = (World::new().await, Folder::new());
    world.add(&folder.watching("", "").replace("settle = \"10ms\"", "settle = \"1s\"")).await;
    let text = orders(0..50);
    let mut file = fs::File::create(folder.path("in/a.ndjson")).unwrap();
    for piece in text.as_bytes().chunks(97) {
        file.write_all(piece).unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let entries = until_entries(&world, 1).await;
    assert_eq!((entries[0].ingested, entries[0].rejected), (50, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_read_once_and_what_is_read_again_adds_nothing() {
    let (mut world, folder) = (World::new().await, Folder::new());
    folder.arrive("a", orders(0..10));
    world.add(&folder.watching("", "")).await;
    until_entries(&world, 1).await;
    // Another run knows that it is done.
    world.stop().await;
    world.start().await;
    folder.arrive("copy", orders(0..10));
    let entries = until_entries(&world, 2).await;
    assert_eq!((entries[1].ingested, entries[1].repeated), (0, 10));
    assert!(entries[1].file.ends_with("/in/copy"), "{entries:?}");
    // A changed file of the same name brings what is new in it.
    folder.arrive("a", orders(0..15));
    let entries = until_entries(&world, 3).await;
    assert_eq!((entries[2].ingested, entries[2].repeated), (5, 10));
    // Reset lets all files be read again.
    world.connectors.reset("night").await.unwrap();
    let entries = until_entries(&world, 5).await;
    assert!(entries[3..].iter().all(|entry| entry.ingested == 0), "{entries:?}");
    assert_eq!(numbers(&world.store).await, (0..15).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn done_files_are_moved_and_another_one_of_the_same_name_gets_a_number() {
    let (world, folder) = (World::new().await, Folder::new());
    world.add(&folder.watching("", &folder.moving())).await;
    let mut moved = Vec::new();
    for (at, name) in (1..).zip(["a", "a.2", "a.3"]) {
        folder.arrive("a", orders(at..at + 1));
        until_entries(&world, at as usize).await;
        moved.push(name.to_owned());
        until(async || folder.names("done") == moved).await;
    }
    assert_eq!(fs::read_to_string(folder.path("done/a.2")).unwrap(), orders(2..3));
    assert!(folder.names("in").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_gone_is_an_error_until_it_is_back() {
    let (world, folder) = (World::new().await, Folder::new());
    fs::remove_dir(folder.path("done")).unwrap();
    fs::write(folder.path("done"), "in the way").unwrap();
    folder.arrive("a", orders(0..3));
    folder.arrive("b", orders(3..6));
    world.add(&folder.watching("", &folder.moving())).await;
    // All files are read, though none can be moved, and none is read twice.
    let status = world.until("night", |it| it.phase == ConnectorPhase::Retrying).await;
    assert_eq!(status.code.as_deref(), Some("connector_unavailable"));
    assert!(status.failure.unwrap().contains("can't be moved"));
    until_entries(&world, 2).await;
    fs::remove_file(folder.path("done")).unwrap();
    fs::create_dir(folder.path("done")).unwrap();
    until(async || folder.names("done") == ["a", "b"]).await;
    until_entries(&world, 2).await;

    fs::remove_dir(folder.path("in")).unwrap();
    // A mount that is missing is no empty one.
    let is_gone = |failure: &String| failure.contains("/in: ");
    let status = world.until("night", |it| it.failure.as_ref().is_some_and(is_gone)).await;
    assert_eq!(status.phase, ConnectorPhase::Retrying);
    fs::create_dir(folder.path("in")).unwrap();
    folder.arrive("c", orders(6..9));
    until_entries(&world, 3).await;
    assert_eq!(numbers(&world.store).await.len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_records_are_written_beside_the_file_and_never_over_others() {
    let (world, folder) = (World::new().await, Folder::new());
    let wrong = "{\"no\":\"7\",\"total\":\"1\",\"day\":\"never\"}\n";
    folder.arrive("a.ndjson", orders(0..2) + wrong + &orders(2..3));
    world.add(&folder.watching("", "")).await;
    let entries = until_entries(&world, 1).await;
    assert_eq!((entries[0].ingested, entries[0].rejected), (3, 1));
    world.until("night", |it| counts(it) == Some((3, 1, 0))).await;
    let rejects = |name: &str| {
        let text = fs::read_to_string(folder.path("in").join(name)).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.collect::<Vec<serde_json::Value>>()
    };
    let first = rejects("a.ndjson.rejects.ndjson");
    assert_eq!(first.len(), 1);
    assert_eq!((&first[0]["line"], &first[0]["reason"]), (&3.into(), &"bad_date".into()));
    assert_eq!(first[0]["record"], wrong.trim_end());
    assert_eq!(first[0]["file"], "a.ndjson");
    // Another file of the same name has others; the first ones stay.
    let other = "{\"total\":\"1\",\"day\":\"2026-11-30\"}\n";
    folder.arrive("a.ndjson", orders(3..4) + other);
    until_entries(&world, 2).await;
    assert_eq!(rejects("a.ndjson.rejects.ndjson"), first);
    assert_eq!(rejects("a.ndjson.2.rejects.ndjson")[0]["reason"], "missing_field");
    // What is read again has the same ones, which are there.
    world.connectors.reset("night").await.unwrap();
    until_entries(&world, 3).await;
    assert_eq!(
        folder.names("in"),
        ["a.ndjson", "a.ndjson.2.rejects.ndjson", "a.ndjson.rejects.ndjson"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_records_that_cannot_be_written_are_tried_again() {
    let (world, folder) = (World::new().await, Folder::new());
    let rejects = folder.path("rejects");
    fs::remove_dir(&rejects).unwrap();
    let elsewhere = format!("rejects_directory = \"{}\"", rejects.display());
    folder.arrive("a", "{}\n".to_owned() + &orders(0..2));
    folder.arrive("b", orders(2..4));
    world.add(&folder.watching("", &elsewhere)).await;
    let status = world.until("night", |it| it.phase == ConnectorPhase::Retrying).await;
    assert!(status.failure.unwrap().contains("refused records can't be written"));
    // The other file is done meanwhile.
    assert!(until_entries(&world, 1).await[0].file.ends_with("/in/b"));
    fs::create_dir(&rejects).unwrap();
    until_entries(&world, 2).await;
    assert_eq!(folder.names("rejects"), ["a.rejects.ndjson"]);
    assert_eq!(numbers(&world.store).await, [0, 1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_wrong_as_a_whole_stops_the_connector_if_it_is_told_to() {
    let (world, folder) = (World::new().await, Folder::new());
    folder.arrive("a.gz", &gzip(&orders(0..2000))[..2000]);
    world.add(&folder.watching("on_error = \"stop\"", "")).await;
    let status = world.until("night", |it| it.phase == ConnectorPhase::Failed).await;
    assert_eq!(status.code.as_deref(), Some("connector_unusable"));
    let failure = status.failure.unwrap();
    assert!(failure.contains("a.gz: ") && failure.contains("decompressed"), "{failure}");
    folder.arrive("a.gz", gzip(&orders(0..2000)));
    world.connectors.resume("night").await.unwrap();
    until_entries(&world, 1).await;
    assert_eq!(numbers(&world.store).await.len(), 2000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_wrong_as_a_whole_stays_and_others_follow() {
    let (world, folder) = (World::new().await, Folder::new());
    folder.arrive("a", "<xml/>");
    world.add(&folder.watching("", &folder.moving())).await;
    let entries = until_entries(&world, 1).await;
    assert_eq!(entries[0].ingested, 0);
    folder.arrive("b", orders(0..3));
    world.until("night", |it| counts(it) == Some((3, 1, 1))).await;
    until(async || folder.names("done") == ["b"]).await;
    // It is known to a run that begins, and is read when it is mended.
    world.connectors.pause("night").await.unwrap();
    world.connectors.resume("night").await.unwrap();
    world.until("night", |it| counts(it) == Some((0, 0, 1))).await;
    folder.arrive("a", orders(3..6));
    until_entries(&world, 3).await;
    world.until("night", |it| counts(it) == Some((3, 0, 0))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_wrong_as_a_whole_is_left_out_if_it_is_told_to() {
    let (world, folder) = (World::new().await, Folder::new());
    folder.arrive("a", "{}\n".repeat(20) + &orders(0..3));
    folder.arrive("b", "");
    let more = folder.moving() + "\nmax_rejects = 10";
    world.add(&folder.watching("on_error = \"skip\"", &more)).await;
    until(async || folder.names("done") == ["a", "b"]).await;
    let rejects = fs::read_to_string(folder.path("in/a.rejects.ndjson")).unwrap();
    assert_eq!(rejects.lines().count(), 10);
    assert_eq!(counts(&world.connectors.status("night").await.unwrap()).unwrap().2, 0);
}

/// Interrupted anywhere, in the middle of files too, and begun again: nothing is there twice, nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_twice_when_runs_are_interrupted() {
    const SEED: u64 = 20_261_130;
    let (mut world, folder) = (World::new().await, Folder::new());
    world.add(&folder.watching("", &folder.moving())).await;
    let mut random = SEED;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) % below
    };
    let (mut at, mut files) = (0, Vec::new());
    for round in 0..10 {
        for _ in 0..next(3) + 1 {
            let (count, name) = (next(900) as u32, format!("{round:02}-{at}.gz"));
            // Some have records of the one before.
            let from = at - if next(6) == 0 { at.min(50) } else { 0 };
            folder.arrive(&name, gzip(&(orders(from..at + count) + "{}\n")));
            at += count;
            files.push(name);
        }
        tokio::time::sleep(Duration::from_millis(next(60))).await;
        world.interrupt().await;
        world.start().await;
    }
    files.sort();
    until(async || folder.names("done") == files).await;
    assert_eq!(numbers(&world.store).await, (0..at).collect::<Vec<_>>(), "seed {SEED}");
    // One list of refused records for each file, however often it was read.
    let rejects: Vec<_> = files.iter().map(|name| format!("{name}.rejects.ndjson")).collect();
    assert_eq!(folder.names("in"), rejects, "seed {SEED}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_watched_files_names_what_is_missing() {
    let (world, folder) = (World::new().await, Folder::new());
    folder.arrive("a", orders(0..3));
    let check = async |text: &str| {
        let definition = ConnectorDefinition::parse(text).unwrap();
        world.connectors.test(&definition).await
    };
    let all = check(&folder.watching("", &folder.moving())).await;
    assert!(all.is_ok() && all.findings.len() == 4, "{all:?}");
    assert!(all.findings[1].detail.starts_with("1 files match"), "{all:?}");
    for (from, to, part) in [
        ("/done\"", "/gone\"", "/gone: "),
        ("/in/*\"", "/other/*\"", "/other: "),
        ("orders.toml", "none.toml", "none.toml: "),
        ("/in/*\"", "/orders.toml\"", "is no directory"),
    ] {
        let found = check(&folder.watching("", &folder.moving()).replace(from, to)).await;
        let wrong = found.findings.iter().find(|finding| !finding.ok);
        assert!(wrong.is_some_and(|wrong| wrong.detail.contains(part)), "{to}: {found:?}");
    }
    fs::write(folder.path("orders.toml"), "name = 1").unwrap();
    assert!(!check(&folder.watching("", "")).await.is_ok());
    assert_eq!(folder.names("in"), ["a"]);
}

#[test]
fn a_wrong_definition_of_watched_files_is_refused_with_a_sentence() {
    let valid =
        "name = \"a\"\nkind = \"files\"\n[files]\nwatch = \"/in/*.xml\"\nmapping = \"camt.053\"\n";
    ConnectorDefinition::parse(valid).unwrap();
    assert!(Mapping::builtin("camt.053").is_some());
    for (from, to, part) in [
        ("[files]", "query = \"all\"\n[files]", "brings them in"),
        ("/in/*.xml", "in/*.xml", "watch: expected a path that begins with /"),
        ("/in/*.xml", "/in/***.xml", "watch: "),
        ("camt.053", "camt.999", "is not built in"),
        ("mapping = \"camt.053\"", "", "either mapping or mapping_file"),
        ("camt.053\"", "camt.053\"\nmapping_file = \"/a\"", "either mapping or mapping_file"),
        ("camt.053\"", "camt.053\"\ndone = \"move\"", "needs a done_directory"),
        ("camt.053\"", "camt.053\"\ndone_directory = \"/a\"", "is for done = \"move\""),
        ("camt.053\"", "camt.053\"\npoll = \"often\"", "is no time"),
        ("camt.053\"", "camt.053\"\nerase = true", "[files]: "),
    ] {
        let refused = ConnectorDefinition::parse(&valid.replace(from, to)).unwrap_err().to_string();
        assert!(refused.contains(part), "{to}: {refused}");
    }
}
