//! Helpers: stores to replay, and the fold on one thread with which every replay is compared.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use leftfold_api::{Append, Cursor, NewEvent, Query, Read, Recorded};
use leftfold_io::fake::{FakeDisk, ManualClock, SeededRandom};
use leftfold_store::{Compression, Embedded, Options, Replay, ReplayKey};

pub(crate) const DAY: i64 = 24 * 60 * 60 * 1_000_000;

pub(crate) struct Fixture {
    pub(crate) store: Embedded,
    pub(crate) clock: Arc<ManualClock>,
}

impl Fixture {
    /// Returns a store whose segments are closed after a few events.
    pub(crate) fn new(compression: Compression) -> Self {
        let mut options = Options { compression, ..Options::default() };
        options.log.segment_bytes = 3_000;
        options.log.preallocate = 1_024;
        let clock = Arc::new(ManualClock::at(DAY));
        let random = Arc::new(SeededRandom::new(7));
        let disk = Arc::new(FakeDisk::new());
        let store = Embedded::open_on(disk, clock.clone(), random, options).unwrap();
        Fixture { store, clock }
    }

    pub(crate) fn append(&self, stream: &str, event: NewEvent) {
        self.store.blocking().append(Append::new().event(stream, event)).unwrap();
    }

    /// Returns a store with numbered events in a few streams.
    pub(crate) fn filled(compression: Compression, events: u32) -> Self {
        let fixture = Fixture::new(compression);
        for n in 0..events {
            let event = NewEvent::new("Counted", n.to_string()).tag("third", (n % 3).to_string());
            fixture.append(&format!("stream-{}", n % 7), event);
        }
        fixture
    }
}

/// Returns the keys of an event, without the tested code; `None` stands for an event without the key.
fn keys(event: &Recorded, key: &ReplayKey) -> Vec<Option<String>> {
    let found: Vec<String> = match key {
        ReplayKey::Stream => vec![event.stream().to_owned()],
        ReplayKey::Category => vec![leftfold_api::category_of(event.stream()).to_owned()],
        ReplayKey::Correlation => event.correlation().map(str::to_owned).into_iter().collect(),
        ReplayKey::Tag(name) => {
            event.tags().filter(|(key, _)| key == name).map(|(_, value)| value.to_owned()).collect()
        }
        _ => Vec::new(),
    };
    if found.is_empty() { vec![None] } else { found.into_iter().map(Some).collect() }
}

/// The positions and data of the events of each key, in the order of the log.
pub(crate) type Histories = BTreeMap<Option<String>, Vec<(u64, Vec<u8>)>>;

/// Reads all pages of a query after a cursor.
pub(crate) fn read(store: &Embedded, query: &Query, after: Cursor) -> Vec<Recorded> {
    let (mut events, mut cursor) = (Vec::new(), after);
    loop {
        let page = store.blocking().read(Read::forward(query.clone()).after(cursor)).unwrap();
        events.extend(page.events);
        cursor = page.cursor;
        if !page.more {
            return events;
        }
    }
}

/// Folds on one thread.
pub(crate) fn sequential(
    store: &Embedded,
    query: &Query,
    after: Cursor,
    key: &ReplayKey,
) -> Histories {
    let mut histories = Histories::new();
    for event in read(store, query, after) {
        for key in keys(&event, key) {
            let entry = (event.position(), event.data().to_vec());
            histories.entry(key).or_default().push(entry);
        }
    }
    histories
}

/// Replays, and returns the states and the cursor.
pub(crate) fn parallel(store: &Embedded, replay: &Replay) -> (Vec<Histories>, Cursor) {
    let replayed = store.replay(
        replay,
        |_| Histories::new(),
        |histories, key, event| {
            let entry = (event.position(), event.data().to_vec());
            histories.entry(key.map(str::to_owned)).or_default().push(entry);
            Ok::<(), Infallible>(())
        },
    );
    let replayed = replayed.unwrap();
    (replayed.states, replayed.cursor)
}

/// Joins the states of all partitions, which must not share a key.
pub(crate) fn together(states: Vec<Histories>) -> Histories {
    let mut all = Histories::new();
    for (key, history) in states.into_iter().flatten() {
        assert!(all.insert(key.clone(), history).is_none(), "{key:?} is in two partitions");
    }
    all
}
