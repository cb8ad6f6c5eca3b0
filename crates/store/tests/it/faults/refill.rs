//! Named indexes that differ from their queries, which a release with a race could leave behind.

use leftfold_api::{Append, EventStore, IndexDefinition, NewEvent, Query, Read};
use leftfold_io::fake::FakeDisk;
use leftfold_io::{Disk, OpenMode};
use leftfold_store::{Embedded, Manual, Options};

use crate::faults::support::{drive, manual};

/// Makes a store with five events, of which those of type `A` are in the index.
fn filled(types: [&str; 5]) -> FakeDisk {
    let disk = FakeDisk::new();
    let (store, mut manual) = manual(&disk, Options::default()).unwrap();
    for event_type in types {
        let append = Append::new().event("s-1", NewEvent::new(event_type, ""));
        drive(&mut manual, store.append(append)).unwrap();
    }
    let partitioned = IndexDefinition::new("split", Query::event_type("A"))
        .partitioned(3, leftfold_api::PartitionKey::Stream);
    for definition in [IndexDefinition::new("whole", Query::event_type("A")), partitioned] {
        drive(&mut manual, store.define_index(definition)).unwrap();
    }
    manual.close();
    disk
}

fn backfills(disk: &FakeDisk) -> Vec<String> {
    let names = disk.names();
    names.into_iter().filter(|name| name.starts_with("index/") && !name.ends_with(".idx")).collect()
}

fn found(store: &Embedded, query: &str) -> Vec<u64> {
    let page = store.blocking().read(Read::forward(query.parse().unwrap())).unwrap();
    page.events.iter().map(|event| event.position()).collect()
}

fn maintain(manual: &mut Manual) {
    while manual.maintain() {}
}

#[test]
fn verify_fills_an_index_again_that_differs_from_its_query() {
    let disk = filled(["A", "A", "B", "B", "A"]);
    // The same store, but another event of type `A` in the same place.
    let other = filled(["A", "B", "A", "B", "A"]);
    let (store, _manual) = manual(&disk, Options::default()).unwrap();
    let verified = store.verify(|_, _| ());
    assert_eq!((verified.problem_count, verified.refilled.len()), (0, 0), "{verified:?}");
    drop((store, _manual));
    let names = backfills(&disk);
    assert!(!names.is_empty(), "{:?}", disk.names());
    for name in &names {
        let bytes = other.bytes(name).unwrap();
        disk.open(name, OpenMode::Write).unwrap().write_at(&bytes, 0).unwrap();
    }

    let (store, mut manual) = manual(&disk, Options::default()).unwrap();
    maintain(&mut manual);
    assert_eq!(found(&store, "index:whole"), [1, 3, 5], "a hole, and a stranger");
    let verified = store.verify(|_, _| ());
    assert_eq!(verified.problem_count, 2, "{verified:?}");
    assert!(verified.problems[0].message.contains("differs from its query"), "{verified:?}");
    assert_eq!(verified.refilled, ["whole", "split"]);
    maintain(&mut manual);
    assert_eq!(found(&store, "index:whole"), [1, 2, 5]);
    assert_eq!(found(&store, "index:split"), [1, 2, 5]);
    assert_eq!(store.verify(|_, _| ()).problem_count, 0);
    manual.close();
    drop(store);
    let (store, mut manual) = crate::faults::support::manual(&disk, Options::default()).unwrap();
    maintain(&mut manual);
    assert_eq!(found(&store, "index:whole"), [1, 2, 5]);
    assert_eq!(store.verify(|_, _| ()).problem_count, 0);
}
