//! A clock that is set back, or was ahead once.

use std::sync::Arc;

use leftfold_api::{Append, NewEvent, Query, Read};
use leftfold_io::fake::{FakeDisk, ManualClock, SeededRandom};
use leftfold_store::{Embedded, Options};

const HOUR: i64 = 3_600_000_000;

fn open(disk: &FakeDisk, clock: &Arc<ManualClock>) -> Embedded {
    let random = Arc::new(SeededRandom::new(1));
    Embedded::open_on(Arc::new(disk.clone()), clock.clone(), random, Options::default()).unwrap()
}

/// Returns the event and the commit time of each event.
fn times(store: &Embedded) -> Vec<(i64, i64)> {
    let page = store.blocking().read(Read::forward(Query::All)).unwrap();
    page.events.iter().map(|event| (event.event_time().0, event.commit_time().0)).collect()
}

#[test]
fn a_clock_that_was_ahead_is_reported_and_moves_no_event_time() {
    let (disk, clock) = (FakeDisk::new(), Arc::new(ManualClock::at(10 * HOUR)));
    let append = |store: &Embedded| {
        store.blocking().append(Append::new().event("a-1", NewEvent::new("Put", ""))).unwrap();
    };
    let store = open(&disk, &clock);
    append(&store);
    assert_eq!(store.stat().unwrap().clock_behind_micros, 0);
    clock.advance(-3 * HOUR);
    append(&store);
    assert_eq!(times(&store), [(10 * HOUR, 10 * HOUR), (7 * HOUR, 10 * HOUR)]);
    assert_eq!(store.stat().unwrap().clock_behind_micros, 3 * HOUR as u64);
    assert_eq!(store.meters().clock_behind_micros, 3 * HOUR as u64);
    // The event times are in the log, and the clock is compared with it.
    drop(store);
    let store = open(&disk, &clock);
    assert_eq!(times(&store), [(10 * HOUR, 10 * HOUR), (7 * HOUR, 10 * HOUR)]);
    assert_eq!(store.stat().unwrap().clock_behind_micros, 3 * HOUR as u64);
    clock.advance(4 * HOUR);
    append(&store);
    assert_eq!(times(&store)[2], (11 * HOUR, 11 * HOUR));
    assert_eq!(store.stat().unwrap().clock_behind_micros, 0);
}
