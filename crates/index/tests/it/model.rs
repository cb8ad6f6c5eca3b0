//! The index against a model: a sorted list of positions for every key.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use leftfold_index::{
    ActivePart, Expr, FileHead, IndexCache, IndexFile, IndexSet, Key, KeyHasher, Kind, Order, Part,
    Posting, Source, encode,
};
use leftfold_io::{Disk, OpenMode, fake::FakeDisk};
use proptest::prelude::*;

const KEYS: u64 = 6;

fn key(n: u64) -> Key {
    KeyHasher::new(&[7; 16]).key(Kind(1), &[&n.to_le_bytes()])
}

struct TestIndex {
    set: IndexSet,
    model: BTreeMap<u64, Vec<u64>>,
    head: u64,
    disk: FakeDisk,
}

fn file(disk: &FakeDisk, bytes: &[u8], head: FileHead) -> Arc<IndexFile> {
    let name = format!("index/{}", head.id);
    disk.open(&name, OpenMode::Create).unwrap().write_at(bytes, 0).unwrap();
    IndexFile::open(disk, &name, head, Arc::new(IndexCache::new(1 << 20))).unwrap()
}

/// Each number is one position: its low bits say which keys it has. Segments end where told, and
/// the first `sealed` of them are sealed; key 0 was defined after segment 0.
fn build(events: &[u8], segments: usize, sealed: usize) -> TestIndex {
    let disk = FakeDisk::new();
    let (mut set, mut model) = (IndexSet::default(), BTreeMap::<u64, Vec<u64>>::new());
    let size = events.len().div_ceil(segments).max(1);
    let mut actives = Vec::new();
    for (n, chunk) in events.chunks(size).enumerate() {
        let first = (n * size + 1) as u64;
        let active = Arc::new(ActivePart::new(first));
        for (i, keys) in chunk.iter().enumerate() {
            let position = first + i as u64;
            for k in (0..KEYS).filter(|k| keys >> k & 1 == 1) {
                let postings = model.entry(k).or_default();
                let mut adding = active.writer();
                match k {
                    0 if n == 0 => {}
                    1 => adding.add_numbered(key(1), position, postings.len() as u64),
                    _ => adding.add_posting(key(k), position),
                }
                postings.push(position);
            }
        }
        set = set.with_part(Part::Active(active.clone()));
        actives.push((active, first + chunk.len() as u64 - 1));
    }
    // The backfill of key 0.
    let past: Vec<u32> = model
        .get(&0)
        .into_iter()
        .flatten()
        .filter(|p| **p <= size as u64)
        .map(|p| (*p - 1) as u32)
        .collect();
    let head = FileHead { store_id: [1; 16], id: 1000, first: 1, last: size as u64 };
    let lists = [(key(0), 0, past)];
    let bytes = encode(head, Source { lists: &lists, ids: &[], attachment: b"note" });
    let past = file(&disk, &bytes, head);
    assert_eq!(past.attachment().unwrap(), b"note");
    set = set.with_backfill(&[key(0)], &past);
    for (id, (active, last)) in actives.iter().enumerate().take(sealed) {
        let head =
            FileHead { store_id: [1; 16], id: id as u64, first: active.first(), last: *last };
        let bytes = set.encode_part(active, head, b"").unwrap();
        set = set.with_file(active, file(&disk, &bytes, head));
    }
    TestIndex { set, model, head: events.len() as u64, disk }
}

fn holds(expr: &Expr, model: &BTreeMap<u64, Vec<u64>>, position: u64) -> bool {
    match expr {
        Expr::Key(k) => (0..KEYS)
            .any(|n| key(n) == *k && model.get(&n).is_some_and(|list| list.contains(&position))),
        Expr::And(all) => !all.is_empty() && all.iter().all(|e| holds(e, model, position)),
        Expr::Or(any) => any.iter().any(|e| holds(e, model, position)),
    }
}

fn exprs() -> impl Strategy<Value = Expr> {
    let leaf = (0..KEYS + 1).prop_map(|n| Expr::Key(key(n)));
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Expr::And),
            prop::collection::vec(inner, 0..4).prop_map(Expr::Or),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn the_index_agrees_with_the_model(
        events in prop::collection::vec(any::<u8>(), 0..400),
        segments in 1usize..6,
        sealed in 0usize..6,
        expr in exprs(),
        bounds in (0u64..420, 0u64..420),
        upto in 0u64..420,
    ) {
        let TestIndex { set, model, head, .. } = build(&events, segments, sealed);
        for n in 0..=KEYS {
            let list: Vec<u64> = model.get(&n).into_iter().flatten().copied()
                .filter(|position| *position <= upto).collect();
            let last = list.last().map(|position| Posting {
                ordinal: list.len() as u64 - 1,
                position: *position,
            });
            prop_assert_eq!(set.last(&key(n), upto).unwrap(), last);
            prop_assert_eq!(set.count(&key(n), upto).unwrap(), list.len() as u64);
            prop_assert_eq!(set.first(&key(n), upto).unwrap(), list.first().copied());
            for ordinal in 0..list.len() + 2 {
                let found = set.nth(&key(n), ordinal as u64, upto).unwrap();
                prop_assert_eq!(found, list.get(ordinal).copied());
            }
        }
        let (from, to) = (bounds.0.max(1), bounds.1.min(head));
        let mut expected: Vec<u64> =
            (from..=to).filter(|position| holds(&expr, &model, *position)).collect();
        for order in [Order::Ascending, Order::Descending] {
            let mut found = Vec::new();
            let mut matches = set.matches(&expr, [from, to], order).unwrap();
            while let Some(position) = matches.next().unwrap() {
                found.push(position);
            }
            prop_assert_eq!(&found, &expected);
            expected.reverse();
        }
    }
}

#[test]
fn intersecting_a_rare_and_a_common_key_seeks_in_the_common_list() {
    let common = vec![0b100; 100_000];
    let mut events = common;
    events[50_000] |= 0b1000;
    let TestIndex { set, disk, .. } = build(&events, 1, 1);
    let before = disk.counts().bytes_read;
    let expr = Expr::And(vec![Expr::Key(key(2)), Expr::Key(key(3))]);
    let mut matches = set.matches(&expr, [1, 100_000], Order::Ascending).unwrap();
    assert_eq!(matches.next().unwrap(), Some(50_001));
    assert_eq!(matches.next().unwrap(), None);
    let read = disk.counts().bytes_read - before;
    assert!(read < 200_000, "read {read} bytes of lists of 400,000");
}

#[test]
fn a_flipped_bit_is_reported_as_damage() {
    let events: Vec<u8> = (0..3000u32).map(|n| (n % 251) as u8).collect();
    let TestIndex { disk, .. } = build(&events, 1, 1);
    let head = FileHead { store_id: [1; 16], id: 0, first: 1, last: 3000 };
    let len = disk.bytes("index/0").unwrap().len() as u64;
    for at in (0..len).step_by(61) {
        disk.rot("index/0", at, 2);
        let cache = Arc::new(IndexCache::new(1 << 20));
        let opened = IndexFile::open(&disk, "index/0", head, cache);
        let outcome = opened.and_then(|file| file.verify(|_| ()));
        assert!(outcome.unwrap_err().to_string().starts_with("index/0 is damaged at offset"));
        disk.rot("index/0", at, 2);
    }
    let other = FileHead { store_id: [2; 16], ..head };
    assert!(IndexFile::open(&disk, "index/0", other, Arc::new(IndexCache::new(1))).is_err());
}
