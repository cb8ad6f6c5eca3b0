use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use siphasher::sip128::{Hasher128, SipHasher24};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The kind of thing that a key names.
///
/// The crate above assigns the numbers. A number is part of the hash, so it must not change once a
/// key with it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind(pub u8);

/// A keyed 128-bit hash of a kind and a name, big-endian, so that its bytes sort like the number.
///
/// Without the store's hash key an attacker cannot find two names that collide.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Unaligned,
)]
#[repr(transparent)]
pub struct Key(pub(crate) [u8; 16]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:032x})", u128::from_be_bytes(self.0))
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.high());
    }
}

impl Key {
    /// Returns the first 64 bits: uniform, used by directories.
    pub(crate) fn high(&self) -> u64 {
        (u128::from_be_bytes(self.0) >> 64) as u64
    }

    /// Returns the last 64 bits: uniform and independent of the first, used by filters.
    pub(crate) fn low(&self) -> u64 {
        u128::from_be_bytes(self.0) as u64
    }
}

/// The first bits of the key of an event id: all that an index file keeps of it.
///
/// Different ids may have the same fingerprint, so a match is only a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub(crate) u64);

impl Fingerprint {
    /// The bits of a fingerprint: of 2^30 ids in a store, one look-up in a thousand meets a candidate
    /// that is another event.
    pub(crate) const BITS: u32 = 40;

    /// Returns the fingerprint of a key.
    pub fn of(key: &Key) -> Self {
        Fingerprint(key.high() >> (u64::BITS - Self::BITS))
    }

    /// Returns the fingerprint as the first bits of a number, as directories expect it.
    pub(crate) fn high(self) -> u64 {
        self.0 << (u64::BITS - Self::BITS)
    }

    /// Returns the bits, as the lowest ones of a number.
    pub fn bits(self) -> u64 {
        self.0
    }
}

/// Computes keys with a store's hash key.
#[derive(Debug, Clone, Copy)]
pub struct KeyHasher(SipHasher24);

impl KeyHasher {
    /// Creates a hasher with this hash key.
    pub fn new(hash_key: &[u8; 16]) -> Self {
        KeyHasher(SipHasher24::new_with_key(hash_key))
    }

    /// Returns the key of a name of several parts; different lists of parts are hashed differently.
    pub fn key(&self, kind: Kind, parts: &[&[u8]]) -> Key {
        let mut input = HashInput::new(self.0, kind);
        for part in parts {
            input.put(&(part.len() as u64).to_le_bytes());
            input.put(part);
        }
        input.finish()
    }

    /// Returns the key of a name of one part, given as pieces to concatenate.
    pub fn key_of_pieces(&self, kind: Kind, pieces: &[&[u8]]) -> Key {
        let mut input = HashInput::new(self.0, kind);
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        input.put(&(length as u64).to_le_bytes());
        pieces.iter().for_each(|piece| input.put(piece));
        input.finish()
    }
}

/// The bytes to hash, buffered: one call for sixty bytes costs a third of a call per part.
struct HashInput {
    hasher: SipHasher24,
    gathered: [u8; 128],
    len: usize,
}

impl HashInput {
    fn new(hasher: SipHasher24, kind: Kind) -> Self {
        let mut gathered = [0; 128];
        gathered[0] = kind.0;
        HashInput { hasher, gathered, len: 1 }
    }

    fn put(&mut self, part: &[u8]) {
        if let Some(room) = self.gathered.get_mut(self.len..self.len + part.len()) {
            room.copy_from_slice(part);
            self.len += part.len();
        } else {
            self.hasher.write(&self.gathered[..self.len]);
            self.hasher.write(part);
            self.len = 0;
        }
    }

    fn finish(mut self) -> Key {
        self.hasher.write(&self.gathered[..self.len]);
        Key(self.hasher.finish128().as_u128().to_be_bytes())
    }
}

/// A map by key that does not hash the keys, because they are hashes.
pub type KeyMap<V> = std::collections::HashMap<Key, V, BuildHasherDefault<IdentityHasher>>;

/// Returns the number that it was given. Keys are hashes already.
#[derive(Default)]
pub struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn write(&mut self, _bytes: &[u8]) {}

    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_by_kind_by_name_by_parts_and_by_hash_key() {
        let hasher = KeyHasher::new(&[1; 16]);
        let keys = [
            hasher.key(Kind(1), &[b"ab"]),
            hasher.key(Kind(2), &[b"ab"]),
            hasher.key(Kind(1), &[b"a", b"b"]),
            hasher.key(Kind(1), &[b"", b"ab"]),
            KeyHasher::new(&[2; 16]).key(Kind(1), &[b"ab"]),
        ];
        for (i, key) in keys.iter().enumerate() {
            assert!(!keys[..i].contains(key));
        }
        assert_eq!(hasher.key_of_pieces(Kind(1), &[b"a", b"", b"b"]), keys[0]);
    }

    #[test]
    fn buffering_does_not_change_the_hash_of_long_names() {
        let hasher = KeyHasher::new(&[1; 16]);
        for length in [1, 100, 118, 119, 120, 127, 128, 129, 1024] {
            let name = vec![b'n'; length];
            let mut all = vec![1];
            all.extend_from_slice(&(length as u64).to_le_bytes());
            all.extend_from_slice(&name);
            let mut plain = SipHasher24::new_with_key(&[1; 16]);
            plain.write(&all);
            let plain = Key(plain.finish128().as_u128().to_be_bytes());
            assert_eq!(hasher.key(Kind(1), &[&name]), plain);
            let (head, tail) = name.split_at(length / 3);
            assert_eq!(hasher.key_of_pieces(Kind(1), &[head, tail]), plain);
        }
    }

    /// Frozen with the format: later releases must find the keys that this one writes.
    #[test]
    fn the_hash_is_siphash_2_4_with_128_bits() {
        let key = KeyHasher::new(&[0; 16]).key(Kind(1), &[b"order-1"]);
        assert_eq!(format!("{key:?}"), "Key(43fb5893bce0bbf8d3bba2539ec0ab2f)");
    }
}
