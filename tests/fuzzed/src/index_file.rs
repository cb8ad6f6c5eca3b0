//! An index file of any header and payload, cut into blocks with correct checksums.

use std::sync::Arc;

use leftfold_index::{
    Expr, FileHead, IndexCache, IndexError, IndexFile, IndexSet, Key, KeyHasher, Kind, Order, Part,
    Source, Target, encode, merge,
};
use leftfold_io::{Disk, OpenMode, fake::FakeDisk};
use zerocopy::FromBytes;

use crate::seal;

const STORE_ID: [u8; 16] = [1; 16];
const ID: u64 = 9;
const BLOCK: usize = 4096;
/// The bytes of a block before its checksum.
const PAYLOAD: usize = BLOCK - 4;
const HEADER_BYTES: usize = 200;
/// The number of keys in the seeds.
const KEYS: u64 = 12;
/// The offsets in the header of the first and last covered position.
const FIRST_AT: usize = 40;
const LAST_AT: usize = 48;
/// The offsets in the header of the sections of lists and ids; each entry begins with its key, if the file has
/// whole keys of ids.
const LISTS_AT: usize = 104;
const IDS_AT: usize = 136;

fn key(n: u64) -> Key {
    KeyHasher::new(&[7; 16]).key(Kind(1), &[&n.to_le_bytes()])
}

/// Returns the file of an input. The header has a block of its own, as the writer makes it. So the
/// fuzzer need not produce the zeros after it, the checksums, or the end of the last block.
fn file_of(input: &[u8]) -> Vec<u8> {
    let (header, payload) = input.split_at(input.len().min(HEADER_BYTES));
    let mut bytes = Vec::new();
    for part in [header].into_iter().chain(payload.chunks(PAYLOAD)) {
        bytes.extend_from_slice(part);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    }
    bytes
}

/// Returns the input that makes this file.
fn input_of(file: &[u8]) -> Vec<u8> {
    let (first, rest) = file.split_at(BLOCK);
    let mut input = first[..HEADER_BYTES].to_vec();
    rest.chunks(BLOCK).for_each(|block| input.extend_from_slice(&block[..PAYLOAD]));
    let end = input.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    input.truncate(end.max(HEADER_BYTES));
    input
}

pub(crate) fn run(input: &[u8]) {
    let mut bytes = file_of(input);
    // Set these, so that the fuzzer need not find them.
    seal::put(&mut bytes, 0, b"LFINDEX\0");
    seal::put(&mut bytes, 16, &STORE_ID);
    seal::put(&mut bytes, 32, &ID.to_le_bytes());
    seal::index(&mut bytes, STORE_ID, ID);
    let number = |at| seal::u64_at(&bytes, at).unwrap_or_default();
    let head =
        FileHead { store_id: STORE_ID, id: ID, first: number(FIRST_AT), last: number(LAST_AT) };
    let disk = FakeDisk::new();
    disk.open("index/9", OpenMode::Create).unwrap().write_at(&bytes, 0).unwrap();
    let cache = Arc::new(IndexCache::new(1 << 20));
    let Ok(file) = IndexFile::open(&disk, "index/9", head, cache) else { return };
    _ = file.attachment();
    _ = file.verify(|_| ());
    merge_again(&disk, &file);
    ask(&IndexSet::new(vec![Part::File(file.clone())]), &keys(&bytes));
    ask(&IndexSet::default().with_backfill(&[key(0)], &file), &keys(&bytes));
}

/// Merges the file into a new one, which must be sound.
fn merge_again(disk: &FakeDisk, file: &Arc<IndexFile>) {
    let to = disk.open("index/10", OpenMode::Create).unwrap();
    let head = FileHead { id: 10, store_id: STORE_ID, first: file.first(), last: file.last() };
    let target = Target { file: &*to, name: "index/10", head };
    if let Ok(Some(_)) = merge(std::slice::from_ref(file), target, &mut |_| true) {
        let cache = Arc::new(IndexCache::new(1 << 20));
        let merged = IndexFile::open(disk, "index/10", head, cache).unwrap();
        merged.verify(|_| ()).unwrap();
    }
}

/// Returns keys that the file may have.
fn keys(bytes: &[u8]) -> Vec<Key> {
    let of_entries = [LISTS_AT, IDS_AT].map(|at| {
        // Blocks end with four bytes that the sections' offsets do not count.
        let at = seal::u64_at(bytes, at).unwrap_or_default();
        let at = usize::try_from(at.saturating_add(at / 4092 * 4)).unwrap_or(usize::MAX);
        let entry = bytes.get(at..).unwrap_or_default();
        Key::read_from_prefix(entry).ok().map(|(key, _)| key)
    });
    (0..KEYS).map(key).chain(of_entries.into_iter().flatten()).collect()
}

fn ask(set: &IndexSet, keys: &[Key]) {
    for key in keys {
        _ = set.first(key, u64::MAX);
        _ = set.last(key, u64::MAX);
        _ = set.last_since(key, 50, 1);
        for nth in [0, 1, 63, 64, 65, u64::MAX] {
            _ = set.nth(key, nth, u64::MAX);
        }
        _ = set.count(key, 70);
        _ = set.find_id(key, [0, u64::MAX], |_| Ok::<_, IndexError>(false));
    }
    let all: Vec<Expr> = keys.iter().map(|key| Expr::Key(*key)).collect();
    let some = Expr::And(all.iter().take(2).cloned().collect());
    for expr in [Expr::Or(all), some] {
        for (toward, range) in [
            (Order::Ascending, [0, u64::MAX]),
            (Order::Descending, [0, u64::MAX]),
            (Order::Ascending, [5, 90]),
        ] {
            go_through(set, &expr, range, toward);
        }
    }
}

fn go_through(set: &IndexSet, expr: &Expr, range: [u64; 2], toward: Order) {
    let Ok(mut matches) = set.matches(expr, range, toward) else { return };
    let mut before = None;
    while let Ok(Some(position)) = matches.next() {
        let on = before.is_none_or(|before| match toward {
            Order::Ascending => before < position,
            Order::Descending => before > position,
        });
        assert!(on && (range[0]..=range[1]).contains(&position), "{position} after {before:?}");
        before = Some(position);
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut lists: Vec<_> = (0..KEYS / 2)
        .map(|n| (key(n), n * 10, (0..100u32).filter(|at| u64::from(*at) % (n + 1) == 0).collect()))
        .collect();
    let mut ids: Vec<_> = (KEYS / 2..KEYS).map(|n| (key(n), n as u32 * 7)).collect();
    lists.sort_by_key(|(key, ..)| *key);
    ids.sort_by_key(|(key, _)| *key);
    let head = FileHead { store_id: STORE_ID, id: ID, first: 1, last: 100 };
    let full = Source { lists: &lists, ids: &ids, attachment: b"note" };
    let empty = Source { lists: &[], ids: &[], attachment: &[] };
    // Files of versions 1 and 2 of other stores, whose ids are overwritten.
    let plain = include_bytes!("../../fixtures/v1/index/0000000000000001.0.idx");
    let packed = include_bytes!("../../fixtures/generations/index/0000000000000001.1.idx");
    [&encode(head, full)[..], &encode(head, empty), plain, packed].map(input_of).to_vec()
}
