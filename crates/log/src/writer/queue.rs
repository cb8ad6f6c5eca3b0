use std::collections::VecDeque;
use std::time::Duration;

use event_listener::Event;
use parking_lot::{Condvar, Mutex};

/// A queue that is bounded in bytes. Whoever finds it full waits; one item always fits.
pub(super) struct Queue<T> {
    limit: usize,
    state: Mutex<State<T>>,
    filled: Condvar,
    drained: Event,
}

struct State<T> {
    items: VecDeque<T>,
    bytes: usize,
    closed: bool,
}

/// What the writer finds.
pub(super) enum Taken<T> {
    Items(VecDeque<T>),
    /// Nothing waits.
    Nothing,
    /// The queue is closed and empty.
    Closed,
}

impl<T> Queue<T> {
    pub(super) fn new(limit: usize) -> Self {
        let state = State { items: VecDeque::new(), bytes: 0, closed: false };
        Queue { limit, state: Mutex::new(state), filled: Condvar::new(), drained: Event::new() }
    }

    /// Waits for room, then puts the item in; gives it back if the queue is closed.
    pub(super) async fn push(&self, mut item: T, bytes: usize) -> Result<(), T> {
        // There is nearly always room: only whoever found none listens for it.
        let mut room = None;
        loop {
            match self.try_push(item, bytes) {
                Ok(()) => return Ok(()),
                Err((item, true)) => return Err(item),
                Err((back, false)) => item = back,
            }
            match room.take() {
                Some(drained) => drained.await,
                None => room = Some(self.drained.listen()),
            }
        }
    }

    /// Puts the item in if there is room, and wakes who takes.
    fn try_push(&self, item: T, bytes: usize) -> Result<(), (T, bool)> {
        self.try_push_quietly(item, bytes)?;
        self.wake();
        Ok(())
    }

    /// Wakes who takes.
    pub(super) fn wake(&self) {
        self.filled.notify_one();
    }

    /// Puts the item in if there is room; else gives it back, and whether the queue is closed. Who
    /// takes is not woken.
    pub(super) fn try_push_quietly(&self, item: T, bytes: usize) -> Result<(), (T, bool)> {
        let mut state = self.state.lock();
        let full = !state.items.is_empty() && state.bytes + bytes > self.limit;
        if state.closed || full {
            return Err((item, state.closed));
        }
        state.items.push_back(item);
        state.bytes += bytes;
        Ok(())
    }

    /// Waits up to the given time until something is there, or the queue is closed.
    pub(super) fn wait(&self, patience: Duration) {
        let mut state = self.state.lock();
        if state.items.is_empty() && !state.closed {
            self.filled.wait_for(&mut state, patience);
        }
    }

    /// Whether something waits.
    pub(super) fn is_filled(&self) -> bool {
        !self.state.lock().items.is_empty()
    }

    /// Takes all that waits.
    pub(super) fn take(&self) -> Taken<T> {
        let mut state = self.state.lock();
        if state.items.is_empty() {
            return if state.closed { Taken::Closed } else { Taken::Nothing };
        }
        let items = std::mem::take(&mut state.items);
        state.bytes = 0;
        drop(state);
        self.drained.notify(usize::MAX);
        Taken::Items(items)
    }

    /// Refuses all that comes from now on.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.filled.notify_one();
        self.drained.notify(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_bounded_in_bytes_yet_takes_one_large_item() {
        let queue = Queue::new(10);
        assert!(queue.try_push("large", 50).is_ok());
        assert!(matches!(queue.try_push("small", 1), Err(("small", false))));
        assert!(matches!(queue.take(), Taken::Items(items) if items.len() == 1));
        assert!(queue.try_push("a", 5).is_ok());
        assert!(queue.try_push("b", 5).is_ok());
        assert!(queue.try_push("c", 1).is_err());
        queue.close();
        assert!(matches!(queue.try_push("d", 1), Err(("d", true))));
        assert!(matches!(queue.take(), Taken::Items(items) if items.len() == 2));
        assert!(matches!(queue.take(), Taken::Closed));
    }
}
