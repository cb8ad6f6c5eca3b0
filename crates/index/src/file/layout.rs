use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::ids::IdShape;
use crate::key::Key;

pub(super) const MAGIC: [u8; 8] = *b"LFINDEX\0";
/// Version 1: postings are offsets of 4 bytes. It is still read, but no longer written.
pub(super) const PLAIN: u32 = 1;
/// Version 2: postings are packed. It is still read, but no longer written.
pub(super) const PACKED: u32 = 2;
/// Version 3, the current one: event ids are fingerprints.
pub(super) const FINGERPRINTS: u32 = 3;

/// Flag of version 3: among the lists are those of event ids that a merge of version 2 made.
pub(super) const LISTS_OF_IDS: u32 = 1;

/// The file is a row of blocks of this size, each ending with its checksum.
pub(super) const BLOCK: usize = 4096;
pub(super) const PAYLOAD: usize = BLOCK - 4;

/// The identity of a file: its store, its number and the positions that it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHead {
    /// The store.
    pub store_id: [u8; 16],
    /// The file's number, which salts its checksums.
    pub id: u64,
    /// The first position that the file covers.
    pub first: u64,
    /// The last position that the file covers; one less than the first if it covers none.
    pub last: u64,
}

impl FileHead {
    pub(super) fn salt(&self) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&self.store_id), &self.id.to_le_bytes())
    }

    /// Returns the number of positions that the file covers.
    pub(super) fn positions(&self) -> u64 {
        self.last.saturating_add(1).saturating_sub(self.first)
    }
}

/// Returns the checksum at the end of a block.
///
/// It is bound to the file and the block's number, so a block at a wrong place is detected.
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

    /// Returns the end of the section if it lies within `payload` bytes.
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
    /// Zero before version 3.
    pub(super) flags: U32,
    pub(super) store_id: [u8; 16],
    pub(super) id: U64,
    pub(super) first: U64,
    pub(super) last: U64,
    pub(super) lists: U64,
    pub(super) ids: U64,
    pub(super) filter: Section,
    pub(super) list_directory: Section,
    pub(super) list_entries: Section,
    pub(super) id_directory: Section,
    /// Before version 3 entries of [`SingleEntry`].
    pub(super) id_rests: Section,
    pub(super) postings: Section,
    pub(super) attachment: Section,
    /// Since version 3.
    pub(super) id_tags: Section,
}

const _: () = assert!(size_of::<Header>() == Header::SIZE && Header::SIZE < PAYLOAD);

impl Header {
    pub(super) const SIZE: usize = 200;

    /// Returns whether the header is that of this file and its sections lie within the payload.
    ///
    /// The code that reads the sections relies on this.
    pub(super) fn is_sound(&self, head: &FileHead, payload: u64) -> bool {
        let range = (self.first.get(), self.last.get());
        let sections = [
            self.filter,
            self.list_directory,
            self.list_entries,
            self.id_directory,
            self.id_rests,
            self.postings,
            self.attachment,
        ];
        self.magic == MAGIC
            && matches!(self.version.get(), PLAIN | PACKED | FINGERPRINTS)
            && (self.store_id, self.id.get()) == (head.store_id, head.id)
            && range == (head.first, head.last)
            // Adding any offset to the first position gives a position.
            && head.first <= u64::MAX - u64::from(u32::MAX)
            && sections.iter().all(|section| section.end_within(payload).is_some())
            && self.filter.length.get() >= super::filter::PIECE as u64
            && self.filter.length.get().is_multiple_of(super::filter::PIECE as u64)
            && super::directory::is_directory(&self.list_directory)
            && super::directory::is_directory(&self.id_directory)
            && is_table(&self.list_entries, self.lists.get(), size_of::<ListEntry>())
            && self.has_sound_ids(head, payload)
    }

    fn has_sound_ids(&self, head: &FileHead, payload: u64) -> bool {
        let ids = self.ids.get();
        if self.version.get() != FINGERPRINTS {
            return is_table(&self.id_rests, ids, size_of::<SingleEntry>());
        }
        let shape = IdShape::of_sections(head, &self.id_directory);
        let (rests, tags) = (self.id_rests.length.get(), self.id_tags.length.get());
        ids <= u64::from(u32::MAX)
            && self.flags.get() & !LISTS_OF_IDS == 0
            && self.id_tags.end_within(payload).is_some()
            && shape.is_some_and(|shape| shape.section_lengths(ids) == [tags, rests])
    }

    /// Returns whether event ids may be among the lists.
    pub(super) fn lists_ids(&self) -> bool {
        self.version.get() != FINGERPRINTS || self.flags.get() & LISTS_OF_IDS != 0
    }
}

/// Returns whether a section holds exactly `entries` entries.
fn is_table(section: &Section, entries: u64, size: usize) -> bool {
    entries <= u64::from(u32::MAX) && section.length.get() == entries * size as u64
}

/// A key with a list, in version 1; `at` counts postings, not bytes.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct PlainEntry {
    pub(super) key: Key,
    pub(super) ordinal: U64,
    pub(super) at: U32,
    pub(super) count: U32,
}

/// A key with a list, in version 2.
///
/// The numbers have 7 and 5 bytes, so that an entry is as wide as in version 1. The limits are 2^56
/// postings of a key and a tebibyte of postings in a file.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct ListEntry {
    pub(super) key: Key,
    /// The number of the key's postings before this list.
    pub(super) ordinal: [u8; 7],
    /// The posting of a list of one, or the list's start in bytes of the postings.
    pub(super) at: [u8; 5],
    pub(super) count: U32,
}

const _: () = assert!(size_of::<PlainEntry>() == 32 && size_of::<ListEntry>() == 32);

/// An event id and its position, before version 3.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct SingleEntry {
    pub(super) key: Key,
    pub(super) offset: U32,
}

const _: () = assert!(size_of::<SingleEntry>() == 20);

/// The head of the table of a list with more than one piece.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct TableHead {
    /// The bytes of the list before its table.
    pub(super) before: U32,
    /// The list's last posting.
    pub(super) last: U32,
}

/// The table entry of a piece.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct TableEntry {
    /// The piece's first posting.
    pub(super) first: U32,
    /// The start of the piece's bits, in bytes from the start of the list.
    pub(super) at: U32,
}

const _: () = assert!(size_of::<TableHead>() == 8 && size_of::<TableEntry>() == 8);

/// Encodes a number in N bytes; `None` if it does not fit.
pub(super) fn narrow<const N: usize>(number: u64) -> Option<[u8; N]> {
    let bytes = number.to_le_bytes();
    let (low, high) = bytes.split_first_chunk::<N>()?;
    high.iter().all(|byte| *byte == 0).then_some(*low)
}

pub(super) fn widen<const N: usize>(bytes: [u8; N]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The decoded entry of a list, of either version.
#[derive(Debug, Clone, Copy)]
pub(super) struct ListInfo {
    pub(super) key: Key,
    pub(super) ordinal: u64,
    /// The start of the list: in postings (version 1) or in bytes (version 2).
    pub(super) at: u64,
    pub(super) count: u32,
}

impl From<PlainEntry> for ListInfo {
    fn from(entry: PlainEntry) -> Self {
        let PlainEntry { key, ordinal, at, count } = entry;
        ListInfo { key, ordinal: ordinal.get(), at: at.get().into(), count: count.get() }
    }
}

impl From<ListEntry> for ListInfo {
    fn from(entry: ListEntry) -> Self {
        let ListEntry { key, ordinal, at, count } = entry;
        ListInfo { key, ordinal: widen(ordinal), at: widen(at), count: count.get() }
    }
}
