//! Any bytes of a file give an answer or an error, but no panic and no huge allocation.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use crate::common::{BLOCK, encode_version, head, id_key, in_blocks, key, payload_of, put};
use leftfold_index::{
    Expr, FileHead, IndexCache, IndexEntry, IndexError, IndexFile, IndexSet, Key, Order, Part,
    Source, Target, merge,
};
use leftfold_io::{Disk, OpenMode, fake::FakeDisk};
use proptest::prelude::*;

const POSITIONS: u64 = 3000;

fn test_head() -> FileHead {
    head(5, 1, POSITIONS)
}

fn keys() -> Vec<Key> {
    let mut keys: Vec<_> = (0..12).map(|n| key(1, n)).collect();
    keys.extend((0..100).map(id_key));
    keys
}

/// Lists of all shapes: dense, sparse, with a table and without.
fn healthy(version: u32) -> Vec<u8> {
    let steps = [1, 2, 3, 7, 11, 100, 900, 1000, 2000, 2999, 3000, 4];
    let list = |(n, step): (u64, &usize)| {
        (key(1, n), n, (0..POSITIONS as u32).step_by(*step).collect::<Vec<_>>())
    };
    let mut lists: Vec<_> = (0..).zip(&steps).map(list).collect();
    let mut ids: Vec<_> = (0..100).map(|n| (id_key(n), n as u32 * 30)).collect();
    lists.sort_unstable_by_key(|list| list.0);
    ids.sort_unstable_by_key(|id| id.0);
    let source = Source { lists: &lists, ids: &ids, attachment: b"checkpoints" };
    encode_version(version, test_head(), source)
}

fn on_disk(bytes: &[u8]) -> FakeDisk {
    let disk = FakeDisk::new();
    put(&disk, bytes, test_head());
    disk
}

fn try_open(disk: &FakeDisk) -> Result<Arc<IndexFile>, IndexError> {
    IndexFile::open(disk, "index/5", test_head(), Arc::new(IndexCache::new(1 << 20)))
}

fn try_merge(disk: &FakeDisk, file: &Arc<IndexFile>) -> Result<Option<u64>, IndexError> {
    let out = disk.open("index/out", OpenMode::Create).unwrap();
    let target = Target { name: "index/out", file: &*out, head: head(6, 1, POSITIONS) };
    let merged = merge(std::slice::from_ref(file), target, &mut |_| true);
    disk.remove("index/out").unwrap();
    merged
}

fn query(file: &Arc<IndexFile>, key: Key) -> Result<(), IndexError> {
    let set = IndexSet::new(vec![Part::File(file.clone())]);
    for upto in [0, 1, 1500, POSITIONS, u64::MAX] {
        set.first(&key, upto)?;
        set.last(&key, upto)?;
        set.last_since(&key, upto, 7)?;
        set.newest_after(&key, upto)?;
        set.nth(&key, upto, u64::MAX)?;
    }
    set.nth(&key, 300, u64::MAX)?;
    let mut candidates = 0;
    set.find_id(&key, [0, u64::MAX], |position| {
        assert!((1..=POSITIONS).contains(&position));
        candidates += 1;
        Ok::<_, IndexError>(false)
    })?;
    assert!(candidates <= 2 * POSITIONS);
    for order in [Order::Ascending, Order::Descending] {
        let either = Expr::And(vec![Expr::Key(key), Expr::Key(crate::common::key(1, 0))]);
        for expr in [Expr::Key(key), either] {
            let mut matches = set.matches(&expr, [1, u64::MAX], order)?;
            let mut last = None;
            while let Some(position) = matches.next()? {
                let onward = match order {
                    Order::Ascending => last < Some(position),
                    Order::Descending => last.is_none_or(|last| last > position),
                };
                assert!(onward, "{position} after {last:?}");
                last = Some(position);
            }
        }
    }
    Ok(())
}

