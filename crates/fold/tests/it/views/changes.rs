//! The changes of a view's rows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use leftfold::view::{
    ChangedRows, MemoryRows, RowView, Rows, TypedRows, View, ViewError, ViewRunner,
};
use leftfold::{Append, Coded, Event, Query, Recorded};
use leftfold_io::fake::FakeDisk;
use pollster::block_on;

use super::support::*;

type Shown = Vec<(String, Option<u8>, Option<u8>)>;

fn shown(changed: &ChangedRows) -> Shown {
    let count = |row: &Option<Vec<u8>>| row.as_ref().map(|row| row[0]);
    let changes = changed.changes.iter().map(|change| {
        let key = String::from_utf8(change.key.clone()).unwrap();
        (key, count(&change.old), count(&change.new))
    });
    changes.collect()
}

#[test]
fn each_commit_brings_its_changed_rows_and_its_cursor() {
    let store = open(&FakeDisk::new());
    three_orders(&store);
    let view = ViewRunner::new(Counts::default(), store.clone(), MemoryRows::default());
    let read = async {
        view.at_least(append(&store, "order-2", "Happened").cursor).await.unwrap();
        let mut changes = view.changes();
        let mut other = view.changes();
        let first = append_all(&store, "order-1", &["Happened"; 3]);
        append(&store, "customer-1", "Happened");
        let changed = changes.next().await.unwrap();
        assert_eq!(shown(&changed), [("order-1".to_owned(), Some(3), Some(6))]);
        assert!(changed.cursor.covers(&first.cursor));
        assert_eq!(view.rows().saved().unwrap().unwrap().cursor(), changed.cursor);
        append(&store, "order-3", "Happened");
        let changed = changes.next().await.unwrap();
        assert_eq!(shown(&changed), [("order-3".to_owned(), None, Some(1))]);
        assert!(changes.try_next().unwrap().is_none());
        assert_eq!(other.try_next().unwrap().unwrap().changes[0].key, b"order-1");
        assert_eq!(other.try_next().unwrap().unwrap().changes[0].key, b"order-3");
        // Counted round to where it was: nothing has changed.
        append_all(&store, "order-3", &["Happened"; 256]);
        append(&store, "order-2", "Happened");
        let changed = changes.next().await.unwrap();
        assert_eq!(shown(&changed), [("order-2".to_owned(), Some(2), Some(3))]);
    };
    block_on(view.run_until(read)).unwrap();
}

/// Keeps the data of the last event of each stream.
struct Last;

impl View for Last {
    fn name(&self) -> &str {
        "last"
    }

    fn query(&self) -> Query {
        Query::All
    }

    fn apply(&self, rows: &mut dyn Rows, event: &Recorded) -> Result<(), ViewError> {
        match event.event_type() {
            "Removed" => rows.remove(event.stream().as_bytes()),
            _ => rows.put(event.stream().as_bytes(), &event.data()),
        }
    }
}

#[test]
fn a_subscriber_that_lags_behind_is_told_and_goes_on() {
    let store = open(&FakeDisk::new());
    let view = ViewRunner::new(Last, store.clone(), MemoryRows::default());
    let mut changes = view.changes();
    let large = |n: u8| {
        let event = leftfold::NewEvent::new("Large", vec![n; 3 << 20]);
        store.blocking().append(Append::new().event("large", event)).unwrap();
        block_on(view.catch_up()).unwrap();
    };
    (0..3).for_each(large);
    assert_eq!(changes.try_next().unwrap().unwrap().changes[0].old, None);
    (3..6).for_each(large);
    let lost = changes.try_next().unwrap_err();
    assert_eq!((lost.code(), lost.can_retry()), ("view_changes_lost", true));
    let next = changes.try_next().unwrap().unwrap();
    assert_eq!(next.changes[0].new.as_ref().unwrap()[0], 5);
    assert!(changes.try_next().unwrap().is_none());
    block_on(view.rebuild(MemoryRows::default())).unwrap();
    assert_eq!(changes.try_next().unwrap_err().code(), "view_changes_lost");
    // The new rows are followed.
    large(6);
    assert_eq!(changes.try_next().unwrap().unwrap().changes[0].new.as_ref().unwrap()[0], 6);
}

