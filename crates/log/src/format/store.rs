use zerocopy::little_endian::{I64, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{FORMAT_VERSION, crc_of};

const MAGIC: [u8; 8] = *b"LEFTFOLD";

/// The category of a stream is its name up to the first `-` (the whole name if there is none).
pub const CATEGORY_FIRST_DASH: u8 = 1;

/// Incompatible feature: segments may have been rewritten, compressed or scavenged, and index files
/// may cover several segments. Set when the first of them is written.
pub const FEATURE_GENERATIONS: u64 = 1;

/// Checkpoints may be cursors with an incarnation and several positions, definitions of named indexes
/// may have partitions, and the header may be followed by the store's ancestors.
pub const FEATURE_CURSORS: u64 = 2;

/// Index files may be of version 3, with fingerprints of event ids. Set when the first of them is written.
pub const FEATURE_FINGERPRINTS: u64 = 4;

const KNOWN_FEATURES: u64 = FEATURE_GENERATIONS | FEATURE_CURSORS | FEATURE_FINGERPRINTS;

/// The first part of the file `STORE`: the identity of the store. Written when the store is created, and
/// again when it begins to use a feature that older releases do not know.
#[derive(Debug, Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct StoreHeader {
    magic: [u8; 8],
    version: U32,
    length: U32,
    /// A reader may ignore those that it does not know.
    pub compatible_features: U64,
    /// A reader must refuse those that it does not know.
    pub incompatible_features: U64,
    /// Names the store for ever, in its backups and restored copies too.
    pub store_id: [u8; 16],
    /// New whenever the store is restored from a backup, and when it is repaired.
    pub incarnation: [u8; 16],
    /// The key of every keyed hash; shared by the nodes of a cluster.
    pub hash_key: [u8; 16],
    /// How a stream's category is found; frozen for the store's life.
    pub category_rule: u8,
    reserved: [u8; 7],
    /// When the store was created, in microseconds since 1970.
    pub created: I64,
    reserved_too: [u8; 28],
    crc: U32,
}

const _: () = assert!(size_of::<StoreHeader>() == StoreHeader::SIZE);

impl StoreHeader {
    /// Bytes on disk.
    pub const SIZE: usize = 128;

    /// The header of a new store.
    pub fn new(store_id: u128, incarnation: u128, hash_key: u128, created: i64) -> Self {
        let mut header = StoreHeader {
            magic: MAGIC,
            version: FORMAT_VERSION.into(),
            length: (Self::SIZE as u32).into(),
            compatible_features: U64::ZERO,
            incompatible_features: U64::ZERO,
            store_id: store_id.to_le_bytes(),
            incarnation: incarnation.to_le_bytes(),
            hash_key: hash_key.to_le_bytes(),
            category_rule: CATEGORY_FIRST_DASH,
            reserved: [0; 7],
            created: created.into(),
            reserved_too: [0; 28],
            crc: U32::ZERO,
        };
        header.crc = header.checksum().into();
        header
    }

    /// Reads a header, or says in a sentence what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let Ok((header, _)) = StoreHeader::read_from_prefix(bytes) else {
            return Err(format!("it has {} bytes, a header has {}", bytes.len(), Self::SIZE));
        };
        if header.magic != MAGIC {
            return Err("it does not begin with LEFTFOLD".to_owned());
        }
        if header.version.get() > FORMAT_VERSION {
            return Err(format!(
                "its format version is {}, this release reads up to {FORMAT_VERSION}",
                header.version
            ));
        }
        if header.crc.get() != header.checksum() {
            return Err("its checksum does not match".to_owned());
        }
        let unknown = header.incompatible_features.get() & !KNOWN_FEATURES;
        if unknown != 0 || header.category_rule != CATEGORY_FIRST_DASH {
            return Err("it uses features that this release does not know".to_owned());
        }
        Ok(header)
    }

    /// Whether the bytes begin with a header as it was written, of whatever version and features.
    pub fn is_whole(bytes: &[u8]) -> bool {
        StoreHeader::read_from_prefix(bytes)
            .is_ok_and(|(header, _)| header.magic == MAGIC && header.crc.get() == header.checksum())
    }

    /// The same store with incompatible features in use.
    #[must_use]
    pub fn with_features(mut self, features: u64) -> Self {
        self.incompatible_features = (self.incompatible_features.get() | features).into();
        self.crc = self.checksum().into();
        self
    }

    fn checksum(&self) -> u32 {
        crc_of(0, &[&self.as_bytes()[..Self::SIZE - 4]])
    }
}

/// An earlier incarnation of the store.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Ancestor {
    /// Its id.
    pub incarnation: [u8; 16],
    /// The last position that the next incarnation has in common with it.
    pub shared: U64,
}

/// The content of the file `STORE`: the header, and the earlier incarnations of the store, oldest first.
#[derive(Debug, Clone)]
pub struct StoreIdentity {
    /// The header.
    pub header: StoreHeader,
    ancestors: Vec<Ancestor>,
}

