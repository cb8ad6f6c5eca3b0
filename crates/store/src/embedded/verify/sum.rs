use std::collections::HashSet;
use std::fmt;
use std::hash::Hasher;

use leftfold_index::{Fingerprint, Key};
use siphasher::sip128::{Hasher128, SipHasher24};

use crate::keys::Postings;

/// The sum of the digests of postings. It does not depend on their order.
///
/// A digest is that of the position and of the key's fingerprint: an index file has no more of an id, and
/// one of an earlier release may have an id among its lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sum {
    postings: u64,
    digests: u128,
}

impl Sum {
    pub(super) fn add(&mut self, key: Fingerprint, position: u64) {
        let mut hasher = SipHasher24::new();
        hasher.write_u64(key.bits());
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

/// Whether a list may be that of an event id, which has no ordinals. Only a merge of an earlier release made
/// such a list, of an id that was written twice.
pub(super) fn is_single(ordinal: u64) -> bool {
    ordinal == 0
}

/// Sums the postings of a segment.
#[derive(Default)]
pub(super) struct SumBuilder {
    pub(super) sum: Sum,
    /// The ids so far. If an id occurs twice in a segment, the index keeps only the first.
    ids: HashSet<Key>,
}

impl Postings for SumBuilder {
    fn add_posting(&mut self, key: Key, position: u64) {
        self.sum.add(Fingerprint::of(&key), position);
    }

    fn add_numbered(&mut self, key: Key, position: u64, _: u64) {
        self.sum.add(Fingerprint::of(&key), position);
    }

    fn add_id(&mut self, key: Key, position: u64) {
        if self.ids.insert(key) {
            self.sum.add(Fingerprint::of(&key), position);
        }
    }
}