/// Calls every operation; returns how many of them failed.
fn run_everything(disk: &FakeDisk) -> usize {
    let mut damaged = 0;
    let mut record = |outcome: Result<(), IndexError>| {
        if let Err(error) = outcome {
            assert!(matches!(error, IndexError::Damaged { .. }), "{error}");
            damaged += 1;
        }
    };
    let file = match try_open(disk) {
        Ok(file) => file,
        Err(error) => {
            record(Err(error));
            return damaged;
        }
    };
    keys().into_iter().for_each(|key| record(query(&file, key)));
    record(file.attachment().map(|_| ()));
    let check = |entry: IndexEntry<'_>, most| match entry {
        IndexEntry::List { positions, .. } => assert!(positions.len() as u64 <= most),
        IndexEntry::Id { position, .. } => assert!((1..=POSITIONS).contains(&position)),
    };
    record(file.verify(|entry| check(entry, POSITIONS)));
    record(file.verify_in_chunks(|entry| check(entry, 256)));
    record(try_merge(disk, &file).map(|_| ()));
    damaged
}

#[test]
fn a_flipped_bit_anywhere_is_detected() {
    for version in 1..=3 {
        let bytes = healthy(version);
        assert_eq!(run_everything(&on_disk(&bytes)), 0);
        for at in (0..bytes.len()).step_by(199) {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << (at % 8);
            let disk = on_disk(&bytes);
            assert!(run_everything(&disk) > 0, "byte {at} of version {version}");
        }
    }
}

#[test]
fn a_truncated_file_is_damaged() {
    for version in 1..=3 {
        let bytes = healthy(version);
        let cuts =
            (0..bytes.len()).step_by(501).chain([1, 183, 184, 199, 200, BLOCK, bytes.len() - 1]);
        for at in cuts {
            let outcome = try_open(&on_disk(&bytes[..at])).map(|_| ());
            assert!(matches!(outcome, Err(IndexError::Damaged { .. })), "cut at {at}");
        }
    }
}

#[test]
fn a_file_of_another_store_number_range_or_version_is_refused() {
    let disk = on_disk(&healthy(3));
    let right = test_head();
    let wrong = [
        FileHead { store_id: [2; 16], ..right },
        FileHead { id: 6, ..right },
        FileHead { first: 2, ..right },
        FileHead { last: POSITIONS + 1, ..right },
    ];
    for head in wrong {
        let cache = Arc::new(IndexCache::new(1));
        assert!(IndexFile::open(&disk, "index/5", head, cache).is_err());
    }
    let mut payload = payload_of(&healthy(3));
    payload[8] = 4;
    assert!(try_open(&on_disk(&in_blocks(&payload, &right))).is_err());
}

/// The header's numbers begin at 32 and end at 184, in version 3 at 200.
#[test]
fn huge_numbers_in_a_header_with_a_valid_checksum_are_damage() {
    for version in 1..=3 {
        let payload = payload_of(&healthy(version));
        for at in (32..if version == 3 { 200 } else { 184 }).step_by(8) {
            for number in [u64::MAX, u64::MAX / 2, 1 << 40, 1 << 32, u64::from(u32::MAX), 0] {
                let mut payload = payload.clone();
                let before = payload[at..at + 8].to_vec();
                payload[at..at + 8].copy_from_slice(&number.to_le_bytes());
                let disk = on_disk(&in_blocks(&payload, &test_head()));
                let damaged = run_everything(&disk);
                let harmless = before == number.to_le_bytes() || number == 0;
                assert!(damaged > 0 || harmless, "{number} at {at}");
            }
        }
    }
}

/// Since version 2 the entries come first, the postings after them.
#[test]
fn huge_numbers_in_entries_and_tables_with_valid_checksums_do_not_panic() {
    for version in 1..=3 {
        let payload = payload_of(&healthy(version));
        for at in (200..payload.len().min(9 * BLOCK)).step_by(29) {
            let mut payload = payload.clone();
            let end = (at + 8).min(payload.len());
            payload[at..end].fill(0xff);
            run_everything(&on_disk(&in_blocks(&payload, &test_head())));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn arbitrary_bytes_with_valid_checksums_give_an_answer_or_damage(
        version in 1u32..4,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        deep in any::<bool>(),
    ) {
        let mut payload = payload_of(&healthy(version));
        // A damaged header is refused at once, so half of the cases spare it to reach the rest.
        let start = if deep { 200 } else { 0 };
        for (at, byte) in changes {
            let at = start + at.index(payload.len() - start);
            payload[at] = byte;
        }
        run_everything(&on_disk(&in_blocks(&payload, &test_head())));
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..3 * BLOCK)) {
        prop_assert!(run_everything(&on_disk(&bytes)) > 0);
    }
}