/// Who subscribes during a commit may have read the rows before it.
#[test]
fn a_subscriber_that_comes_during_a_commit_is_told_of_it() {
    let store = open(&FakeDisk::new());
    let (subscribe, subscribed) = std::sync::mpsc::channel();
    let (asked, ask) = std::sync::mpsc::channel();
    let subscribed = Mutex::new(subscribed);
    let before_commit = move || {
        asked.send(()).unwrap();
        subscribed.lock().unwrap().recv().unwrap();
    };
    let rows = HookedRows { rows: MemoryRows::default(), before_commit };
    let view = Arc::new(ViewRunner::new(Counts::default(), store.clone(), rows));
    append(&store, "order-1", "Happened");
    std::thread::scope(|scope| {
        scope.spawn(|| block_on(view.catch_up()).unwrap());
        ask.recv().unwrap();
        let mut changes = view.changes();
        assert!(view.rows().saved().unwrap().is_none());
        subscribe.send(()).unwrap();
        assert_eq!(block_on(changes.next()).unwrap_err().code(), "view_changes_lost");
    });
}

#[test]
fn a_subscriber_gets_the_failure_of_the_run() {
    let store = open(&FakeDisk::new());
    let view = ViewRunner::new(Counts::default(), store.clone(), MemoryRows::default());
    let mut changes = view.changes();
    append_all(&store, "order-1", &["Happened", "Nonsense"]);
    let (ended, seen) = block_on(futures_util::future::join(view.run(), async {
        assert_eq!(shown(&changes.next().await.unwrap()).len(), 1);
        changes.next().await.unwrap_err().code()
    }));
    assert_eq!([ended.unwrap_err().code(), seen], ["view_event_unusable"; 2]);
}

#[test]
fn rows_and_changes_add_up_to_the_rows_at_any_time() {
    let store = open(&FakeDisk::new());
    three_orders(&store);
    let view = ViewRunner::new(Last, store.clone(), MemoryRows::default());
    let read = async {
        let mut changes = view.changes();
        view.at_least(append(&store, "order-1", "Happened").cursor).await.unwrap();
        let rows = view.rows();
        let from = rows.saved().unwrap().unwrap().cursor();
        let mut copy: BTreeMap<_, _> = rows.range(b"", b"", 100).unwrap().into_iter().collect();
        let mut last = from.clone();
        for n in 0..50 {
            let (stream, removed) = (format!("order-{}", n % 7), n % 3 == 0);
            last = append(&store, &stream, if removed { "Removed" } else { "Happened" }).cursor;
        }
        view.at_least(last).await.unwrap();
        while let Some(changed) = changes.try_next().unwrap() {
            if from.covers(&changed.cursor) {
                continue;
            }
            for change in &changed.changes {
                assert_eq!(copy.get(&change.key), change.old.as_ref());
                match &change.new {
                    Some(row) => _ = copy.insert(change.key.clone(), row.clone()),
                    None => _ = copy.remove(&change.key),
                }
            }
        }
        assert_eq!(copy.into_iter().collect::<Vec<_>>(), rows.range(b"", b"", 100).unwrap());
    };
    block_on(view.run_until(read)).unwrap();
}

#[derive(Debug, Event)]
enum Visit {
    Visited { page: String },
}

struct Visits;

impl RowView for Visits {
    type Event = Visit;
    type Key = String;
    type Row = u64;

    fn name(&self) -> &str {
        "visits"
    }

    fn apply(&self, rows: &mut TypedRows<'_, Self>, event: Visit) -> Result<(), ViewError> {
        let Visit::Visited { page } = event;
        rows.upsert(&page, |visits| *visits += 1)
    }
}

#[test]
fn changes_of_typed_rows_are_typed() {
    let store = open(&FakeDisk::new());
    let view = ViewRunner::new(Visits, store.clone(), MemoryRows::default());
    let mut changes = view.changes();
    let mut seen = Vec::new();
    for page in ["a", "b", "a"] {
        let visited = Visit::Visited { page: page.to_owned() }.to_new().unwrap();
        store.blocking().append(Append::new().event("visits", visited)).unwrap();
        block_on(view.catch_up()).unwrap();
        let changed = changes.try_next().unwrap().unwrap();
        let changes = view.table().changes(&changed).unwrap();
        seen.extend(changes.into_iter().map(|change| (change.key, change.old, change.new)));
    }
    let expected = [("a", None, Some(1)), ("b", None, Some(1)), ("a", Some(1), Some(2))];
    assert_eq!(seen, expected.map(|(page, old, new)| (page.to_owned(), old, new)));
}
