use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{FORMAT_VERSION, StoreHeader, crc_of};

const MAGIC: [u8; 8] = *b"LFMANIFS";

/// What is wrong with a manifest of another release.
pub(crate) const OTHER_MANIFEST_VERSION: &str =
    "its format version is not one that this release reads";

/// The head of the file `MANIFEST`; the entries follow it.
#[derive(Debug, Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct ManifestHeader {
    magic: [u8; 8],
    version: U32,
    /// How many entries follow.
    pub entries: U32,
    /// The store that the manifest belongs to.
    pub store_id: [u8; 16],
    /// Counts the replacements of the manifest.
    pub sequence: U64,
    /// The store's hash key; zeros if an earlier release wrote the manifest. Without it a lost `STORE`
    /// could not be made again.
    pub hash_key: [u8; 16],
    /// The first bytes of the store's incarnation, which cursors have; zeros as above.
    pub incarnation: [u8; 4],
    crc: U32,
}

/// The store that a manifest belongs to.
#[derive(Debug, Clone, Copy, Default)]
pub struct ManifestOwner {
    store_id: [u8; 16],
    hash_key: [u8; 16],
    incarnation: [u8; 4],
}

impl From<&StoreHeader> for ManifestOwner {
    fn from(header: &StoreHeader) -> Self {
        let [a, b, c, d, ..] = header.incarnation;
        let (store_id, hash_key) = (header.store_id, header.hash_key);
        ManifestOwner { store_id, hash_key, incarnation: [a, b, c, d] }
    }
}

impl From<[u8; 16]> for ManifestOwner {
    fn from(store_id: [u8; 16]) -> Self {
        ManifestOwner { store_id, ..ManifestOwner::default() }
    }
}

const _: () = assert!(size_of::<ManifestHeader>() == ManifestHeader::SIZE);

/// One live file.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct ManifestEntry {
    /// The kind of the file: 1 is a segment, the others belong to the user of the log.
    pub kind: U16,
    /// For a segment: 1 open, 2 closed, 3 sealed.
    pub state: U16,
    /// Its generation: how often it was rewritten.
    pub generation: U32,
    /// Its number among its kind.
    pub id: U64,
    /// The first position that it covers.
    pub first: U64,
    /// The last position that it covers.
    pub last: U64,
    /// Bytes of the file (of a closed segment: where its frames end).
    pub length: U64,
    /// Of a segment: how it was written again; of an index: how many segments it covers, less one.
    pub detail: U32,
    /// Of the open segment: the term of its writer; 0 if an earlier release wrote the manifest.
    pub term: U32,
    /// Of the open segment: where the frames of that term begin.
    pub term_start: U64,
    reserved: [u8; 8],
}

const _: () = assert!(size_of::<ManifestEntry>() == ManifestEntry::SIZE);

impl ManifestEntry {
    /// Bytes on disk.
    pub const SIZE: usize = 64;

    pub(crate) fn new(
        kind: u16,
        state: u16,
        [generation, detail]: [u32; 2],
        [id, first, last, length]: [u64; 4],
    ) -> Self {
        ManifestEntry {
            kind: kind.into(),
            state: state.into(),
            generation: generation.into(),
            id: id.into(),
            first: first.into(),
            last: last.into(),
            length: length.into(),
            detail: detail.into(),
            term: U32::ZERO,
            term_start: U64::ZERO,
            reserved: [0; 8],
        }
    }
}

impl ManifestHeader {
    /// Bytes on disk.
    pub const SIZE: usize = 64;

    /// Lays out a whole manifest.
    pub fn encode(
        owner: impl Into<ManifestOwner>,
        sequence: u64,
        entries: &[ManifestEntry],
    ) -> Vec<u8> {
        let ManifestOwner { store_id, hash_key, incarnation } = owner.into();
        let mut header = ManifestHeader {
            magic: MAGIC,
            version: FORMAT_VERSION.into(),
            entries: (entries.len() as u32).into(),
            store_id,
            sequence: sequence.into(),
            hash_key,
            incarnation,
            crc: U32::ZERO,
        };
        header.crc = header.checksum(entries.as_bytes()).into();
        [header.as_bytes(), entries.as_bytes()].concat()
    }

    /// Reads a whole manifest: its sequence number and its entries.
    pub fn parse(
        bytes: &[u8],
        store_id: [u8; 16],
    ) -> Result<(u64, Vec<ManifestEntry>), &'static str> {
        let (header, entries) = Self::read(bytes)?;
        match header.store_id == store_id {
            true => Ok((header.sequence.get(), entries)),
            false => Err("it belongs to another store"),
        }
    }

    /// Reads a whole manifest of any store.
    pub fn read(bytes: &[u8]) -> Result<(Self, Vec<ManifestEntry>), &'static str> {
        let Ok((header, rest)) = ManifestHeader::read_from_prefix(bytes) else {
            return Err("it is cut short");
        };
        if header.magic != MAGIC || header.checksum(rest) != header.crc.get() {
            return Err("its checksum does not match");
        }
        if header.version.get() != FORMAT_VERSION {
            return Err(OTHER_MANIFEST_VERSION);
        }
        match <[ManifestEntry]>::ref_from_bytes(rest) {
            Ok(entries) if entries.len() as u32 == header.entries.get() => {
                Ok((header, entries.to_vec()))
            }
            _ => Err("it does not have as many entries as it says"),
        }
    }

    fn checksum(&self, entries: &[u8]) -> u32 {
        crc_of(0, &[&self.as_bytes()[..Self::SIZE - 4], entries])
    }
}
