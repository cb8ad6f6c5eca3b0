use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Wake;
use std::time::Duration;

use event_listener::Event;
use parking_lot::{Condvar, Mutex};

/// A queue that is bounded in bytes. A sender that finds it full waits; one item always fits.
///
/// It is also where the writer's thread waits: a commit wakes it there, by [`Wake`].
pub(super) struct Queue<T> {
    limit: usize,
    state: Mutex<State<T>>,
    changed: Condvar,
    drained: Event,
}

struct State<T> {
    items: VecDeque<T>,
    bytes: usize,
    closed: bool,
    /// Whether the receiver was woken for something else than an item.
    woken: bool,
}

/// What the queue holds.
pub(super) enum Content<T> {
    Items(VecDeque<T>),
    /// No item, for now.
    Nothing,
    /// The queue is closed and empty.
    Closed,
}

/// What ends a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WaitFor {
    /// An item, the closing of the queue, or a wake-up.
    Items,
    /// A wake-up only: the receiver has no use for more items now.
    WakeUp,
}

impl<T> Queue<T> {
    pub(super) fn new(limit: usize) -> Self {
        let state = State { items: VecDeque::new(), bytes: 0, closed: false, woken: false };
        Queue { limit, state: Mutex::new(state), changed: Condvar::new(), drained: Event::new() }
    }

    /// Waits for room, then puts the item in; gives it back if the queue is closed.
    pub(super) async fn push(&self, mut item: T, bytes: usize) -> Result<(), T> {
        // There is nearly always room: only a sender that found none listens for it.
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

    /// Puts the item in if there is room, and wakes the receiver.
    fn try_push(&self, item: T, bytes: usize) -> Result<(), (T, bool)> {
        self.try_push_quietly(item, bytes)?;
        self.notify_receiver();
        Ok(())
    }

    /// Lets a receiver that waits for items look whether there are any.
    pub(super) fn notify_receiver(&self) {
        self.changed.notify_one();
    }

    /// Puts the item in if there is room, and does not wake the receiver; else gives it back, and
    /// whether the queue is closed.
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

    /// Wakes the receiver, whatever it waits for.
    pub(super) fn wake_receiver(&self) {
        self.state.lock().woken = true;
        self.changed.notify_one();
    }

    /// Waits, but not longer than the given time; returns whether that has passed in vain.
    pub(super) fn wait(&self, patience: Duration, wait_for: WaitFor) -> bool {
        let mut state = self.state.lock();
        let is_due = |state: &State<T>| match wait_for {
            WaitFor::Items => state.woken || state.closed || !state.items.is_empty(),
            WaitFor::WakeUp => state.woken,
        };
        if !is_due(&state) {
            self.changed.wait_while_for(&mut state, |state| !is_due(state), patience);
        }
        let in_vain = !is_due(&state);
        state.woken = false;
        in_vain
    }

    /// Whether it holds an item.
    pub(super) fn is_filled(&self) -> bool {
        !self.state.lock().items.is_empty()
    }

    /// Whether it takes no more items.
    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Removes all items.
    pub(super) fn take(&self) -> Content<T> {
        let mut state = self.state.lock();
        if state.items.is_empty() {
            return if state.closed { Content::Closed } else { Content::Nothing };
        }
        let items = std::mem::take(&mut state.items);
        state.bytes = 0;
        drop(state);
        self.drained.notify(usize::MAX);
        Content::Items(items)
    }

    /// Refuses all items from now on.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_one();
        self.drained.notify(usize::MAX);
    }
}

impl<T: Send> Wake for Queue<T> {
    fn wake(self: Arc<Self>) {
        self.wake_receiver();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_receiver();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_TIME: Duration = Duration::ZERO;

    #[test]
    fn is_bounded_in_bytes_yet_takes_one_large_item() {
        let queue = Queue::new(10);
        assert!(queue.try_push("large", 50).is_ok());
        assert!(matches!(queue.try_push("small", 1), Err(("small", false))));
        assert!(matches!(queue.take(), Content::Items(items) if items.len() == 1));
        assert!(queue.try_push("a", 5).is_ok());
        assert!(queue.try_push("b", 5).is_ok());
        assert!(queue.try_push("c", 1).is_err());
        queue.close();
        assert!(matches!(queue.try_push("d", 1), Err(("d", true))));
        assert!(matches!(queue.take(), Content::Items(items) if items.len() == 2));
        assert!(matches!(queue.take(), Content::Closed));
    }

    #[test]
    fn a_receiver_that_waits_for_a_wake_up_ignores_items_and_closing() {
        let queue = Arc::new(Queue::new(10));
        assert!(queue.try_push("a", 1).is_ok());
        assert!(!queue.wait(NO_TIME, WaitFor::Items));
        assert!(queue.wait(NO_TIME, WaitFor::WakeUp));
        queue.close();
        assert!(queue.wait(NO_TIME, WaitFor::WakeUp));
        std::task::Waker::from(queue.clone()).wake();
        assert!(!queue.wait(Duration::from_secs(3600), WaitFor::WakeUp));
        assert!(queue.wait(NO_TIME, WaitFor::WakeUp), "one wake-up ends one wait");
    }
}
