//! Views with typed keys and rows.

use std::sync::Arc;

use leftfold::view::{
    MemoryRows, RedbRows, RowTable, RowView, Rows, TypedRow, TypedRows, View, ViewError, ViewRunner,
};
use leftfold::{Append, Coded, Cursor, Embedded, Event, Query, Recorded};
use leftfold_io::fake::FakeDisk;
use pollster::block_on;
use serde::{Deserialize, Serialize};

use super::support::*;

#[derive(Debug, Event)]
enum Stay {
    Booked { room: u32, day: i64, guest: String },
    Paid { room: u32, day: i64, cents: u64 },
    Praised { room: u32, day: i64 },
    Cancelled { room: u32, day: i64 },
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Row {
    guest: String,
    paid: u64,
    stream: String,
}

/// The stays of each room and day.
struct Stays(u32);

impl RowView for Stays {
    type Event = Stay;
    type Key = (u32, i64);
    type Row = Row;

    fn name(&self) -> &str {
        "stays"
    }

    fn logic(&self) -> u32 {
        self.0
    }

    fn apply(&self, rows: &mut TypedRows<'_, Self>, event: Stay) -> Result<(), ViewError> {
        match event {
            Stay::Booked { room, day, guest } => {
                let stream = rows.recorded().stream().to_owned();
                rows.put(&(room, day), &Row { guest, paid: 0, stream })
            }
            Stay::Paid { room, day, cents } => rows.update(&(room, day), |row| row.paid += cents),
            Stay::Praised { room, day } => rows.upsert(&(room, day), |row| row.guest.push('!')),
            Stay::Cancelled { room, day } => rows.remove(&(room, day)),
        }
    }
}

fn add(store: &Embedded, events: impl IntoIterator<Item = Stay>) -> Cursor {
    let add = |append: Append, event: Stay| append.event("stays-1", event.to_new().unwrap());
    store.blocking().append(events.into_iter().fold(Append::new(), add)).unwrap().cursor
}

fn booked(room: u32, day: i64) -> Stay {
    Stay::Booked { room, day, guest: format!("guest {room} {day}") }
}

fn keys(rows: Result<Vec<TypedRow<Stays>>, ViewError>) -> Vec<(u32, i64)> {
    rows.unwrap().into_iter().map(|(key, _)| key).collect()
}

#[test]
fn typed_rows_are_read_by_key_by_range_and_in_order() {
    let store = open(&FakeDisk::new());
    add(&store, [300, 1, 2].into_iter().flat_map(|room| (-2..3).map(move |day| booked(room, day))));
    add(
        &store,
        [Stay::Paid { room: 1, day: 0, cents: 5 }, Stay::Paid { room: 1, day: 0, cents: 7 }],
    );
    add(&store, [Stay::Praised { room: 1, day: 9 }, Stay::Cancelled { room: 2, day: 0 }]);
    append(&store, "stays-1", "Unknown");
    let dir = tempfile::tempdir().unwrap();
    let on_disk = RedbRows::open(dir.path().join("rows")).unwrap();
    let on_disk = ViewRunner::new(Stays(1), store.clone(), on_disk);
    let in_memory = ViewRunner::new(Stays(1), store.clone(), MemoryRows::default());
    for view in [on_disk, in_memory] {
        block_on(view.catch_up()).unwrap();
        let table = view.table();
        let stream = "stays-1".to_owned();
        let row = Row { guest: "guest 1 0".to_owned(), paid: 12, stream };
        assert_eq!(table.get(&(1, 0)).unwrap(), Some(row));
        assert_eq!(table.get(&(1, 9)).unwrap().unwrap().guest, "!");
        assert_eq!(table.get(&(2, 0)).unwrap(), None);
        assert_eq!(keys(table.under(&(2,), 10)), [(2, -2), (2, -1), (2, 1), (2, 2)]);
        assert_eq!(keys(table.range((1, 2)..(2, -1), 10)), [(1, 2), (1, 9), (2, -2)]);
        assert_eq!(keys(table.range((300, 1)..=(300, 2), 10)), [(300, 1), (300, 2)]);
        assert_eq!(keys(table.range(.., 2)), [(1, -2), (1, -1)]);
        assert_eq!(table.iter().count(), 15);
    }
}

#[test]
fn all_rows_are_iterated_in_pages() {
    let store = open(&FakeDisk::new());
    let view = ViewRunner::new(Stays(1), store.clone(), MemoryRows::default());
    for end in [0, 255, 256, 257, 600] {
        let praised = add(&store, (-1..end).map(|day| Stay::Praised { room: 300, day }));
        block_on(view.catch_up()).unwrap();
        let table = block_on(view.table_at_least(praised)).unwrap();
        let keys = keys(table.iter().collect());
        assert_eq!(keys, (-1..end).map(|day| (300, day)).collect::<Vec<_>>());
    }
}

#[test]
fn a_snapshot_is_iterated_as_it_was() {
    let store = open(&FakeDisk::new());
    let view = ViewRunner::new(Stays(1), store.clone(), MemoryRows::default());
    add(&store, (0..600).map(|day| Stay::Praised { room: 300, day }));
    block_on(view.catch_up()).unwrap();
    let snapshot = view.table().snapshot().unwrap();
    let mut rows = snapshot.iter();
    assert_eq!(rows.next().unwrap().unwrap().0, (300, 0));
    add(&store, (600..700).map(|day| Stay::Praised { room: 300, day }));
    block_on(view.catch_up()).unwrap();
    assert_eq!(rows.count(), 599);
    assert_eq!(view.table().iter().count(), 700);
}

#[test]
fn errors_of_typed_rows_name_the_view_and_the_key() {
    let store = open(&FakeDisk::new());
    add(&store, [booked(1, 1), Stay::Paid { room: 7, day: 1, cents: 1 }]);
    let view = ViewRunner::new(Stays(1), store, MemoryRows::default());
    let error = block_on(view.catch_up()).unwrap_err();
    assert_eq!(error.code(), "view_event_unusable");
    let message = error.to_string();
    assert!(message.contains("view stays, row [7,1]: there is no such row"), "{message}");
    assert_eq!(keys(view.table().range(.., 10)), [(1, 1)]);
}

/// Rows of the same name and version, but of another shape: the version was not raised.
struct OtherShape;

impl View for OtherShape {
    fn name(&self) -> &str {
        "stays"
    }

