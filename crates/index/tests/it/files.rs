//! Released files stay readable; retired files are removed after their last reader.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use crate::common::{candidates, encode_version, file, head, id_key, key};
use leftfold_index::{
    ActivePart, Fingerprint, IndexCache, IndexEntry, IndexFile, IndexSet, Key, Part, Source,
    Target, encode, merge,
};
use leftfold_io::{Disk, OpenMode, RealDisk, fake::FakeDisk};
use zerocopy::{FromBytes, IntoBytes};

const V1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/v1");

fn contents(file: &Arc<IndexFile>) -> Contents {
    let (mut lists, mut ids) = Contents::default();
    file.verify(|entry| match entry {
        IndexEntry::List { key, ordinal, positions } => {
            lists.push((key, ordinal, positions.to_vec()));
        }
        IndexEntry::Id { fingerprint, position } => ids.push((fingerprint, position)),
    })
    .unwrap();
    (lists, ids)
}

/// Opens a fixture with the identity in its header.
fn fixture(name: &str) -> Arc<IndexFile> {
    let disk = RealDisk::existing(V1).unwrap();
    let mut bytes = [0; 56];
    disk.open(name, OpenMode::Read).unwrap().read_at(&mut bytes, 0).unwrap();
    let number = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().unwrap());
    assert_eq!(bytes[8..12], [1, 0, 0, 0]);
    let store_id = *bytes[16..].first_chunk().unwrap();
    let head = leftfold_index::FileHead { store_id, ..head(number(32), number(40), number(48)) };
    IndexFile::open(&disk, name, head, Arc::new(IndexCache::new(1 << 20))).unwrap()
}

#[test]
fn released_files_of_version_1_are_read_and_merged() {
    let names = (1..4).map(|n| format!("index/{n:016}.0.idx"));
    let inputs: Vec<_> = names.map(|name| fixture(&name)).collect();
    let disk = FakeDisk::new();
    let out = disk.open("merged", OpenMode::Create).unwrap();
    let store_id = {
        let mut bytes = [0; 32];
        let first = RealDisk::existing(V1).unwrap();
        let first = first.open("index/0000000000000001.0.idx", OpenMode::Read).unwrap();
        first.read_at(&mut bytes, 0).unwrap();
        *bytes[16..].first_chunk().unwrap()
    };
    let head = head(9, inputs[0].first(), inputs[2].last());
    let head = leftfold_index::FileHead { store_id, ..head };
    let target = Target { name: "merged", file: &*out, head };
    merge(&inputs, target, &mut |_| true).unwrap().unwrap();
    let merged =
        IndexFile::open(&disk, "merged", head, Arc::new(IndexCache::new(1 << 20))).unwrap();
    let (mut lists, mut ids) = (std::collections::BTreeMap::new(), Vec::new());
    for (more, more_ids) in inputs.iter().map(contents) {
        for (key, ordinal, positions) in more {
            lists.entry(key).or_insert((ordinal, Vec::new())).1.extend(positions);
        }
        ids.extend(more_ids);
    }
    ids.sort_unstable();
    let (found, mut found_ids) = contents(&merged);
    assert_eq!(found.len(), lists.len());
    for (key, ordinal, positions) in found {
        assert_eq!(lists[&key], (ordinal, positions));
    }
    found_ids.sort_unstable();
    assert!(!ids.is_empty() && found_ids == ids);
    assert_eq!(contents(&fixture("index/0000000000000032.0.k3")).0.len(), 1);
}

const V2: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v2.idx");
const V3: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v3.idx");
const POSITIONS: u64 = 20_000;

type Lists = Vec<(Key, u64, Vec<u32>)>;

/// Lists with their ordinals and positions, and ids with their positions.
type Contents = (Vec<(Key, u64, Vec<u64>)>, Vec<(Fingerprint, u64)>);

/// Returns the content of the fixtures: lists of every shape, with a table and without, and ids.
///
/// Each fixture was written once, by `encode(head(VERSION, 1, POSITIONS), ..)` of this content with the
/// attachment `checkpoints`; a released format never changes.
fn fixture_content(id_key: fn(u64) -> Key) -> (Lists, Vec<(Key, u32)>) {
    let steps = [1, 2, 3, 5, 17, 300, 2_500, 9_999, 20_000];
    let jittered = |step: u32| {
        let offsets = (0..POSITIONS as u32).step_by(step as usize);
        offsets.map(move |offset| offset + (offset / step) * 7 % step).filter(|o| *o < 20_000)
    };
    let list = |(n, step): (u64, &u32)| (key(1, n), n * 1000, jittered(*step).collect());
    let mut lists: Lists = (0..).zip(&steps).map(list).collect();
    let half = (0..5_000).chain((5_000..20_000).step_by(100)).collect();
    lists.push((key(1, 100), (1 << 56) - 1, half));
    lists.push((key(1, 101), 5, Vec::new()));
    let mut ids: Vec<_> = (0..300).map(|n| (id_key(n), n as u32 * 66)).collect();
    lists.sort_unstable_by_key(|list| list.0);
    ids.sort_unstable_by_key(|id| id.0);
    (lists, ids)
}

