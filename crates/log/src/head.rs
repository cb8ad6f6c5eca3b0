use std::sync::atomic::{AtomicU64, Ordering};

use event_listener::{Event, EventListener};
use parking_lot::Mutex;

use crate::error::WriteError;

/// The end of the durable log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// The last durable position; 0 if there is none.
    pub position: u64,
    /// The number of frames since the log was opened, including those without a record.
    pub ticket: u64,
}

/// The durable head, which readers watch.
#[derive(Debug, Default)]
pub(crate) struct HeadCell {
    position: AtomicU64,
    ticket: AtomicU64,
    closed: Mutex<Option<Option<WriteError>>>,
    /// Why the writer waits, if it does.
    stalled: Mutex<Option<WriteError>>,
    changed: Event,
}

impl HeadCell {
    /// Reads the ticket first, so that all of its frames are at or below the position.
    pub(crate) fn get(&self) -> Head {
        let ticket = self.ticket.load(Ordering::Acquire);
        Head { position: self.position.load(Ordering::Acquire), ticket }
    }

    pub(crate) fn publish(&self, head: Head) {
        self.position.store(head.position, Ordering::Release);
        self.ticket.store(head.ticket, Ordering::Release);
        self.changed.notify(usize::MAX);
    }

    /// Wakes the listeners though the head has not moved.
    pub(crate) fn wake(&self) {
        self.changed.notify(usize::MAX);
    }

    /// Notes that the head will not move any more, because of this failure if there is one.
    pub(crate) fn close(&self, failure: Option<WriteError>) {
        self.closed.lock().get_or_insert(failure);
        self.changed.notify(usize::MAX);
    }

    /// Notes why the writer waits, or that it goes on.
    pub(crate) fn stall(&self, why: Option<WriteError>) {
        let waits = why.is_some();
        *self.stalled.lock() = why;
        if waits {
            self.changed.notify(usize::MAX);
        }
    }

    pub(crate) fn stalled(&self) -> Option<WriteError> {
        self.stalled.lock().clone()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.lock().is_some()
    }

    pub(crate) fn failure(&self) -> Option<WriteError> {
        self.closed.lock().clone().flatten()
    }

    pub(crate) fn listen(&self) -> EventListener {
        self.changed.listen()
    }
}