impl StoreIdentity {
    /// The most ancestors that are kept: the first and the latest.
    pub const MAX_ANCESTORS: usize = 1_024;
    /// The most bytes of the file.
    pub const MAX_BYTES: u64 =
        (StoreHeader::SIZE + 8 + Self::MAX_ANCESTORS * size_of::<Ancestor>()) as u64;

    /// Returns the identity of a store without ancestors.
    pub fn new(header: StoreHeader) -> Self {
        StoreIdentity { header, ancestors: Vec::new() }
    }

    /// Reads the content of the file, or says in a sentence what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let header = StoreHeader::parse(bytes)?;
        let rest = &bytes[StoreHeader::SIZE..];
        if rest.is_empty() {
            return Ok(StoreIdentity::new(header));
        }
        let damaged = || "the checksum of its ancestors does not match".to_owned();
        let (list, crc) = rest.split_last_chunk::<4>().ok_or_else(damaged)?;
        if u32::from_le_bytes(*crc) != crc_of(0, &[list]) {
            return Err(damaged());
        }
        let ancestors = list.get(4..).and_then(|list| <[Ancestor]>::ref_from_bytes(list).ok());
        let ancestors = ancestors.ok_or_else(damaged)?.to_vec();
        Ok(StoreIdentity { header, ancestors })
    }

    /// Returns the content of the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.header.as_bytes().to_vec();
        if !self.ancestors.is_empty() {
            let mut list = (self.ancestors.len() as u32).to_le_bytes().to_vec();
            list.extend_from_slice(self.ancestors.as_bytes());
            let crc = crc_of(0, &[&list]);
            bytes.extend_from_slice(&list);
            bytes.extend_from_slice(&crc.to_le_bytes());
        }
        bytes
    }

    /// The same store with an incarnation that is known by its first bytes only, as cursors have it. It
    /// has the positions up to `shared` in common with the one that is known.
    #[must_use]
    pub fn of_incarnation(self, first_bytes: [u8; 4], shared: u64) -> Self {
        let mut incarnation = [0; 16];
        incarnation[..4].copy_from_slice(&first_bytes);
        self.reborn(u128::from_le_bytes(incarnation), shared)
    }

    /// Returns the earlier incarnations, oldest first.
    pub fn ancestors(&self) -> &[Ancestor] {
        &self.ancestors
    }

    /// The same store with incompatible features in use.
    #[must_use]
    pub fn with_features(mut self, features: u64) -> Self {
        self.header = self.header.with_features(features);
        self
    }

    /// The same store in another incarnation, which has the positions up to `shared` in common with
    /// this one.
    #[must_use]
    pub fn reborn(mut self, incarnation: u128, shared: u64) -> Self {
        let earlier = Ancestor { incarnation: self.header.incarnation, shared: shared.into() };
        self.ancestors.push(earlier);
        if self.ancestors.len() > Self::MAX_ANCESTORS {
            // The first one is the incarnation of cursors without one.
            self.ancestors.remove(1);
        }
        self.header.incarnation = incarnation.to_le_bytes();
        self.header = self.header.with_features(FEATURE_CURSORS);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_wrote_and_notices_every_flipped_bit() {
        let header = StoreHeader::new(1, 2, 3, 4);
        let bytes = header.as_bytes().to_vec();
        assert_eq!(StoreHeader::parse(&bytes).unwrap().store_id, 1u128.to_le_bytes());
        for bit in 0..StoreHeader::SIZE * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(StoreHeader::parse(&flipped).is_err(), "bit {bit}");
        }
        assert!(StoreHeader::parse(&bytes[..100]).is_err());
    }

    #[test]
    fn reads_back_ancestors_and_notices_every_flipped_bit() {
        let alone = StoreIdentity::new(StoreHeader::new(1, 2, 3, 4));
        assert_eq!(alone.encode().len(), StoreHeader::SIZE);
        let identity = alone.reborn(5, 50).reborn(6, 60);
        let bytes = identity.encode();
        let read = StoreIdentity::parse(&bytes).unwrap();
        let expected = [(2u128, 50), (5, 60)].map(|(incarnation, shared): (u128, u64)| Ancestor {
            incarnation: incarnation.to_le_bytes(),
            shared: shared.into(),
        });
        assert_eq!(read.ancestors(), expected);
        assert_eq!(read.header.incarnation, 6u128.to_le_bytes());
        for bit in StoreHeader::SIZE * 8..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(StoreIdentity::parse(&flipped).is_err(), "bit {bit}");
        }
        for length in StoreHeader::SIZE + 1..bytes.len() {
            assert!(StoreIdentity::parse(&bytes[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn keeps_the_first_ancestor_and_the_latest() {
        let first = StoreIdentity::new(StoreHeader::new(1, 0, 3, 4));
        let identity = (1..=2_000).fold(first, |identity, n| identity.reborn(n, 9));
        assert_eq!(identity.ancestors().len(), StoreIdentity::MAX_ANCESTORS);
        assert_eq!(identity.ancestors()[0].incarnation, [0; 16]);
        assert_eq!(identity.ancestors().last().unwrap().incarnation, 1_999u128.to_le_bytes());
        assert_eq!(identity.encode().len() as u64, StoreIdentity::MAX_BYTES);
    }
}
