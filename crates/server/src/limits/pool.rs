use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::client::{Client, Holder};

/// A number of units, such as bytes, that requests share. One address and one user have a part of them at most.
pub(crate) struct Pool {
    most: usize,
    /// The most units of one address, and of one user.
    share: usize,
    taken: Mutex<Taken>,
    /// Notified when units are returned.
    returned: Notify,
}

#[derive(Default)]
struct Taken {
    all: usize,
    /// Has no entry without units, so it is no larger than `all`.
    by_holder: HashMap<Holder, usize>,
}

/// Units of a pool that are taken, until this is dropped.
pub(crate) struct Lease {
    pool: Arc<Pool>,
    client: Client,
    units: usize,
}

impl Pool {
    /// Makes a pool of `most` units, of which one client has at most `share_percent`.
    pub(crate) fn new(most: usize, share_percent: usize) -> Arc<Self> {
        let share = (most as u128 * share_percent as u128).div_ceil(100);
        let share = usize::try_from(share).unwrap_or(usize::MAX).min(most);
        Arc::new(Pool { most, share, taken: Mutex::default(), returned: Notify::new() })
    }

    /// Takes units for a client, or returns `None` if all or its share would be exceeded.
    pub(crate) fn take(self: &Arc<Self>, client: &Client, units: usize) -> Option<Lease> {
        let mut lease = Lease { pool: self.clone(), client: client.clone(), units: 0 };
        lease.resize(units).then_some(lease)
    }

    /// Takes units for a client as soon as they are there, or returns `None` if they are not within a time.
    pub(crate) async fn wait(
        self: &Arc<Self>,
        client: &Client,
        units: usize,
        within: Duration,
    ) -> Option<Lease> {
        let taken = async {
            loop {
                let mut returned = pin!(self.returned.notified());
                // Before the attempt, so that no return in between is missed.
                returned.as_mut().enable();
                if let Some(lease) = self.take(client, units) {
                    return lease;
                }
                returned.await;
            }
        };
        tokio::time::timeout(within, taken).await.ok()
    }

    /// Returns how many units are taken.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> usize {
        self.taken.lock().all
    }

    fn grow(&self, client: &Client, units: usize) -> bool {
        let mut taken = self.taken.lock();
        let of = |holder: &Holder| taken.by_holder.get(holder).copied().unwrap_or(0);
        let fits = |taken: usize, most: usize| taken.saturating_add(units) <= most;
        if !fits(taken.all, self.most)
            || client.holders().any(|holder| !fits(of(&holder), self.share))
        {
            return false;
        }
        taken.all += units;
        for holder in client.holders() {
            *taken.by_holder.entry(holder).or_default() += units;
        }
        true
    }

    fn shrink(&self, client: &Client, units: usize) {
        let mut taken = self.taken.lock();
        taken.all -= units;
        for holder in client.holders() {
            if let Entry::Occupied(mut of_holder) = taken.by_holder.entry(holder) {
                *of_holder.get_mut() -= units;
                if *of_holder.get() == 0 {
                    of_holder.remove();
                }
            }
        }
        drop(taken);
        self.returned.notify_waiters();
    }
}

impl Lease {
    /// Returns how many units are taken.
    pub(crate) fn units(&self) -> usize {
        self.units
    }

    /// Takes or returns units until the lease has `units`, or returns `false` if the pool has too few.
    #[must_use]
    pub(crate) fn resize(&mut self, units: usize) -> bool {
        if units > self.units && !self.pool.grow(&self.client, units - self.units) {
            return false;
        }
        if units < self.units {
            self.pool.shrink(&self.client, self.units - units);
        }
        self.units = units;
        true
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        _ = self.resize(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Origin;

    fn client(address: u8, user: &str) -> Client {
        let origin = Origin { peer: format!("10.0.0.{address}:1"), ..Origin::default() };
        Client::new(&origin, Some(user.into()))
    }

    #[test]
    fn an_address_and_a_user_have_a_share() {
        let pool = Pool::new(11, 50);
        let first = pool.take(&client(1, "ann"), 6).unwrap();
        assert!(pool.take(&client(1, "bob"), 1).is_none(), "the address has its share");
        assert!(pool.take(&client(2, "ann"), 1).is_none(), "the user has its share");
        let mut second = pool.take(&client(2, "bob"), 4).unwrap();
        assert!(!second.resize(6), "all are taken");
        assert!(second.resize(5) && second.resize(1));
        drop((first, second));
        assert!(pool.taken.lock().by_holder.is_empty());
        assert_eq!(pool.taken(), 0);
    }

    #[tokio::test]
    async fn waits_for_units_but_not_for_ever() {
        let pool = Pool::new(4, 100);
        let taken = pool.take(&client(1, "ann"), 4);
        let within = Duration::from_secs(60);
        assert!(pool.wait(&client(2, "bob"), 2, Duration::from_millis(5)).await.is_none());
        let bob = client(2, "bob");
        let (waiting, ()) = tokio::join!(pool.wait(&bob, 2, within), async {
            drop(taken);
        });
        assert_eq!(waiting.unwrap().units(), 2);
    }
}
