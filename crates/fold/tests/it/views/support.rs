use std::sync::{Arc, Mutex};

use leftfold::view::{Row, RowReader, RowStore, Rows, Saved, View, ViewError};
use leftfold::{Append, Appended, Embedded, NewEvent, Options, Query, Recorded};
use leftfold_io::fake::{FakeDisk, ManualClock, SeededRandom};

pub(super) fn open(disk: &FakeDisk) -> Arc<Embedded> {
    let (clock, random) = (Arc::new(ManualClock::at(0)), Arc::new(SeededRandom::new(1)));
    let disk = Arc::new(disk.clone());
    Arc::new(Embedded::open_on(disk, clock, random, Options::default()).unwrap())
}

pub(super) fn append(store: &Embedded, stream: &str, event_type: &str) -> Appended {
    let event = NewEvent::json(event_type, "{}");
    store.blocking().append(Append::new().event(stream, event)).unwrap()
}

/// Counts the events of a category. The name, the query and the logic are known at run time.
pub(super) struct Counts {
    pub(super) name: String,
    pub(super) category: String,
    pub(super) times: u8,
}

impl Default for Counts {
    fn default() -> Self {
        Counts { name: "counts".to_owned(), category: "order".to_owned(), times: 1 }
    }
}

impl View for Counts {
    fn name(&self) -> &str {
        &self.name
    }

    fn logic(&self) -> u32 {
        self.times.into()
    }

    fn query(&self) -> Query {
        Query::category(&self.category)
    }

    fn apply(&self, rows: &mut dyn Rows, event: &Recorded) -> Result<(), ViewError> {
        match event.event_type() {
            "Nonsense" => return Err(ViewError::event("it makes no sense")),
            "Panic" => panic!("a planted panic"),
            _ => {}
        }
        let key = event.stream().as_bytes();
        let count = rows.get(key)?.map_or(0, |value| value[0]);
        rows.put(key, &[count.wrapping_add(self.times)])
    }
}

/// Counts each event twice: another version of the logic.
pub(super) fn doubled() -> Counts {
    Counts { times: 2, ..Counts::default() }
}

pub(super) fn all(rows: &(impl RowReader + ?Sized)) -> Vec<(String, u8)> {
    let rows = rows.range(b"order-", b"", 100).unwrap();
    rows.into_iter().map(|(key, value)| (String::from_utf8(key).unwrap(), value[0])).collect()
}

pub(super) fn three_orders(store: &Embedded) {
    for (stream, times) in [("order-1", 3), ("order-2", 1), ("customer-1", 5)] {
        (0..times).for_each(|_| _ = append(store, stream, "Happened"));
    }
}

pub(super) fn expected(first: u8) -> Vec<(String, u8)> {
    vec![("order-1".to_owned(), first), ("order-2".to_owned(), 1)]
}

/// Appends events to one stream, all at once.
pub(super) fn append_all(store: &Embedded, stream: &str, types: &[&str]) -> Appended {
    let events = types.iter().map(|event_type| NewEvent::json(*event_type, "{}"));
    let append = events.fold(Append::new(), |append, event| append.event(stream, event));
    store.blocking().append(append).unwrap()
}

/// A change of rows within a transaction.
pub(super) type Change<'a> = dyn FnMut(&mut dyn Rows) -> Result<(), ViewError> + 'a;

/// Rows that call a function before each commit.
pub(super) struct HookedRows<R, F> {
    pub(super) rows: R,
    pub(super) before_commit: F,
}

impl<R: RowStore, F: Fn() + Send + Sync + 'static> RowReader for HookedRows<R, F> {
    fn saved(&self) -> Result<Option<Saved>, ViewError> {
        self.rows.saved()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        self.rows.get(key)
    }

    fn range(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Row>, ViewError> {
        self.rows.range(prefix, from, limit)
    }
}

impl<R: RowStore, F: Fn() + Send + Sync + 'static> RowStore for HookedRows<R, F> {
    fn commit(
        &self,
        expected: Option<&Saved>,
        to: &Saved,
        change: &mut Change<'_>,
    ) -> Result<bool, ViewError> {
        (self.before_commit)();
        self.rows.commit(expected, to, change)
    }

    fn snapshot(&self) -> Result<Arc<dyn RowReader>, ViewError> {
        self.rows.snapshot()
    }
}

/// Rows whose commits fail while they are broken.
pub(super) struct FailingRows<R> {
    pub(super) rows: R,
    pub(super) broken: Arc<Mutex<bool>>,
}

impl<R: RowStore> RowReader for FailingRows<R> {
    fn saved(&self) -> Result<Option<Saved>, ViewError> {
        self.rows.saved()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        self.rows.get(key)
    }

    fn range(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Row>, ViewError> {
        self.rows.range(prefix, from, limit)
    }
}

impl<R: RowStore> RowStore for FailingRows<R> {
    fn commit(
        &self,
        expected: Option<&Saved>,
        to: &Saved,
        change: &mut Change<'_>,
    ) -> Result<bool, ViewError> {
        match *self.broken.lock().unwrap() {
            true => Err(ViewError::rows("the disk is broken")),
            false => self.rows.commit(expected, to, change),
        }
    }

    fn waits_for_disk(&self) -> bool {
        false
    }

    fn snapshot(&self) -> Result<Arc<dyn RowReader>, ViewError> {
        self.rows.snapshot()
    }
}
