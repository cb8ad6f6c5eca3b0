//! Buffers for read-ahead, used again: fresh memory of this size comes from the system page by page,
//! each cleared first, which costs as much as reading into it.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

/// Shorter buffers come from the allocator; so do those longer than [`LENGTH`].
const SHORTEST: usize = 128 << 10;
/// Room for a read-ahead and the block that it ends with.
const LENGTH: usize = 384 << 10;
/// At most this many unused buffers are held.
const SPARE: usize = 8;

/// The unused buffers.
#[derive(Clone, Default)]
pub(crate) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// A buffer in use; it goes back when its last reader drops it.
struct LentBuffer {
    bytes: Vec<u8>,
    home: Buffers,
}

impl Buffers {
    /// Returns bytes of this length, filled by the caller. Before that they hold anything.
    pub(crate) fn filled<E>(
        &self,
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Bytes, E> {
        if !(SHORTEST..=LENGTH).contains(&length) {
            let mut bytes = vec![0; length];
            fill(&mut bytes)?;
            return Ok(bytes.into());
        }
        let bytes = self.0.lock().pop().unwrap_or_else(|| vec![0; LENGTH]);
        let mut lent = LentBuffer { bytes, home: self.clone() };
        fill(&mut lent.bytes[..length])?;
        Ok(Bytes::from_owner(lent).slice(..length))
    }
}

impl AsRef<[u8]> for LentBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for LentBuffer {
    fn drop(&mut self) {
        let mut free = self.home.0.lock();
        if free.len() < SPARE {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_only_after_its_last_reader() {
        let buffers = Buffers::default();
        let fill = |with: u8| {
            move |bytes: &mut [u8]| -> Result<(), ()> {
                bytes.fill(with);
                Ok(())
            }
        };
        let first = buffers.filled(SHORTEST, fill(1)).unwrap();
        let part = first.slice(10..20);
        let place = first.as_ptr();
        drop(first);
        let second = buffers.filled(LENGTH, fill(2)).unwrap();
        assert_eq!((&part[..], second.len()), (&[1; 10][..], LENGTH));
        assert_ne!(second.as_ptr(), place);
        drop(part);
        let third = buffers.filled(SHORTEST + 1, fill(3)).unwrap();
        assert_eq!(third.as_ptr(), place);
        assert!(third.iter().all(|byte| *byte == 3) && third.len() == SHORTEST + 1);
        assert!(buffers.filled(SHORTEST, |_| Err(())).is_err());
    }
}
