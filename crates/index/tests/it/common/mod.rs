//! Shared by the tests of the index: keys, files, and the writer of version 1.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use leftfold_index::{FileHead, IndexCache, IndexFile, Key, KeyHasher, Kind, Source, encode};
use leftfold_io::{Disk, OpenMode, fake::FakeDisk};
use zerocopy::IntoBytes;

pub(crate) const BLOCK: usize = 4096;
pub(crate) const PAYLOAD: usize = BLOCK - 4;

pub(crate) fn key(kind: u8, n: u64) -> Key {
    KeyHasher::new(&[7; 16]).key(Kind(kind), &[&n.to_le_bytes()])
}

pub(crate) fn head(id: u64, first: u64, last: u64) -> FileHead {
    FileHead { store_id: [1; 16], id, first, last }
}

pub(crate) fn name(id: u64) -> String {
    format!("index/{id}")
}

pub(crate) fn put(disk: &FakeDisk, bytes: &[u8], head: FileHead) {
    disk.open(&name(head.id), OpenMode::Create).unwrap().write_at(bytes, 0).unwrap();
}

pub(crate) fn open(disk: &FakeDisk, head: FileHead) -> Arc<IndexFile> {
    IndexFile::open(disk, &name(head.id), head, Arc::new(IndexCache::new(1 << 20))).unwrap()
}

pub(crate) fn file(disk: &FakeDisk, bytes: &[u8], head: FileHead) -> Arc<IndexFile> {
    put(disk, bytes, head);
    open(disk, head)
}

pub(crate) fn encode_version(version: u32, head: FileHead, source: Source<'_>) -> Vec<u8> {
    if version == 1 { encode_plain(head, source) } else { encode(head, source) }
}

fn salt(head: &FileHead) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&head.store_id), &head.id.to_le_bytes())
}

/// Cuts payload into blocks with their checksums.
pub(crate) fn in_blocks(payload: &[u8], head: &FileHead) -> Vec<u8> {
    let mut file = Vec::new();
    for (number, part) in (0u64..).zip(payload.chunks(PAYLOAD)) {
        let mut part = part.to_vec();
        part.resize(PAYLOAD, 0);
        let crc = crc32c::crc32c_append(salt(head), &number.to_le_bytes());
        let crc = crc32c::crc32c_append(crc, &part);
        file.extend(part);
        file.extend(crc.to_le_bytes());
    }
    file
}

pub(crate) fn payload_of(file: &[u8]) -> Vec<u8> {
    file.chunks(BLOCK).flat_map(|block| &block[..PAYLOAD]).copied().collect()
}

fn high(key: &Key) -> u64 {
    u64::from_be_bytes(*key.as_bytes().first_chunk().unwrap())
}

fn filter(keys: &[Key]) -> Vec<u8> {
    let pieces = keys.len().div_ceil(48).max(1);
    let mut filter = vec![0; pieces * 64];
    for key in keys {
        let piece = ((u128::from(high(key)) * pieces as u128) >> 64) as usize;
        let low = u64::from_be_bytes(*key.as_bytes().last_chunk().unwrap());
        for bit in (0..6).map(|i| (low >> (i * 9)) as usize & 511) {
            filter[piece * 64 + bit / 8] |= 1 << (bit % 8);
        }
    }
    filter
}

fn directory(keys: &[Key]) -> Vec<u8> {
    let places = (keys.len() / 32).max(1).next_power_of_two();
    let place_of = |key: &Key| ((u128::from(high(key)) * places as u128) >> 64) as usize;
    let starts = (0..=places).map(|place| keys.partition_point(|key| place_of(key) < place));
    starts.flat_map(|start| (start as u32).to_le_bytes()).collect()
}

/// Version 1, written from `docs/format.md` alone.
fn encode_plain(head: FileHead, source: Source<'_>) -> Vec<u8> {
    let (mut lists, mut singles, mut postings) = (Vec::new(), Vec::new(), Vec::<u8>::new());
    for (key, ordinal, offsets) in source.lists {
        lists.extend_from_slice(key.as_bytes());
        lists.extend(ordinal.to_le_bytes());
        lists.extend((postings.len() as u32 / 4).to_le_bytes());
        lists.extend((offsets.len() as u32).to_le_bytes());
        postings.extend(offsets.iter().flat_map(|offset| offset.to_le_bytes()));
    }
    for (key, offset) in source.singles {
        singles.extend_from_slice(key.as_bytes());
        singles.extend(offset.to_le_bytes());
    }
    let list_keys: Vec<Key> = source.lists.iter().map(|list| list.0).collect();
    let single_keys: Vec<Key> = source.singles.iter().map(|single| single.0).collect();
    let all = [&list_keys[..], &single_keys].concat();
    let sections = [
        filter(&all),
        directory(&list_keys),
        lists,
        directory(&single_keys),
        singles,
        postings,
        source.attachment.to_vec(),
    ];
    let mut header = b"LFINDEX\0".to_vec();
    header.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    header.extend(head.store_id);
    let counts = [list_keys.len() as u64, single_keys.len() as u64];
    let numbers = [head.id, head.first, head.last].into_iter().chain(counts);
    header.extend(numbers.flat_map(u64::to_le_bytes));
    let mut payload = vec![0; PAYLOAD];
    for section in sections {
        header.extend((payload.len() as u64).to_le_bytes());
        header.extend((section.len() as u64).to_le_bytes());
        payload.extend(section);
    }
    payload[..header.len()].copy_from_slice(&header);
    in_blocks(&payload, &head)
}
