//! Old bytes open for ever: stores that were written by earlier versions of the format.

use std::fs;
use std::path::Path;

use leftfold::{Embedded, IndexDefinition, Options, Point, Query, Read};

/// A store of format version 1: 60 events in four segments (three sealed), a checkpoint, a named
/// index, an open segment with a mark. `cargo xtask fixture` wrote it.
const V1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/v1");

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to),
            false => _ = fs::copy(entry.path(), to).unwrap(),
        }
    }
}

fn check(dir: &Path) {
    let store = Embedded::open_existing(dir, Options::default()).unwrap();
    let events = store.blocking().read(Read::forward(Query::System)).unwrap().events;
    assert_eq!(events.len(), 63);
    for (event, n) in events.iter().filter(|event| !event.stream().starts_with('$')).zip(0..) {
        assert_eq!(event.stream(), format!("order-{}", n % 7));
        assert_eq!((event.version(), event.id().as_u128()), (n / 7, u128::from(n) + 1));
        assert_eq!(event.data(), format!(r#"{{"n":{n}}}"#).as_bytes());
        assert_eq!(event.tags().next(), Some(("third", &*(n % 3).to_string())));
        assert_eq!(event.event_time().0, 1_000_000 * n as i64);
    }
    let read = |query: Query| store.blocking().read(Read::forward(query)).unwrap().events.len();
    assert_eq!(read(Query::stream("order-3")), 9);
    assert_eq!(read(Query::tag("third", "1")), 20);
    assert_eq!(read(Query::index("thirds")), 20);
    let last = Read::forward(Query::index("thirds")).including(Point::Ordinal(19));
    assert_eq!(store.blocking().read(last).unwrap().events.len(), 1);
    assert!(store.blocking().checkpoint("reader").unwrap().is_some());
    // What an application defines at each start is what it defined before `system:true`.
    let thirds = store.blocking().index("thirds").unwrap().unwrap();
    assert!(thirds.query.to_string().ends_with(" system:true"), "{}", thirds.query);
    let query: Query = thirds.query.to_string().replace(" system:true", "").parse().unwrap();
    store.blocking().define_index(IndexDefinition::new("thirds", query)).unwrap();
    assert_eq!(store.verify(|_, _| ()).problem_count, 0);
}

#[test]
fn a_store_of_format_1_opens_reads_and_verifies() {
    let dir = tempfile::tempdir().unwrap();
    copy(Path::new(V1), dir.path());
    check(dir.path());
}

/// What was added to format 1: packed and scavenged segments, merged index files, retention.
const GENERATIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/generations");

#[test]
fn a_store_with_generations_opens_reads_and_verifies() {
    let dir = tempfile::tempdir().unwrap();
    copy(Path::new(GENERATIONS), dir.path());
    let store = Embedded::open_existing(dir.path(), Options::default()).unwrap();
    let stat = store.stat().unwrap();
    assert!(stat.compressed > 5 && stat.index_files < stat.sealed, "{stat:?}");
    check_generations(&store);
}

/// What scavenging leaves of an event is all that its postings are made of.
#[test]
fn the_index_of_a_scavenged_store_is_made_again_from_its_log() {
    let dir = tempfile::tempdir().unwrap();
    copy(Path::new(GENERATIONS), dir.path());
    for entry in fs::read_dir(dir.path().join("index")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let store = Embedded::open_existing(dir.path(), Options::default()).unwrap();
    store.settle().unwrap();
    check_generations(&store);
    let stat = store.stat().unwrap();
    assert!(stat.index_files < stat.sealed, "merged again: {stat:?}");
}

fn check_generations(store: &Embedded) {
    let hidden = |n: u32| {
        let deleted = n % 7 == 2 && n < 60;
        let all_but_three = n % 7 == 4 && n < 7 * 22 + 4 + 3;
        deleted || n % 7 == 3 || all_but_three || n % 3 == 1
    };
    let expected: Vec<u32> = (0..180).filter(|n| !hidden(*n)).collect();
    let events = store.blocking().read(Read::forward(Query::event_type("Counted"))).unwrap().events;
    let found: Vec<u32> = events.iter().map(|event| event.id().as_u128() as u32 - 1).collect();
    assert_eq!(found, expected);
    for event in &events {
        let n = event.id().as_u128() - 1;
        let text = "so ".repeat(9);
        assert_eq!(event.data(), format!(r#"{{"n":{n},"text":"{text}"}}"#).as_bytes());
    }
    let refused = store.blocking().append(leftfold::Append::new().event("order-3", events_like()));
    assert!(refused.unwrap_err().to_string().contains("takes no more events"));
    assert_eq!(store.verify(|_, _| ()).problem_count, 0);
}

fn events_like() -> leftfold::NewEvent {
    leftfold::NewEvent::new("Counted", "")
}

#[test]
fn its_index_is_made_again_from_its_log() {
    let dir = tempfile::tempdir().unwrap();
    copy(Path::new(V1), dir.path());
    for entry in fs::read_dir(dir.path().join("index")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let store = Embedded::open_existing(dir.path(), Options::default()).unwrap();
    store.blocking().read(Read::forward(Query::tag("third", "1"))).unwrap();
    // The past of the named index is looked for again in the background.
    pass_the_time_until(|| store.blocking().indexes().unwrap().iter().all(|index| index.ready));
    drop(store);
    check(dir.path());
}

fn pass_the_time_until(done: impl Fn() -> bool) {
    while !done() {
        std::thread::yield_now();
    }
}
