//! The list of waiting subscriptions: an append wakes only those whose query it may match.
//!
//! A subscription that has caught up registers under keys of which each wanted event has at least one.
//! It registers before it checks the postings, and the writer reads this list after it has added an
//! append's postings. So no wake-up is lost. The signals are sent once the append is durable. A
//! superfluous signal costs one more check.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};

use event_listener::Event;
use leftfold_index::{Expr, Key};
use parking_lot::Mutex;

/// A query that needs more keys than this is woken by every append.
const MAX_KEYS: usize = 64;

/// The waiting subscriptions of a store.
#[derive(Default)]
pub(crate) struct WaitList {
    /// The number of registrations: reading it costs the writer almost nothing.
    count: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    by_key: HashMap<Key, Vec<Arc<WakeSignal>>>,
    is_closed: bool,
}

/// Wakes one waiting subscription.
#[derive(Default)]
pub(crate) struct WakeSignal {
    is_sent: AtomicBool,
    event: Event,
}

impl WakeSignal {
    pub(crate) fn send(&self) {
        self.is_sent.store(true, Ordering::SeqCst);
        self.event.notify(usize::MAX);
    }
}

/// A registration in the list, which ends when this is dropped.
pub(crate) struct Registration<'a> {
    list: &'a WaitList,
    keys: &'a [Key],
    signal: Arc<WakeSignal>,
}

impl WaitList {
    /// Registers a subscription that waits for events with any of the keys. Returns `None` if the list
    /// is closed.
    pub(crate) fn register<'a>(&'a self, keys: &'a [Key]) -> Option<Registration<'a>> {
        let signal = Arc::new(WakeSignal::default());
        let mut state = self.state.lock();
        if state.is_closed {
            return None;
        }
        for key in keys {
            state.by_key.entry(*key).or_default().push(signal.clone());
        }
        drop(state);
        self.count.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        Some(Registration { list: self, keys, signal })
    }

    /// Removes the signals of subscriptions that wait for one of the keys. The writer calls it after it
    /// has added the postings of these keys.
    pub(crate) fn take(&self, keys: impl Iterator<Item = Key>, visit: impl FnMut(Arc<WakeSignal>)) {
        fence(Ordering::SeqCst);
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut state = self.state.lock();
        keys.filter_map(|key| state.by_key.remove(&key)).flatten().for_each(visit);
    }

    /// Wakes all subscriptions: the keys that they need may have changed.
    pub(crate) fn wake_all(&self) {
        let by_key = std::mem::take(&mut self.state.lock().by_key);
        by_key.into_values().flatten().for_each(|signal| signal.send());
    }

    /// Wakes all subscriptions, and refuses new registrations.
    pub(crate) fn close(&self) {
        self.state.lock().is_closed = true;
        self.wake_all();
    }
}

impl Registration<'_> {
    /// Waits for the signal.
    pub(crate) async fn wait(&self) {
        loop {
            let sent = self.signal.event.listen();
            if self.signal.is_sent.load(Ordering::SeqCst) {
                return;
            }
            sent.await;
        }
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        self.list.count.fetch_sub(1, Ordering::SeqCst);
        let mut state = self.list.state.lock();
        for key in self.keys {
            if let Some(signals) = state.by_key.get_mut(key) {
                signals.retain(|signal| !Arc::ptr_eq(signal, &self.signal));
                if signals.is_empty() {
                    state.by_key.remove(key);
                }
            }
        }
    }
}

/// Returns keys of which each match of the expression has at least one, or `None` if there are too many.
pub(crate) fn required_keys(expr: &Expr) -> Option<Vec<Key>> {
    let keys = match expr {
        Expr::Key(key) => vec![*key],
        Expr::And(all) => all.iter().filter_map(required_keys).min_by_key(Vec::len)?,
        Expr::Or(any) => any.iter().map(required_keys).collect::<Option<Vec<_>>>()?.concat(),
    };
    (keys.len() <= MAX_KEYS).then_some(keys)
}

#[cfg(test)]
mod tests {
    use leftfold_index::{KeyHasher, Kind};

    use super::*;

    fn key(n: u8) -> Key {
        KeyHasher::new(&[0; 16]).key(Kind(1), &[&[n]])
    }

    #[test]
    fn a_dropped_registration_leaves_no_entry() {
        let list = WaitList::default();
        let (some, others) = ([key(1), key(2)], [key(2), key(3)]);
        let first = list.register(&some).unwrap();
        let second = list.register(&others).unwrap();
        let mut found = Vec::new();
        list.take([key(3), key(4)].into_iter(), |signal| found.push(signal));
        assert_eq!(found.len(), 1);
        found.drain(..).for_each(|signal| signal.send());
        pollster::block_on(second.wait());
        drop((first, second));
        assert!(list.state.lock().by_key.is_empty());
        list.take([key(1), key(2)].into_iter(), |signal| found.push(signal));
        assert!(found.is_empty());
        list.close();
        assert!(list.register(&some).is_none());
    }

    #[test]
    fn the_required_keys_of_a_conjunction_are_the_smallest_set() {
        let [a, b, c] = [1, 2, 3].map(|n| Expr::Key(key(n)));
        let either = Expr::Or(vec![a.clone(), b.clone()]);
        assert_eq!(required_keys(&either).unwrap(), [key(1), key(2)]);
        assert_eq!(required_keys(&Expr::And(vec![either.clone(), c.clone()])).unwrap(), [key(3)]);
        let many = Expr::Or((0..100).map(|n| Expr::Key(key(n))).collect());
        assert!(required_keys(&many).is_none());
        assert_eq!(required_keys(&Expr::And(vec![many.clone(), a])).unwrap(), [key(1)]);
        assert!(required_keys(&Expr::Or(vec![many, c])).is_none());
    }
}
