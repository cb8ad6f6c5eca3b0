//! The budget of states in memory is one for all entities, and the least recently used leave first.

use std::cell::Cell;
use std::sync::Arc;
use std::thread;

use leftfold::{Command, Decider, Embedded, Entities, Event, State, StreamState};
use pollster::block_on;

use crate::bank::store;

#[derive(Debug, Clone, PartialEq, Event)]
enum Growth {
    Grown { bytes: usize },
}

thread_local! {
    /// The number of events that this thread has folded.
    static FOLDED: Cell<u64> = const { Cell::new(0) };
}

/// Says that it takes many bytes.
#[derive(Debug, Default)]
struct Size(usize);

impl State for Size {
    type Event = Growth;

    fn apply(&mut self, Growth::Grown { bytes }: &Growth) {
        FOLDED.set(FOLDED.get() + 1);
        self.0 += bytes;
    }

    fn bytes(&self) -> usize {
        self.0
    }
}

struct Grow(String, usize);

impl Command for Grow {
    type Event = Growth;
    type Error = std::convert::Infallible;
    type Reads = StreamState<Size>;

    fn reads(&self) -> StreamState<Size> {
        StreamState::of(&self.0)
    }

    fn decide(&self, _: &Size) -> Result<Vec<Growth>, Self::Error> {
        Ok(vec![Growth::Grown { bytes: self.1 }])
    }
}

fn sizes(store: Arc<Embedded>, memory: usize) -> Entities<Size, Arc<Embedded>> {
    Entities::new(Decider::new(store)).memory(memory)
}

fn grow(sizes: &Entities<Size, Arc<Embedded>>, stream: &str, bytes: usize) -> u64 {
    let before = FOLDED.get();
    block_on(sizes.execute(Grow(stream.to_owned(), bytes))).unwrap();
    FOLDED.get() - before
}

#[test]
fn a_large_state_stays_while_the_budget_suffices() {
    let sizes = sizes(store(), 1_000_000);
    for _ in 0..10 {
        grow(&sizes, "size-large", 60_000);
    }
    for nth in 0..300 {
        grow(&sizes, &format!("size-{nth}"), 1);
        // It folds its new event, and none of those before.
        assert_eq!(grow(&sizes, "size-large", 0), 1, "after {nth} others");
    }
}

#[test]
fn the_least_recently_used_leave_first_wherever_they_are() {
    let sizes = sizes(store(), 100_000);
    for nth in 0..20 {
        assert_eq!(grow(&sizes, &format!("size-{nth}"), 4_000), 1);
    }
    // A use keeps the first ten; then there is room for the large one without the others.
    for nth in 0..10 {
        assert_eq!(grow(&sizes, &format!("size-{nth}"), 0), 1);
    }
    grow(&sizes, "size-large", 45_000);
    for nth in 0..10 {
        assert_eq!(grow(&sizes, &format!("size-{nth}"), 0), 1, "{nth}");
    }
    assert_eq!(grow(&sizes, "size-10", 0), 2);
    assert!(sizes.in_memory().1 <= 100_000);
}

#[test]
fn callers_on_many_threads_keep_to_one_budget() {
    let store = store();
    let sizes = sizes(store.clone(), 200_000);
    thread::scope(|scope| {
        for caller in 0..8_usize {
            let sizes = sizes.clone();
            scope.spawn(move || {
                for nth in 0..60 {
                    let entity = (caller * 7 + nth * 13) % 40;
                    grow(&sizes, &format!("size-{entity}"), entity * 100);
                }
            });
        }
    });
    grow(&sizes, "size-last", 1);
    let (count, bytes) = sizes.in_memory();
    assert!(count > 1 && bytes <= 200_000, "{count} entities with {bytes} bytes");
    // Each event is in its state once.
    let total: usize = (0..40)
        .map(|nth| {
            let reads = StreamState::<Size>::of(format!("size-{nth}"));
            block_on(Decider::new(&store).load(&reads)).unwrap().0
        })
        .sum();
    let expected: usize =
        (0..8).flat_map(|caller| (0..60).map(move |nth| (caller * 7 + nth * 13) % 40 * 100)).sum();
    assert_eq!(total, expected);
}