#[test]
fn a_released_file_of_version_2_is_read() {
    check_fixture(&std::fs::read(V2).unwrap(), 2, |n| key(2, n));
}

#[test]
fn a_released_file_of_version_3_is_read() {
    check_fixture(&std::fs::read(V3).unwrap(), 3, id_key);
}

fn check_fixture(bytes: &[u8], version: u64, id_key: fn(u64) -> Key) {
    assert_eq!(bytes[8..12], (version as u32).to_le_bytes());
    let disk = FakeDisk::new();
    let opened = file(&disk, bytes, head(version, 1, POSITIONS));
    let (lists, ids) = fixture_content(id_key);
    let position = |offset: &u32| u64::from(*offset) + 1;
    let lists: Vec<_> = lists
        .into_iter()
        .map(|(key, ordinal, list)| (key, ordinal, list.iter().map(position).collect::<Vec<_>>()))
        .collect();
    let fingerprints: Vec<_> =
        ids.iter().map(|(key, offset)| (Fingerprint::of(key), position(offset))).collect();
    assert!(contents(&opened) == (lists.clone(), fingerprints.clone()));
    assert_eq!(opened.attachment().unwrap(), b"checkpoints");
    let set = IndexSet::new(vec![Part::File(opened)]);
    for (key, _) in &ids {
        let same = fingerprints.iter().filter(|(id, _)| *id == Fingerprint::of(key));
        let mut expected: Vec<_> = same.map(|(_, position)| *position).collect();
        expected.sort_unstable();
        assert_eq!(candidates(&set, key, [0, u64::MAX]), expected);
    }
    for (key, ordinal, positions) in lists {
        let last = set.last(&key, u64::MAX).unwrap();
        assert_eq!(last.map(|last| last.position), positions.last().copied());
        for (n, position) in (ordinal..).zip(&positions).step_by(97) {
            assert_eq!(set.nth(&key, n, u64::MAX).unwrap(), Some(*position));
        }
    }
}

#[test]
fn a_retired_file_is_removed_when_its_last_reader_drops_it() {
    let disk = FakeDisk::new();
    let lists = [(key(1, 1), 0, vec![0, 4])];
    let source = Source { lists: &lists, ids: &[], attachment: b"" };
    let head = head(3, 1, 9);
    let opened = file(&disk, &encode(head, source), head);
    let reader = IndexSet::new(vec![Part::File(opened.clone())]);
    opened.retire(Arc::new(disk.clone()));
    drop(opened);
    assert_eq!(reader.last(&key(1, 1), 9).unwrap().unwrap().position, 5);
    assert!(disk.bytes("index/3").is_some());
    let other = reader.clone();
    drop(reader);
    assert!(disk.bytes("index/3").is_some());
    drop(other);
    assert!(disk.bytes("index/3").is_none());
}

#[test]
fn only_retired_files_are_removed_and_a_missing_file_is_no_error() {
    let disk = FakeDisk::new();
    let source = Source { lists: &[], ids: &[], attachment: b"" };
    let opened = file(&disk, &encode(head(3, 1, 9), source), head(3, 1, 9));
    drop(opened);
    assert!(disk.bytes("index/3").is_some());
    let opened = crate::common::open(&disk, head(3, 1, 9));
    opened.retire(Arc::new(disk.clone()));
    disk.remove("index/3").unwrap();
    drop(opened);
}

#[test]
fn a_written_part_equals_the_encoded_one() {
    let disk = FakeDisk::new();
    let active = Arc::new(ActivePart::new(1));
    for position in 1..=100_000u64 {
        let mut adding = active.writer();
        adding.add_posting(key(1, position % 7), position);
        adding.add_posting(key(1, 10 + position % 5000), position);
        adding.add_id(key(2, position), position);
    }
    let set = IndexSet::default().with_part(Part::Active(active.clone()));
    let out = disk.open("part", OpenMode::Create).unwrap();
    let target = Target { name: "part", file: &*out, head: head(3, 1, 100_000) };
    let length = set.write_part(&active, target, b"note").unwrap();
    let bytes = set.encode_part(&active, target.head, b"note").unwrap();
    assert_eq!(length, bytes.len() as u64);
    assert!(disk.bytes("part").unwrap() == bytes);
}

