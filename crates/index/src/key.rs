use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use siphasher::sip128::{Hasher128, SipHasher24};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// What a key is about. Open-ended: whoever is above numbers its own kinds; the number is part of
/// what is hashed, so it is frozen once it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind(pub u8);

/// A keyed 128-bit hash of a kind and a name, big-endian so that its bytes sort like the number.
/// Nobody who does not know the store's hash key can make two names collide.
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
    /// The first 64 bits: evenly spread, for directories.
    pub(crate) fn high(&self) -> u64 {
        (u128::from_be_bytes(self.0) >> 64) as u64
    }

    /// The last 64 bits: evenly spread and independent of the first, for filters.
    pub(crate) fn low(&self) -> u64 {
        u128::from_be_bytes(self.0) as u64
    }
}

/// Makes keys with a store's hash key.
#[derive(Debug, Clone, Copy)]
pub struct KeyHasher(SipHasher24);

impl KeyHasher {
    /// A hasher with this hash key.
    pub fn new(hash_key: &[u8; 16]) -> Self {
        KeyHasher(SipHasher24::new_with_key(hash_key))
    }

    /// The key of a name of several parts; no two lists of parts look alike to it.
    pub fn key(&self, kind: Kind, parts: &[&[u8]]) -> Key {
        let mut said = Said::new(self.0, kind);
        for part in parts {
            said.put(&(part.len() as u64).to_le_bytes());
            said.put(part);
        }
        said.finish()
    }

    /// The key of a name of one part that comes in pieces: as if they had been joined.
    pub fn key_of_pieces(&self, kind: Kind, pieces: &[&[u8]]) -> Key {
        let mut said = Said::new(self.0, kind);
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        said.put(&(length as u64).to_le_bytes());
        pieces.iter().for_each(|piece| said.put(piece));
        said.finish()
    }
}

/// What is to be hashed, gathered: one call for sixty bytes costs a third of one for each part.
struct Said {
    hasher: SipHasher24,
    gathered: [u8; 128],
    len: usize,
}

impl Said {
    fn new(hasher: SipHasher24, kind: Kind) -> Self {
        let mut gathered = [0; 128];
        gathered[0] = kind.0;
        Said { hasher, gathered, len: 1 }
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

/// Keys are hashes already; a map need not hash them again.
pub(crate) type KeyMap<V> = std::collections::HashMap<Key, V, BuildHasherDefault<AsItIs>>;

#[derive(Default)]
pub(crate) struct AsItIs(u64);

impl Hasher for AsItIs {
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
    fn long_names_are_hashed_as_if_nothing_were_gathered() {
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

    /// Frozen with the format: an index written today is asked for these keys for ever.
    #[test]
    fn the_hash_is_siphash_2_4_with_128_bits() {
        let key = KeyHasher::new(&[0; 16]).key(Kind(1), &[b"order-1"]);
        assert_eq!(format!("{key:?}"), "Key(43fb5893bce0bbf8d3bba2539ec0ab2f)");
    }
}
