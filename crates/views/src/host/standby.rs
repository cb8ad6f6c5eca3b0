//! A view whose tables another process fills: waits for the lease, and sees how far the tables are.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use event_listener::Event;
use futures_util::future::{Either, select};
use leftfold_api::Cursor;
use parking_lot::Mutex;

/// How often the lease is asked for, and the tables are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often, while a caller waits for a cursor.
const LOOK_FOR_READER: Duration = Duration::from_millis(100);

/// The tables that answer in the database, as last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Published {
    /// The number of their definition.
    pub(crate) number: u64,
    pub(crate) cursor: Cursor,
}

#[derive(Default)]
struct State {
    has_lease: bool,
    /// Whether another process was seen to have it.
    is_taken: bool,
    published: Option<Published>,
}

/// What a process knows of tables while it waits for their lease.
#[derive(Default)]
pub(crate) struct Standby {
    state: Mutex<State>,
    /// Notified when the state has changed.
    changed: Event,
    /// How many callers wait for a cursor.
    readers: AtomicUsize,
    /// Notified when a caller begins to wait.
    asked: Event,
}

/// A caller that waits for a cursor.
struct Reader<'a>(&'a Standby);

impl<'a> Reader<'a> {
    fn new(standby: &'a Standby) -> Self {
        standby.readers.fetch_add(1, Ordering::AcqRel);
        standby.asked.notify(usize::MAX);
        Reader(standby)
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.0.readers.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Standby {
    /// Notes that this process has the lease.
    pub(crate) fn grant(&self) {
        self.change(|state| state.has_lease = true);
    }

    /// Notes that another process has the lease, and how far the tables are that answer, if that is seen.
    pub(crate) fn note(&self, published: Option<Published>) {
        let is_known = {
            let state = self.state.lock();
            state.is_taken && (published.is_none() || published == state.published)
        };
        if !is_known {
            self.change(|state| {
                state.is_taken = true;
                state.published = published.or(state.published.take());
            });
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changed.notify(usize::MAX);
    }

    /// Waits until the tables are to be looked at again; `sleep` is that of the caller's runtime.
    pub(crate) async fn pause<F: Future<Output = ()>>(&self, sleep: impl Fn(Duration) -> F) {
        sleep(LOOK_FOR_READER).await;
        let asked = self.asked.listen();
        if self.readers.load(Ordering::Acquire) == 0 {
            select(pin!(sleep(LOOK.saturating_sub(LOOK_FOR_READER))), asked).await;
        }
    }

    /// Waits until this process has the lease.
    pub(super) async fn granted(&self) {
        loop {
            let changed = self.changed.listen();
            if self.state.lock().has_lease {
                return;
            }
            changed.await;
        }
    }

    /// Waits until another process was seen to have the lease.
    pub(super) async fn seen(&self) {
        loop {
            let changed = self.changed.listen();
            if self.state.lock().is_taken {
                return;
            }
            changed.await;
        }
    }

    /// Returns the number of the tables that answer, if any do.
    pub(super) fn published(&self) -> Option<u64> {
        self.state.lock().published.as_ref().map(|published| published.number)
    }

    /// Waits until the tables of a definition answer.
    pub(super) async fn answers(&self, number: u64) {
        loop {
            let changed = self.changed.listen();
            if self.published() == Some(number) {
                return;
            }
            changed.await;
        }
    }

    /// Waits until the tables that answer have the events up to a cursor, or `late` is ready. Returns whether they have.
    pub(super) async fn reach(&self, cursor: &Cursor, late: impl Future<Output = ()>) -> bool {
        let _reader = Reader::new(self);
        let mut late = pin!(late);
        loop {
            let changed = self.changed.listen();
            let covers = |published: &Published| published.cursor.covers(cursor);
            if self.state.lock().published.as_ref().is_some_and(covers) {
                return true;
            }
            if let Either::Right(_) = select(changed, &mut late).await {
                return false;
            }
        }
    }
}
