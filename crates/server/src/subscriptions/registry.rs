use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// Stands for "at the store's end" in the place of a position.
const CAUGHT_UP: u64 = u64::MAX;
/// So many named subscriptions are told apart in metrics.
const NAMED: usize = 1_000;

/// The subscriptions that run: how many, and how far each is.
pub struct Subscriptions {
    most: usize,
    running: Mutex<(u64, BTreeMap<u64, Place>)>,
}

#[derive(Clone)]
struct Place {
    name: Option<Arc<str>>,
    position: Arc<AtomicU64>,
}

/// A subscription that runs, until this is dropped.
pub struct Subscribed {
    all: Arc<Subscriptions>,
    number: u64,
    position: Arc<AtomicU64>,
}

impl Subscriptions {
    pub(crate) fn new(most: usize) -> Self {
        Subscriptions { most, running: Mutex::default() }
    }

    /// A subscription more; none if there are `limits.subscriptions` already.
    pub fn begin(self: &Arc<Self>, name: Option<&str>) -> Option<Subscribed> {
        let mut running = self.running.lock();
        let (next, places) = &mut *running;
        if places.len() >= self.most {
            return None;
        }
        let (number, position) = (*next, Arc::new(AtomicU64::new(0)));
        *next += 1;
        let place = Place { name: name.map(Arc::from), position: position.clone() };
        places.insert(number, place);
        Some(Subscribed { all: self.clone(), number, position })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.running.lock().1.len()
    }

    /// How far each is behind the store's end, with its name. Of a name that several have, the
    /// largest.
    pub(crate) fn lags(&self, end: u64) -> Vec<(Option<Arc<str>>, u64)> {
        let mut lags = BTreeMap::new();
        for place in self.running.lock().1.values() {
            let position = place.position.load(Ordering::Relaxed);
            let lag = if position == CAUGHT_UP { 0 } else { end.saturating_sub(position) };
            let known = lags.len() < NAMED || lags.contains_key(&place.name);
            let name = place.name.clone().filter(|_| known);
            let most: &mut u64 = lags.entry(name).or_default();
            *most = lag.max(*most);
        }
        lags.into_iter().collect()
    }
}

impl Subscribed {
    /// It was sent the event at this position.
    pub fn is_at(&self, position: u64) {
        self.position.store(position, Ordering::Relaxed);
    }

    /// It was sent all that it wants.
    pub fn is_caught_up(&self) {
        self.position.store(CAUGHT_UP, Ordering::Relaxed);
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        self.all.running.lock().1.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_them_and_says_how_far_each_is_behind() {
        let all = Arc::new(Subscriptions::new(2));
        let first = all.begin(Some("mails")).unwrap();
        let second = all.begin(None).unwrap();
        assert!(all.begin(None).is_none());
        first.is_at(7);
        second.is_caught_up();
        assert_eq!(all.lags(10), [(None, 0), (Some("mails".into()), 3)]);
        drop(second);
        assert_eq!(all.count(), 1);
        assert!(all.begin(None).is_some());
    }
}
