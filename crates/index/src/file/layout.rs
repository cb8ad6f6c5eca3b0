use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::key::Key;

pub(super) const MAGIC: [u8; 8] = *b"LFINDEX\0";
/// Postings are offsets of 4 bytes. Read for ever, never written.
pub(super) const PLAIN: u32 = 1;
/// Postings are packed: what is written now.
pub(super) const PACKED: u32 = 2;

/// The file is a row of blocks of this size, each ending with its checksum.
pub(super) const BLOCK: usize = 4096;
pub(super) const PAYLOAD: usize = BLOCK - 4;

/// Whose postings a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHead {
    /// The store.
    pub store_id: [u8; 16],
    /// The file's number, part of what its checksums are bound to.
    pub id: u64,
    /// The first position that it covers.
    pub first: u64,
    /// The last position that it covers; one less than the first if it covers none.
    pub last: u64,
}

impl FileHead {
    pub(super) fn salt(&self) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&self.store_id), &self.id.to_le_bytes())
    }

    /// How many positions it covers.
    pub(super) fn positions(&self) -> u64 {
        self.last.saturating_add(1).saturating_sub(self.first)
    }
}

/// What a block ends with. It is bound to file and place, so that no other block passes for it.
pub(super) fn block_crc(salt: u32, number: u64, payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(salt, &number.to_le_bytes()), payload)
}

/// A run of bytes, counted in payload (without the blocks' checksums).
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Section {
    pub(super) at: U64,
    pub(super) length: U64,
}

impl Section {
    pub(super) fn new(at: u64, length: u64) -> Self {
        Section { at: at.into(), length: length.into() }
    }

    /// Where it ends, if that lies within so much payload.
    pub(super) fn end_within(&self, payload: u64) -> Option<u64> {
        self.at.get().checked_add(self.length.get()).filter(|end| *end <= payload)
    }
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

    /// Whether it is the one of this file, and all that it points to lies in so much payload. What
    /// reads the sections relies on this.
    pub(super) fn is_sound(&self, head: &FileHead, payload: u64) -> bool {
        let range = (self.first.get(), self.last.get());
        let sections = [
            self.filter,
            self.list_places,
            self.list_entries,
            self.single_places,
            self.single_entries,
            self.postings,
            self.attachment,
        ];
        self.magic == MAGIC
            && matches!(self.version.get(), PLAIN | PACKED)
            && (self.store_id, self.id.get()) == (head.store_id, head.id)
            && range == (head.first, head.last)
            // Adding any offset to the first position gives a position.
            && head.first <= u64::MAX - u64::from(u32::MAX)
            && sections.iter().all(|section| section.end_within(payload).is_some())
            && self.filter.length.get() >= super::filter::PIECE as u64
            && self.filter.length.get().is_multiple_of(super::filter::PIECE as u64)
            && super::places::is_directory(&self.list_places)
            && super::places::is_directory(&self.single_places)
            && is_table(&self.list_entries, self.lists.get(), size_of::<ListEntry>())
            && is_table(&self.single_entries, self.singles.get(), size_of::<SingleEntry>())
    }
}

/// Whether a section holds just so many entries.
fn is_table(section: &Section, entries: u64, size: usize) -> bool {
    entries <= u64::from(u32::MAX) && section.length.get() == entries * size as u64
}

/// A key with a list, in version 1: its first ordinal, and where its postings lie (in postings,
/// not bytes).
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct PlainEntry {
    pub(super) key: Key,
    pub(super) ordinal: U64,
    pub(super) at: U32,
    pub(super) count: U32,
}

/// A key with a list. The numbers' widths are 7 and 5 bytes, so that an entry is no wider than it
/// was: 2^56 postings of a key and a tebibyte of postings in a file are more than there will be.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct ListEntry {
    pub(super) key: Key,
    /// How many postings of the key come before the first.
    pub(super) ordinal: [u8; 7],
    /// Of a list of one posting, that; else where the list is found, in bytes of the postings.
    pub(super) at: [u8; 5],
    pub(super) count: U32,
}

const _: () = assert!(size_of::<PlainEntry>() == 32 && size_of::<ListEntry>() == 32);

/// A key with its only posting.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct SingleEntry {
    pub(super) key: Key,
    pub(super) offset: U32,
}

const _: () = assert!(size_of::<SingleEntry>() == 20);

/// Before the table of a list that has more than one piece.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct TableHead {
    /// How many bytes of the list lie before its table.
    pub(super) before: U32,
    /// Its last posting.
    pub(super) last: U32,
}

/// A piece of a list.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct TableEntry {
    /// Its first posting.
    pub(super) first: U32,
    /// Where its bits begin, in bytes from the beginning of the list.
    pub(super) at: U32,
}

const _: () = assert!(size_of::<TableHead>() == 8 && size_of::<TableEntry>() == 8);

/// A number of less than eight bytes.
pub(super) fn narrow<const N: usize>(number: u64) -> Option<[u8; N]> {
    let bytes = number.to_le_bytes();
    let (low, high) = bytes.split_first_chunk::<N>()?;
    high.iter().all(|byte| *byte == 0).then_some(*low)
}

pub(super) fn widen<const N: usize>(bytes: [u8; N]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// What an entry of either version says of a list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listed {
    pub(super) key: Key,
    pub(super) ordinal: u64,
    /// In postings or in bytes, as the version has it.
    pub(super) at: u64,
    pub(super) count: u32,
}

impl From<PlainEntry> for Listed {
    fn from(entry: PlainEntry) -> Self {
        let PlainEntry { key, ordinal, at, count } = entry;
        Listed { key, ordinal: ordinal.get(), at: at.get().into(), count: count.get() }
    }
}

impl From<ListEntry> for Listed {
    fn from(entry: ListEntry) -> Self {
        let ListEntry { key, ordinal, at, count } = entry;
        Listed { key, ordinal: widen(ordinal), at: widen(at), count: count.get() }
    }
}
