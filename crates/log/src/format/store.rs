use zerocopy::little_endian::{I64, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{FORMAT_VERSION, crc_of};

const MAGIC: [u8; 8] = *b"LEFTFOLD";

/// The category of a stream is its name up to the first `-` (the whole name if there is none).
pub const CATEGORY_FIRST_DASH: u8 = 1;

/// Incompatible feature: segments may have been rewritten, compressed or scavenged, and index files
/// may cover several segments. Set when the first of them is written.
pub const FEATURE_GENERATIONS: u64 = 1;

/// Checkpoints may be cursors with an incarnation and several positions, and definitions of named
/// indexes may have partitions.
pub const FEATURE_CURSORS: u64 = 2;

const KNOWN_FEATURES: u64 = FEATURE_GENERATIONS | FEATURE_CURSORS;

/// The file `STORE`: the identity of the store. Written when the store is created, and again when it
/// begins to use a feature that older releases do not know.
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
    /// New whenever the store is restored from a backup.
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

    /// The same store with incompatible features in use.
    #[must_use]
    pub fn with_features(mut self, features: u64) -> Self {
        self.incompatible_features = (self.incompatible_features.get() | features).into();
        self.crc = self.checksum().into();
        self
    }

    /// The same store in another incarnation.
    #[must_use]
    pub fn reborn(mut self, incarnation: u128) -> Self {
        self.incarnation = incarnation.to_le_bytes();
        self.crc = self.checksum().into();
        self
    }

    fn checksum(&self) -> u32 {
        crc_of(0, &[&self.as_bytes()[..Self::SIZE - 4]])
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
}
