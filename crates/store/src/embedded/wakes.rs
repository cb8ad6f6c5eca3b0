//! Who waits for what: an append wakes those subscriptions whose query it may match, and no others.
//!
//! A subscription that has seen all registers under keys of which each event that it wants has at
//! least one. It looks at the postings only after that, and the writer looks at who waits only after
//! it has added an append's postings: so one of the two sees the other. Who was found is rung when
//! the append is durable. Ringing too often only costs a look.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};

use event_listener::Event;
use leftfold_index::{Expr, Key};
use parking_lot::Mutex;

/// A query that needs more keys than so many is woken by every append.
const MOST_KEYS: usize = 64;

/// All that wait.
#[derive(Default)]
pub(crate) struct Wakes {
    /// How many have registered: a look at this costs the writer nothing.
    count: AtomicUsize,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    by_key: HashMap<Key, Vec<Arc<Bell>>>,
    closed: bool,
}

/// What one of them hears.
#[derive(Default)]
pub(crate) struct Bell {
    rung: AtomicBool,
    event: Event,
}

impl Bell {
    pub(crate) fn ring(&self) {
        self.rung.store(true, Ordering::SeqCst);
        self.event.notify(usize::MAX);
    }
}

/// One that waits. It does not any more when it is dropped.
pub(crate) struct Registered<'a> {
    wakes: &'a Wakes,
    keys: &'a [Key],
    bell: Arc<Bell>,
}

impl Wakes {
    /// Registers one that waits for events that have any of the keys; none when nobody will ring.
    pub(crate) fn register<'a>(&'a self, keys: &'a [Key]) -> Option<Registered<'a>> {
        let bell = Arc::new(Bell::default());
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return None;
        }
        for key in keys {
            waiting.by_key.entry(*key).or_default().push(bell.clone());
        }
        drop(waiting);
        self.count.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        Some(Registered { wakes: self, keys, bell })
    }

    /// Removes the bells of those that wait for one of the keys. Asked once these keys have their
    /// postings.
    pub(crate) fn find(&self, keys: impl Iterator<Item = Key>, found: impl FnMut(Arc<Bell>)) {
        fence(Ordering::SeqCst);
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut waiting = self.waiting.lock();
        keys.filter_map(|key| waiting.by_key.remove(&key)).flatten().for_each(found);
    }

    /// Rings for all: what they wait for may mean something else now.
    pub(crate) fn ring_all(&self) {
        let by_key = std::mem::take(&mut self.waiting.lock().by_key);
        by_key.into_values().flatten().for_each(|bell| bell.ring());
    }

    /// From now on nobody rings.
    pub(crate) fn close(&self) {
        self.waiting.lock().closed = true;
        self.ring_all();
    }
}

impl Registered<'_> {
    pub(crate) async fn rung(&self) {
        loop {
            let heard = self.bell.event.listen();
            if self.bell.rung.load(Ordering::SeqCst) {
                return;
            }
            heard.await;
        }
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.wakes.count.fetch_sub(1, Ordering::SeqCst);
        let mut waiting = self.wakes.waiting.lock();
        for key in self.keys {
            if let Some(bells) = waiting.by_key.get_mut(key) {
                bells.retain(|bell| !Arc::ptr_eq(bell, &self.bell));
                if bells.is_empty() {
                    waiting.by_key.remove(key);
                }
            }
        }
    }
}

/// Keys of which each match of the expression has at least one; none if there are too many.
pub(crate) fn needed(expr: &Expr) -> Option<Vec<Key>> {
    let keys = match expr {
        Expr::Key(key) => vec![*key],
        Expr::And(all) => all.iter().filter_map(needed).min_by_key(Vec::len)?,
        Expr::Or(any) => any.iter().map(needed).collect::<Option<Vec<_>>>()?.concat(),
    };
    (keys.len() <= MOST_KEYS).then_some(keys)
}

#[cfg(test)]
mod tests {
    use leftfold_index::{KeyHasher, Kind};

    use super::*;

    fn key(n: u8) -> Key {
        KeyHasher::new(&[0; 16]).key(Kind(1), &[&[n]])
    }

    #[test]
    fn who_stops_waiting_leaves_nothing_behind() {
        let wakes = Wakes::default();
        let (some, others) = ([key(1), key(2)], [key(2), key(3)]);
        let first = wakes.register(&some).unwrap();
        let second = wakes.register(&others).unwrap();
        let mut found = Vec::new();
        wakes.find([key(3), key(4)].into_iter(), |bell| found.push(bell));
        assert_eq!(found.len(), 1);
        found.drain(..).for_each(|bell| bell.ring());
        pollster::block_on(second.rung());
        drop((first, second));
        assert!(wakes.waiting.lock().by_key.is_empty());
        wakes.find([key(1), key(2)].into_iter(), |bell| found.push(bell));
        assert!(found.is_empty());
        wakes.close();
        assert!(wakes.register(&some).is_none());
    }

    #[test]
    fn what_each_match_must_have_is_the_smallest_choice() {
        let [a, b, c] = [1, 2, 3].map(|n| Expr::Key(key(n)));
        let either = Expr::Or(vec![a.clone(), b.clone()]);
        assert_eq!(needed(&either).unwrap(), [key(1), key(2)]);
        assert_eq!(needed(&Expr::And(vec![either.clone(), c.clone()])).unwrap(), [key(3)]);
        let many = Expr::Or((0..100).map(|n| Expr::Key(key(n))).collect());
        assert!(needed(&many).is_none());
        assert_eq!(needed(&Expr::And(vec![many.clone(), a])).unwrap(), [key(1)]);
        assert!(needed(&Expr::Or(vec![many, c])).is_none());
    }
}
