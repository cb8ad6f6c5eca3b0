//! The clock and the randomness of the simulation that runs on this thread.
//!
//! `store.execute(..)` has no place for them, and a pause by the system's clock would make a run
//! depend on more than its seed.

use std::cell::RefCell;

use crate::execute::Backoff;

thread_local! {
    static CURRENT: RefCell<Option<Backoff>> = const { RefCell::new(None) };
}

/// Returns the back-off of the simulation that runs on this thread, if one does.
pub(crate) fn simulated_backoff() -> Option<Backoff> {
    CURRENT.with_borrow(Clone::clone)
}

/// Sets the back-off of this thread until it is dropped.
pub(super) struct Ambient(Option<Backoff>);

impl Ambient {
    pub(super) fn enter(backoff: Backoff) -> Self {
        Ambient(CURRENT.replace(Some(backoff)))
    }
}

impl Drop for Ambient {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}
