//! Directories with files of events, and what is read in them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use leftfold_api::{Append, EventStore, NewEvent, Query, Read, Recorded, Timestamp};
use leftfold_store::Embedded;
use serde_json::Value;
use tempfile::TempDir;

use super::rows::rows;
use crate::support::{PATIENCE, World};

/// 2026-11-30T00:00:00Z
pub(crate) const MONDAY: i64 = 1_795_996_800_000_000;
pub(crate) const DAY: i64 = 86_400_000_000;

/// A directory for files with events.
pub(crate) struct Lake {
    dir: TempDir,
}

impl Lake {
    pub(crate) fn new() -> Self {
        Lake { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Returns a definition; `more` are lines of its table.
    pub(crate) fn export(&self, more: &str) -> String {
        definition(self.path(), more)
    }
}

pub(crate) fn definition(directory: &Path, more: &str) -> String {
    let directory = directory.display();
    format!(
        "name = \"lake\"\nkind = \"file-export\"\nquery = \"category:order\"\n[file-export]\n\
         directory = \"{directory}\"\nevery = \"10ms\"\n{more}\n"
    )
}

/// Returns the files with events, by their path in the directory.
pub(crate) fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut files, mut open) = (BTreeMap::new(), vec![directory.to_owned()]);
    while let Some(inside) = open.pop() {
        for entry in fs::read_dir(&inside).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            match path.is_dir() {
                true if name.starts_with('_') => {}
                true => open.push(path),
                false => {
                    // A run that begins removes files.
                    let Ok(bytes) = fs::read(&path) else { continue };
                    files.insert(path.strip_prefix(directory).unwrap().to_owned(), bytes);
                }
            }
        }
    }
    files
}

pub(crate) fn text_of(path: &Path, bytes: &[u8]) -> String {
    let mut text = String::new();
    match path.extension().unwrap().to_str().unwrap() {
        "gz" => _ = flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).unwrap(),
        "zst" => _ = zstd::Decoder::new(bytes).unwrap().read_to_string(&mut text).unwrap(),
        _ => text = String::from_utf8(bytes.to_vec()).unwrap(),
    }
    text
}

/// Returns the lines of all files, those of a file in their order, each with its file; rows of Parquet as such lines.
pub(crate) fn lines(directory: &Path) -> Vec<(PathBuf, Value)> {
    let mut lines = Vec::new();
    for (path, bytes) in files(directory) {
        if path.extension().unwrap() == "parquet" {
            lines.extend(rows(bytes).into_iter().map(|row| (path.clone(), row)));
            continue;
        }
        let text = text_of(&path, &bytes);
        assert!(text.ends_with('\n'), "{}", path.display());
        let parsed = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.extend(parsed.map(|line| (path.clone(), line)));
    }
    lines
}

pub(crate) async fn read_all(store: &Embedded, query: Query) -> Vec<Recorded> {
    let (mut all, mut read) = (Vec::new(), Read::forward(query.clone()));
    loop {
        let page = store.read(read).await.unwrap();
        all.extend(page.events);
        if !page.more {
            return all;
        }
        read = Read::forward(query.clone()).after(page.cursor);
    }
}

/// Checks that the files have each event once, on the right day, in the order of the store.
pub(crate) fn check_equal(directory: &Path, events: &[Recorded]) {
    let lines = lines(directory);
    let mut positions: Vec<u64> =
        lines.iter().map(|(_, line)| line["position"].as_u64().unwrap()).collect();
    positions.sort_unstable();
    let wanted: Vec<u64> = events.iter().map(Recorded::position).collect();
    assert_eq!(positions, wanted);
    let events: BTreeMap<u64, &Recorded> =
        events.iter().map(|event| (event.position(), event)).collect();
    let mut last = BTreeMap::<PathBuf, u64>::new();
    for (path, line) in &lines {
        let position = line["position"].as_u64().unwrap();
        let event = events[&position];
        assert_eq!(line["id"], event.id().to_string());
        assert_eq!(
            (&line["stream"], &line["version"]),
            (&event.stream().into(), &event.version().into())
        );
        assert_eq!(line["type"], event.event_type());
        assert_eq!(line["data"], serde_json::from_slice::<Value>(&event.data()).unwrap());
        let day = format!("date={}", event.event_time().to_string().get(..10).unwrap());
        let directory = path.parent().unwrap().to_path_buf();
        assert!(directory == Path::new(&day) || directory == Path::new(""), "{path:?}");
        // The files of a day are sorted by number, so their events are in order too.
        let before = last.insert(directory, position);
        assert!(before.is_none_or(|before| before < position), "{path:?}: {position}");
    }
}

pub(crate) async fn append(store: &Embedded, stream: &str, day: i64, count: usize) {
    let events = (0..count).fold(Append::new(), |append, at| {
        let event =
            NewEvent::json("OrderPlaced", format!("{{\"at\":{at},\"note\":\"a,\\\"b\\\"\"}}"));
        append.event(stream, event.event_time(Timestamp(MONDAY + day * DAY + at as i64)))
    });
    store.append(events).await.unwrap();
}

pub(crate) async fn until(what: impl AsyncFn() -> bool) {
    let waiting = async {
        while !what().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
}

pub(crate) async fn until_events(world: &World, events: u64) {
    world.until("lake", |it| it.gauges.is_some_and(|gauges| gauges.events == events)).await;
}

pub(crate) fn names(directory: &Path) -> Vec<String> {
    files(directory).keys().map(|path| path.display().to_string()).collect()
}
