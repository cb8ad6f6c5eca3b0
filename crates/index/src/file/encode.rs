use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use super::layout::{
    BLOCK, FILTER_PIECE, FileHead, Header, KEYS_PER_PIECE, ListEntry, MAGIC, PAYLOAD, Section,
    SingleEntry, VERSION, filter_bits, place_of, places,
};
use crate::key::Key;

/// What goes into a file, sorted by key.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Keys with the ordinal of their first posting, and offsets from the first position.
    pub lists: &'a [(Key, u64, Vec<u32>)],
    /// Keys with one posting.
    pub singles: &'a [(Key, u32)],
    /// Bytes that the index keeps for whoever is above.
    pub attachment: &'a [u8],
}

/// Lays out a whole file.
pub fn encode(head: FileHead, source: Source<'_>) -> Vec<u8> {
    let mut at = 0;
    let entries: Vec<_> = source
        .lists
        .iter()
        .map(|(key, ordinal, offsets)| {
            let count = offsets.len() as u32;
            let entry = ListEntry {
                key: *key,
                ordinal: (*ordinal).into(),
                at: U32::new(at),
                count: count.into(),
            };
            at += count;
            entry
        })
        .collect();
    let single = |(key, at): &(Key, u32)| SingleEntry { key: *key, offset: (*at).into() };
    let singles: Vec<_> = source.singles.iter().map(single).collect();
    let list_keys: Vec<_> = entries.iter().map(|entry| entry.key).collect();
    let single_keys: Vec<_> = singles.iter().map(|entry| entry.key).collect();
    let mut postings = Vec::with_capacity(at as usize * 4);
    for offset in source.lists.iter().flat_map(|list| &list.2) {
        postings.extend_from_slice(&offset.to_le_bytes());
    }
    let filter = filter(list_keys.iter().chain(&single_keys), list_keys.len() + single_keys.len());
    let (list_places, single_places) = (directory(&list_keys), directory(&single_keys));
    let mut payload = vec![0; PAYLOAD];
    let mut section = |bytes: &[u8]| {
        let section =
            Section { at: (payload.len() as u64).into(), length: (bytes.len() as u64).into() };
        payload.extend_from_slice(bytes);
        section
    };
    let header = Header {
        magic: MAGIC,
        version: VERSION.into(),
        reserved: U32::ZERO,
        store_id: head.store_id,
        id: head.id.into(),
        first: head.first.into(),
        last: head.last.into(),
        lists: (entries.len() as u64).into(),
        singles: (singles.len() as u64).into(),
        filter: section(&filter),
        list_places: section(list_places.as_bytes()),
        list_entries: section(entries.as_bytes()),
        single_places: section(single_places.as_bytes()),
        single_entries: section(singles.as_bytes()),
        postings: section(&postings),
        attachment: section(source.attachment),
    };
    payload[..Header::SIZE].copy_from_slice(header.as_bytes());
    in_blocks(&payload, head.salt())
}

/// Cuts the payload into blocks and puts its checksum behind each.
fn in_blocks(payload: &[u8], salt: u32) -> Vec<u8> {
    let mut file = Vec::with_capacity(payload.len().div_ceil(PAYLOAD) * BLOCK);
    for (number, part) in payload.chunks(PAYLOAD).enumerate() {
        let start = file.len();
        file.extend_from_slice(part);
        file.resize(start + PAYLOAD, 0);
        let crc = block_crc(salt, number as u64, &file[start..]);
        file.extend_from_slice(&crc.to_le_bytes());
    }
    file
}

pub(super) fn block_crc(salt: u32, number: u64, payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(salt, &number.to_le_bytes()), payload)
}

/// Where the keys of each place begin; one more entry says where the last ends.
fn directory(keys: &[Key]) -> Vec<U32> {
    let places = places(keys.len());
    let mut starts = Vec::with_capacity(places + 1);
    for (i, key) in keys.iter().enumerate() {
        while starts.len() <= place_of(key, places) {
            starts.push(U32::new(i as u32));
        }
    }
    starts.resize(places + 1, U32::new(keys.len() as u32));
    starts
}

fn filter<'a>(keys: impl Iterator<Item = &'a Key>, count: usize) -> Vec<u8> {
    let pieces = count.div_ceil(KEYS_PER_PIECE).max(1);
    let mut filter = vec![0; pieces * FILTER_PIECE];
    for key in keys {
        let (piece, bits) = filter_bits(key, pieces);
        for bit in bits {
            filter[piece * FILTER_PIECE + bit / 8] |= 1 << (bit % 8);
        }
    }
    filter
}
