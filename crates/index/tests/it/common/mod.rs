//! Shared by the tests of the index: keys, files, and the writers of versions 1 and 2.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use leftfold_index::{
    FileHead, IndexCache, IndexError, IndexFile, IndexSet, Key, KeyHasher, Kind, Source, encode,
};
use leftfold_io::{Disk, OpenMode, fake::FakeDisk};
use zerocopy::{FromBytes, IntoBytes};

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
    match version {
        1 => encode_plain(head, source),
        2 => encode_packed(head, source),
        _ => encode(head, source),
    }
}

/// Returns the key of an event id. Each three have the same fingerprint.
pub(crate) fn id_key(n: u64) -> Key {
    let (shared, own) = (key(2, n / 3), key(2, n));
    let bytes = [&shared.as_bytes()[..5], &own.as_bytes()[5..]].concat();
    Key::read_from_bytes(&bytes).unwrap()
}

/// Returns all positions that may have an event id.
pub(crate) fn candidates(set: &IndexSet, key: &Key, range: [u64; 2]) -> Vec<u64> {
    let mut found = Vec::new();
    let none = set.find_id(key, range, |position| {
        found.push(position);
        Ok::<_, IndexError>(false)
    });
    assert_eq!(none.unwrap(), None);
    found
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

fn singles(ids: &[(Key, u32)]) -> Vec<u8> {
    let entry = |(key, offset): &(Key, u32)| [key.as_bytes(), &offset.to_le_bytes()].concat();
    ids.iter().flat_map(entry).collect()
}

/// Version 2: the lists are those of version 3; the filter has all keys, and ids have whole ones.
fn encode_packed(head: FileHead, source: Source<'_>) -> Vec<u8> {
    let mut payload = payload_of(&encode(head, Source { ids: &[], ..source }));
    let keys: Vec<Key> = source.ids.iter().map(|id| id.0).collect();
    let all: Vec<Key> = source.lists.iter().map(|list| list.0).chain(keys.clone()).collect();
    payload[8..16].copy_from_slice(&[2, 0, 0, 0, 0, 0, 0, 0]);
    payload[64..72].copy_from_slice(&(keys.len() as u64).to_le_bytes());
    let sections = [(72, filter(&all)), (120, directory(&keys)), (136, singles(source.ids))];
    for (in_header, section) in sections {
        let (at, length) = (payload.len() as u64, section.len() as u64);
        payload[in_header..in_header + 8].copy_from_slice(&at.to_le_bytes());
        payload[in_header + 8..in_header + 16].copy_from_slice(&length.to_le_bytes());
        payload.extend(section);
    }
    payload[184..200].fill(0);
    in_blocks(&payload, &head)
}

/// Version 1, written from `docs/format.md` alone.
fn encode_plain(head: FileHead, source: Source<'_>) -> Vec<u8> {
    let (mut lists, mut postings) = (Vec::new(), Vec::<u8>::new());
    for (key, ordinal, offsets) in source.lists {
        lists.extend_from_slice(key.as_bytes());
        lists.extend(ordinal.to_le_bytes());
        lists.extend((postings.len() as u32 / 4).to_le_bytes());
        lists.extend((offsets.len() as u32).to_le_bytes());
        postings.extend(offsets.iter().flat_map(|offset| offset.to_le_bytes()));
    }
    let list_keys: Vec<Key> = source.lists.iter().map(|list| list.0).collect();
    let single_keys: Vec<Key> = source.ids.iter().map(|id| id.0).collect();
    let all = [&list_keys[..], &single_keys].concat();
    let sections = [
        filter(&all),
        directory(&list_keys),
        lists,
        directory(&single_keys),
        singles(source.ids),
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
