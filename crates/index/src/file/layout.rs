use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::key::Key;

pub(super) const MAGIC: [u8; 8] = *b"LFINDEX\0";
pub(super) const VERSION: u32 = 1;

/// The file is a row of blocks of this size, each ending with its checksum.
pub(super) const BLOCK: usize = 4096;
pub(super) const PAYLOAD: usize = BLOCK - 4;

/// The filter is a row of such pieces; a key has all its bits in one.
pub(super) const FILTER_PIECE: usize = 64;
/// About 10.7 bits a key: one in a hundred absent keys is looked for in vain.
pub(super) const KEYS_PER_PIECE: usize = 48;
pub(super) const FILTER_BITS_PER_KEY: u32 = 6;

/// A directory has one place for about so many keys.
pub(super) const KEYS_PER_PLACE: usize = 32;

/// Whose postings a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHead {
    /// The store.
    pub store_id: [u8; 16],
    /// The file's number, part of what its checksums are bound to.
    pub id: u64,
    /// The first position that it covers.
    pub first: u64,
    /// The last position that it covers.
    pub last: u64,
}

impl FileHead {
    pub(super) fn salt(&self) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&self.store_id), &self.id.to_le_bytes())
    }
}

/// A run of bytes, counted in payload (without the blocks' checksums).
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Section {
    pub(super) at: U64,
    pub(super) length: U64,
}

/// The first bytes of the first block.
#[derive(Debug, Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Header {
    pub(super) magic: [u8; 8],
    pub(super) version: U32,
    pub(super) reserved: U32,
    pub(super) store_id: [u8; 16],
    pub(super) id: U64,
    pub(super) first: U64,
    pub(super) last: U64,
    pub(super) lists: U64,
    pub(super) singles: U64,
    pub(super) filter: Section,
    pub(super) list_places: Section,
    pub(super) list_entries: Section,
    pub(super) single_places: Section,
    pub(super) single_entries: Section,
    pub(super) postings: Section,
    pub(super) attachment: Section,
}

const _: () = assert!(size_of::<Header>() == Header::SIZE && Header::SIZE < PAYLOAD);

impl Header {
    pub(super) const SIZE: usize = 184;
}

/// A key with a list: its first ordinal, and where its postings lie (in postings, not bytes).
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct ListEntry {
    pub(super) key: Key,
    pub(super) ordinal: U64,
    pub(super) at: U32,
    pub(super) count: U32,
}

const _: () = assert!(size_of::<ListEntry>() == 32);

/// A key with its only posting.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct SingleEntry {
    pub(super) key: Key,
    pub(super) offset: U32,
}

const _: () = assert!(size_of::<SingleEntry>() == 20);

/// How many places a directory of so many keys has; a power of two.
pub(super) fn places(keys: usize) -> usize {
    (keys / KEYS_PER_PLACE).max(1).next_power_of_two()
}

/// The place of a key: its first bits.
pub(super) fn place_of(key: &Key, places: usize) -> usize {
    match places.trailing_zeros() {
        0 => 0,
        bits => (key.high() >> (64 - bits)) as usize,
    }
}

/// The piece of the filter that a key belongs to, and its bits in it.
pub(super) fn filter_bits(key: &Key, pieces: usize) -> (usize, impl Iterator<Item = usize>) {
    let piece = ((u128::from(key.high()) * pieces as u128) >> 64) as usize;
    let low = key.low();
    (piece, (0..FILTER_BITS_PER_KEY).map(move |i| (low >> (i * 9)) as usize & 511))
}
