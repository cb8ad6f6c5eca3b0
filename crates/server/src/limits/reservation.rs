use std::sync::Arc;

use super::client::Client;
use super::pool::{Lease, Pool};
use crate::state::State;

/// Bytes whose memory is not counted: the number of requests bounds it.
const SMALL_BYTES: usize = 16 << 10;

/// Memory of `limits.bodies_bytes` that a request has reserved. It is given back when this is dropped.
pub(crate) struct Reservation {
    bodies: Arc<Pool>,
    client: Client,
    lease: Option<Lease>,
}

/// The requests in flight take all of `limits.bodies_bytes`, or of this client's share of it.
#[derive(Debug)]
pub(crate) struct MemoryFull;

impl Reservation {
    /// Returns a reservation of nothing.
    pub(crate) fn new(state: &State, client: Client) -> Self {
        Reservation::of(state.limits.bodies.clone(), client)
    }

    pub(crate) fn of(bodies: Arc<Pool>, client: Client) -> Self {
        Reservation { bodies, client, lease: None }
    }

    /// Reserves so much that the request has this many bytes. A small number is not counted.
    ///
    /// # Errors
    /// The memory is not there; the reservation is what it was.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> Result<(), MemoryFull> {
        if bytes < SMALL_BYTES {
            return Ok(());
        }
        let Some(lease) = &mut self.lease else {
            self.lease = Some(self.bodies.take(&self.client, bytes).ok_or(MemoryFull)?);
            return Ok(());
        };
        // By a quarter at least, so that many small steps take the lock of the pool only a few times.
        let ample = bytes.max(lease.units() / 4 * 5);
        let is_there = lease.units() >= bytes || lease.resize(ample) || lease.resize(bytes);
        is_there.then_some(()).ok_or(MemoryFull)
    }

    /// Gives back what goes beyond this many bytes.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        if let Some(lease) = self.lease.as_mut().filter(|lease| lease.units() > bytes) {
            // Fewer can always be had.
            _ = lease.resize(bytes);
        }
    }

    /// Returns what is reserved, or `None` if it is nothing.
    pub(crate) fn into_lease(self) -> Option<Lease> {
        self.lease
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Origin;

    #[test]
    fn gives_back_what_it_has_reserved() {
        let bodies = Pool::new(100 * SMALL_BYTES, 100);
        let client = Client::new(&Origin::default(), None);
        let mut reservation = Reservation::of(bodies.clone(), client);
        reservation.grow_to(SMALL_BYTES - 1).unwrap();
        assert_eq!(bodies.taken(), 0);
        reservation.grow_to(30 * SMALL_BYTES).unwrap();
        reservation.grow_to(80 * SMALL_BYTES).unwrap();
        assert_eq!(bodies.taken(), 80 * SMALL_BYTES);
        reservation.grow_to(101 * SMALL_BYTES).unwrap_err();
        assert_eq!(bodies.taken(), 80 * SMALL_BYTES);
        reservation.shrink_to(50 * SMALL_BYTES);
        assert_eq!(bodies.taken(), 50 * SMALL_BYTES);
        drop(reservation);
        assert_eq!(bodies.taken(), 0);
    }
}
