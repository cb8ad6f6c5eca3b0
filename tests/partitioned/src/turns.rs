use std::sync::atomic::{AtomicBool, Ordering};

use event_listener::Event;

/// Lets one task at a time go on; the others wait without blocking their threads.
#[derive(Default)]
pub(crate) struct Turns {
    is_taken: AtomicBool,
    given_back: Event,
}

/// A task's turn, until it is dropped.
pub(crate) struct Turn<'a>(&'a Turns);

impl Turns {
    pub(crate) async fn take(&self) -> Turn<'_> {
        loop {
            let given_back = self.given_back.listen();
            if !self.is_taken.swap(true, Ordering::AcqRel) {
                return Turn(self);
            }
            given_back.await;
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.is_taken.store(false, Ordering::Release);
        self.0.given_back.notify(usize::MAX);
    }
}