#[test]
fn lists_of_version_2_take_a_fraction_of_version_1() {
    let size = |version, step: usize| {
        let offsets: Vec<u32> = (0..2_000_000).step_by(step).map(|n| n + n % 5).collect();
        let count = offsets.len();
        let lists = [(key(1, 1), 0, offsets)];
        let source = Source { lists: &lists, ids: &[], attachment: b"" };
        encode_version(version, head(3, 1, 3_000_000), source).len() as f64 * 8.0 / count as f64
    };
    assert!(size(1, 10) > 32.0);
    assert!(size(2, 10) < 6.5, "{} bits a posting", size(2, 10));
}

#[test]
fn ids_of_version_3_take_a_third_of_version_2() {
    let size = |version| {
        let mut ids: Vec<_> = (0..1u32 << 20).map(|n| (key(2, n.into()), n)).collect();
        ids.sort_unstable_by_key(|id| id.0);
        let source = Source { lists: &[], ids: &ids, attachment: b"" };
        encode_version(version, head(3, 1, 1 << 20), source).len() as f64 / f64::from(1 << 20)
    };
    assert!(size(2) > 21.0, "{} bytes an id", size(2));
    assert!(size(3) < 5.9, "{} bytes an id", size(3));
}

/// A bucket is read in pieces, and a merge writes all ids of a fingerprint.
#[test]
fn hundreds_of_ids_with_one_fingerprint_are_all_candidates() {
    let disk = FakeDisk::new();
    let with_start_of = |n: u64, start: u64| {
        let bytes = [&key(2, start).as_bytes()[..5], &key(2, n).as_bytes()[5..]].concat();
        Key::read_from_bytes(&bytes).unwrap()
    };
    let of_segment = |id: u64| {
        let mut ids: Vec<_> = (0..1_000).map(|n| (key(2, n + id * 1_000), n as u32)).collect();
        ids.extend((1_000..1_300).map(|n| (with_start_of(n + id * 1_000, 7), n as u32)));
        ids.sort_unstable_by_key(|id| id.0);
        let source = Source { lists: &[], ids: &ids, attachment: b"" };
        let head = head(id, id * 1_300 + 1, (id + 1) * 1_300);
        file(&disk, &encode(head, source), head)
    };
    let inputs = [of_segment(0), of_segment(1)];
    let head = head(9, 1, 2_600);
    let out = disk.open("index/9", OpenMode::Create).unwrap();
    let target = Target { name: "index/9", file: &*out, head };
    merge(&inputs, target, &mut |_| true).unwrap().unwrap();
    let merged = crate::common::open(&disk, head);
    let expected: Vec<u64> = [8].into_iter().chain(1_001..=1_300).chain(2_301..=2_600).collect();
    for parts in [inputs.to_vec(), vec![merged]] {
        let set = IndexSet::new(parts.into_iter().map(Part::File).collect());
        let found = candidates(&set, &with_start_of(5_000_000, 7), [0, u64::MAX]);
        assert_eq!(found, expected);
    }
}

#[test]
fn an_absent_id_is_rejected_by_the_directory_and_the_tags() {
    let disk = FakeDisk::new();
    let mut ids: Vec<_> = (0..500_000).map(|n| (key(2, n), n as u32)).collect();
    ids.sort_unstable_by_key(|id| id.0);
    let source = Source { lists: &[], ids: &ids, attachment: b"" };
    let head = head(3, 1, 500_000);
    let set = IndexSet::new(vec![Part::File(file(&disk, &encode(head, source), head))]);
    // The directory has 65 kB, the tags have 750 kB: then all of them are in the cache.
    (0..5_000).for_each(|n| assert!(candidates(&set, &key(3, n), [0, u64::MAX]).is_empty()));
    let before = disk.counts().reads;
    (5_000..6_000).for_each(|n| assert!(candidates(&set, &key(3, n), [0, u64::MAX]).is_empty()));
    let reads = disk.counts().reads - before;
    assert!(reads < 30, "{reads} reads for a thousand absent ids");
}

#[test]
fn the_end_of_a_long_list_is_found_without_reading_the_list() {
    let disk = FakeDisk::new();
    let offsets: Vec<u32> = (0..1_000_000).map(|n| n * 50 + n % 50).collect();
    let lists = [(key(1, 1), 7, offsets)];
    let source = Source { lists: &lists, ids: &[], attachment: b"" };
    let head = head(3, 1, 50_000_000);
    let bytes = encode(head, source);
    let set = IndexSet::new(vec![Part::File(file(&disk, &bytes, head))]);
    let before = disk.counts().bytes_read;
    let last = set.last(&key(1, 1), u64::MAX).unwrap().unwrap();
    assert_eq!((last.ordinal, last.position), (1_000_006, 49_999_999 + 1));
    assert!(set.nth(&key(1, 1), 500_007, u64::MAX).unwrap().is_some());
    assert!(set.last(&key(1, 1), 25_000_000).unwrap().is_some());
    let read = disk.counts().bytes_read - before;
    assert!(read < 100_000, "read {read} bytes of {}", bytes.len());
}
