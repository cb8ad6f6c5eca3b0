use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::limits::{Client, Lease, Pool};

/// The position of a subscription that has caught up.
const CAUGHT_UP: u64 = u64::MAX;
/// The most names of subscriptions in the metrics.
const NAMED: usize = 1_000;

/// The registry of running subscriptions: how many there are, and how far each is.
pub struct Subscriptions {
    places: Arc<Pool>,
    running: Mutex<(u64, BTreeMap<u64, Entry>)>,
}

#[derive(Clone)]
struct Entry {
    name: Option<Arc<str>>,
    position: Arc<AtomicU64>,
}

/// A running subscription's entry in the registry, until this is dropped.
pub struct SubscriptionProgress {
    all: Arc<Subscriptions>,
    number: u64,
    position: Arc<AtomicU64>,
    _place: Lease,
}

impl Subscriptions {
    pub(crate) fn new(places: Arc<Pool>) -> Self {
        Subscriptions { places, running: Mutex::default() }
    }

    /// Registers a client's subscription, or returns `None` if `limits.subscriptions` are running, or as many as its
    /// share of them.
    pub(crate) fn begin(
        self: &Arc<Self>,
        name: Option<&str>,
        client: &Client,
    ) -> Option<SubscriptionProgress> {
        let leased = self.places.take(client, 1)?;
        let mut running = self.running.lock();
        let (next, places) = &mut *running;
        let (number, position) = (*next, Arc::new(AtomicU64::new(0)));
        *next += 1;
        let place = Entry { name: name.map(Arc::from), position: position.clone() };
        places.insert(number, place);
        Some(SubscriptionProgress { all: self.clone(), number, position, _place: leased })
    }

    /// Returns the number of running subscriptions.
    pub fn count(&self) -> usize {
        self.running.lock().1.len()
    }

    /// Returns the lag of each subscription behind the store's end, by name. Subscriptions of one name
    /// count as one, with the largest lag.
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

impl SubscriptionProgress {
    /// Notes that the event at this position was sent.
    pub fn set_position(&self, position: u64) {
        self.position.store(position, Ordering::Relaxed);
    }

    /// Notes that all events so far were sent.
    pub fn set_caught_up(&self) {
        self.position.store(CAUGHT_UP, Ordering::Relaxed);
    }
}

impl Drop for SubscriptionProgress {
    fn drop(&mut self) {
        self.all.running.lock().1.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_subscriptions_and_their_lags() {
        let all = Arc::new(Subscriptions::new(Pool::new(2, 100)));
        let client = Client::default();
        let first = all.begin(Some("mails"), &client).unwrap();
        let second = all.begin(None, &client).unwrap();
        assert!(all.begin(None, &client).is_none());
        first.set_position(7);
        second.set_caught_up();
        assert_eq!(all.lags(10), [(None, 0), (Some("mails".into()), 3)]);
        drop(second);
        assert_eq!(all.count(), 1);
        assert!(all.begin(None, &client).is_some());
    }
}
