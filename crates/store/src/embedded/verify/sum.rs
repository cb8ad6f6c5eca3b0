use std::collections::HashSet;
use std::fmt;
use std::hash::Hasher;

use leftfold_index::Key;
use siphasher::sip128::{Hasher128, SipHasher24};
use zerocopy::IntoBytes;

use crate::keys::Postings;

/// A number for a set of postings, whatever their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sum {
    postings: u64,
    digests: u128,
}

impl Sum {
    pub(super) fn add(&mut self, key: &Key, position: u64) {
        let mut hasher = SipHasher24::new();
        hasher.write(key.as_bytes());
        hasher.write_u64(position);
        self.postings += 1;
        self.digests = self.digests.wrapping_add(hasher.finish128().as_u128());
    }
}

impl std::iter::Sum for Sum {
    fn sum<I: Iterator<Item = Sum>>(sums: I) -> Sum {
        sums.fold(Sum::default(), |all, one| Sum {
            postings: all.postings + one.postings,
            digests: all.digests.wrapping_add(one.digests),
        })
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with digest {:032x}", self.postings, self.digests)
    }
}

/// Lists of event ids, which stand in several files only if an id came twice, have no ordinals.
pub(super) fn is_single(ordinal: u64) -> bool {
    ordinal == 0
}

/// Adds up the postings of a segment.
#[derive(Default)]
pub(super) struct Adder {
    pub(super) sum: Sum,
    /// Of an id that comes twice in a segment, the first is kept.
    singles: HashSet<Key>,
}

impl Postings for Adder {
    fn add_posting(&mut self, key: Key, position: u64) {
        self.sum.add(&key, position);
    }

    fn add_numbered(&mut self, key: Key, position: u64, _: u64) {
        self.sum.add(&key, position);
    }

    fn add_single(&mut self, key: Key, position: u64) {
        if self.singles.insert(key) {
            self.sum.add(&key, position);
        }
    }
}
