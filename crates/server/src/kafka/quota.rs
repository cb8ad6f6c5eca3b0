//! Quotas: the bytes that one user, or one address without users, may produce and fetch in a second.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::limits::{Client, Holder};

/// The longest time that a client is told to wait.
const LONGEST: Duration = Duration::from_secs(30);
/// Holders that are remembered; those that owe nothing are forgotten.
const MOST: usize = 10_000;

/// The quotas of a server.
pub(super) struct Quotas {
    produce: Quota,
    fetch: Quota,
}

impl Quotas {
    /// Makes quotas of bytes a second; 0 is for any number.
    pub(super) fn new(produce: u64, fetch: u64) -> Self {
        Quotas { produce: Quota::new(produce), fetch: Quota::new(fetch) }
    }

    /// Counts what a client has produced, and returns how long it is to wait.
    pub(super) fn produced(&self, client: &Client, bytes: usize) -> Duration {
        self.produce.take(client, bytes, Instant::now())
    }

    /// Counts what a client has fetched, and returns how long it is to wait.
    pub(super) fn fetched(&self, client: &Client, bytes: usize) -> Duration {
        self.fetch.take(client, bytes, Instant::now())
    }
}

/// What each holder has taken ahead of its rate, as the time until it is even.
struct Quota {
    bytes_per_second: u64,
    even_at: Mutex<HashMap<Holder, Instant>>,
}

impl Quota {
    fn new(bytes_per_second: u64) -> Self {
        Quota { bytes_per_second, even_at: Mutex::default() }
    }

    /// Takes bytes; a holder may be a second ahead of its rate.
    fn take(&self, client: &Client, bytes: usize, now: Instant) -> Duration {
        const AHEAD: Duration = Duration::from_secs(1);
        if self.bytes_per_second == 0 || bytes == 0 {
            return Duration::ZERO;
        }
        // The user, if there is one: several may come from one address.
        let Some(holder) = client.holders().last() else { return Duration::ZERO };
        let cost =
            Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64).min(LONGEST);
        let mut even_at = self.even_at.lock();
        if even_at.len() >= MOST {
            even_at.retain(|_, at| *at > now);
        }
        let even = even_at.entry(holder).or_insert(now);
        *even = (*even).max(now) + cost;
        even.saturating_duration_since(now).saturating_sub(AHEAD).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_ahead_of_its_rate_waits() {
        let (quota, now) = (Quota::new(1_000), Instant::now());
        let at = |peer: &str| Client::at(peer.parse().unwrap());
        let (one, other) = (at("10.0.0.1:1"), at("10.0.0.2:1"));
        assert_eq!(quota.take(&one, 1_000, now), Duration::ZERO);
        assert_eq!(quota.take(&one, 500, now), Duration::from_millis(500));
        assert_eq!(quota.take(&other, 500, now), Duration::ZERO);
        assert_eq!(quota.take(&one, 500, now + Duration::from_secs(1)), Duration::ZERO);
        assert_eq!(Quota::new(0).take(&one, usize::MAX, now), Duration::ZERO);
    }

    #[test]
    fn the_number_of_holders_is_bounded() {
        let (quota, now) = (Quota::new(1), Instant::now());
        for n in 0..3 * MOST as u32 {
            let address = std::net::Ipv4Addr::from_bits(n);
            let later = now + Duration::from_secs(u64::from(n) * 2);
            quota.take(&Client::at((address, 1).into()), 1, later);
        }
        assert!(quota.even_at.lock().len() <= MOST);
    }
}