    fn query(&self) -> Query {
        View::query(&Stays(1))
    }

    fn apply(&self, rows: &mut dyn Rows, event: &Recorded) -> Result<(), ViewError> {
        struct Apply<'a>(&'a mut dyn Rows);
        impl Rows for Apply<'_> {
            fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
                self.0.get(key)
            }
            fn put(&mut self, key: &[u8], _: &[u8]) -> Result<(), ViewError> {
                self.0.put(key, b"[1]")
            }
            fn remove(&mut self, key: &[u8]) -> Result<(), ViewError> {
                self.0.remove(key)
            }
        }
        View::apply(&Stays(1), &mut Apply(rows), event)
    }
}

#[test]
fn rows_of_another_shape_are_an_error() {
    let store = open(&FakeDisk::new());
    add(&store, [booked(1, 1)]);
    let rows = Arc::new(MemoryRows::default());
    block_on(ViewRunner::new(OtherShape, store.clone(), rows.clone()).catch_up()).unwrap();
    let view = ViewRunner::new(Stays(1), store.clone(), rows.clone());
    let table: RowTable<_> = view.table();
    for error in [table.get(&(1, 1)).unwrap_err(), table.iter().next().unwrap().unwrap_err()] {
        assert_eq!(error.code(), "view_row_unusable");
        assert!(error.to_string().starts_with("view stays, row [1,1]: "), "{error}");
    }
    add(&store, [Stay::Paid { room: 1, day: 1, cents: 1 }]);
    assert_eq!(block_on(view.catch_up()).unwrap_err().code(), "view_event_unusable");
    let raised = ViewRunner::new(Stays(2), store, rows);
    assert_eq!(block_on(raised.catch_up()).unwrap_err().code(), "view_of_other_logic");
    block_on(raised.rebuild(MemoryRows::default())).unwrap();
    assert_eq!(raised.table().get(&(1, 1)).unwrap().unwrap().paid, 1);
}
