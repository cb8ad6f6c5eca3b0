//! A merged file gives the same answers as its inputs.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::common::{candidates, encode_version, file, head, id_key, key, name, open};
use leftfold_index::{
    ActivePart, Expr, IndexError, IndexFile, IndexSet, Key, Order, Part, Posting, Source, Target,
    merge,
};
use leftfold_io::{Disk, OpenMode, fake::FakeDisk};
use proptest::prelude::*;

/// Pseudo-random numbers.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}

#[derive(Debug, Clone)]
struct Plan {
    /// How many positions each segment has.
    segments: Vec<u16>,
    /// Of each key: of a thousand positions, how many have it, and in which segments it occurs.
    keys: Vec<(u64, u8)>,
    /// Of a thousand positions, how many repeat an event id.
    repeats: u64,
    /// The version of each segment, less one, in two bits each; 3 is version 3, too.
    versions: u16,
    /// Merges, one after the other: from which part on, how many.
    merges: Vec<(usize, usize)>,
    seed: u64,
}

fn plans(longest: u16) -> impl Strategy<Value = Plan> {
    let density = prop_oneof![Just(1000u64), 900..1000u64, 1..900u64, 1..10u64];
    let mask = prop_oneof![Just(0xff), any::<u8>(), (0..8u32).prop_map(|bit| 1 << bit)];
    (
        prop::collection::vec(prop_oneof![1 => Just(0), 4 => 0..=longest], 1..8),
        prop::collection::vec((density, mask), 1..8),
        prop_oneof![Just(0), 0..200u64],
        any::<u16>(),
        prop::collection::vec((0..8usize, 1..8usize), 1..4),
        1..u64::MAX,
    )
        .prop_map(|(segments, keys, repeats, versions, merges, seed)| Plan {
            segments,
            keys,
            repeats,
            versions,
            merges,
            seed,
        })
}

impl Plan {
    fn version(&self, segment: usize) -> u32 {
        (u32::from(self.versions) >> (2 * segment) & 3).min(2) + 1
    }
}

type Model = BTreeMap<Key, Vec<u64>>;

struct TestIndex {
    disk: FakeDisk,
    set: IndexSet,
    lists: Model,
    /// The positions of each event id.
    ids: BTreeMap<u64, Vec<u64>>,
    end: u64,
}

/// Segments in files, one more in memory. Key 0 was defined after the first segment.
fn build(plan: &Plan) -> TestIndex {
    let disk = FakeDisk::new();
    let mut numbers = Numbers(plan.seed);
    let (mut lists, mut ids) = (Model::new(), BTreeMap::<u64, Vec<u64>>::new());
    let (mut set, mut first) = (IndexSet::default(), 1);
    let mut past = (Vec::new(), 0);
    let shapes = plan.segments.iter().chain([&60]).enumerate();
    for (n, size) in shapes {
        let last = first + u64::from(*size) - 1;
        let (mut here, mut here_ids) = (BTreeMap::new(), BTreeMap::new());
        for position in first..=last {
            let offset = (position - first) as u32;
            for (k, (density, mask)) in (0..).zip(&plan.keys) {
                if u32::from(*mask) >> n & 1 == 1 && numbers.below(1000) < *density {
                    let postings = lists.entry(key(1, k)).or_default();
                    if k == 0 && n == 0 {
                        past.0.push(offset);
                    } else {
                        let ordinal = postings.len() - if k == 0 { past.0.len() } else { 0 };
                        let entry = here.entry(key(1, k)).or_insert((ordinal as u64, vec![]));
                        entry.1.push(offset);
                    }
                    postings.push(position);
                }
            }
            let repeats = numbers.below(1000) < plan.repeats;
            let id = if repeats { numbers.below(position) + 1 } else { position };
            here_ids.entry(id_key(id)).or_insert_with(|| {
                ids.entry(id).or_default().push(position);
                offset
            });
        }
        if n == 0 {
            past.1 = last;
        }
        let part = if n == plan.segments.len() {
            let active = ActivePart::new(first);
            for (key, (ordinal, offsets)) in &here {
                for (i, offset) in (0..).zip(offsets) {
                    active.writer().add_numbered(*key, first + u64::from(*offset), ordinal + i);
                }
            }
            for (key, offset) in &here_ids {
                active.writer().add_id(*key, first + u64::from(*offset));
            }
            Part::Active(Arc::new(active))
        } else {
            let lists: Vec<_> = here.into_iter().map(|(k, (o, list))| (k, o, list)).collect();
            let ids: Vec<_> = here_ids.into_iter().collect();
            let attachment = format!("checkpoints of {n}");
            let attachment = attachment.as_bytes();
            let source = Source { lists: &lists, ids: &ids, attachment };
            let head = head(n as u64, first, last);
            Part::File(file(&disk, &encode_version(plan.version(n), head, source), head))
        };
        set = set.with_part(part);
        first = last + 1;
    }
    let past_head = head(1000, 1, past.1);
    let of_key = [(key(1, 0), 0, past.0)];
    let source = Source { lists: &of_key, ids: &[], attachment: b"" };
    let past = file(&disk, &encode_version(plan.version(0), past_head, source), past_head);
    let set = set.with_backfill(&[key(1, 0)], &past);
    TestIndex { disk, set, lists, ids, end: first - 1 }
}

fn files(set: &IndexSet) -> Vec<Arc<IndexFile>> {
    let file = |part: &Part| match part {
        Part::File(file) => Some(file.clone()),
        Part::Active(_) => None,
    };
    set.parts().iter().filter_map(file).collect()
}

fn merged(disk: &FakeDisk, inputs: &[Arc<IndexFile>], id: u64) -> Arc<IndexFile> {
    let head = head(id, inputs[0].first(), inputs.last().unwrap().last());
    let name = name(id);
    let out = disk.open(&name, OpenMode::Create).unwrap();
    let target = Target { name: &name, file: &*out, head };
    let length = merge(inputs, target, &mut |_| true).unwrap().unwrap();
    assert_eq!(length, out.len().unwrap());
    let merged = open(disk, head);
    merged.verify_in_chunks(|_| ()).unwrap();
    assert_eq!(merged.attachment().unwrap(), inputs.last().unwrap().attachment().unwrap());
    merged
}

fn all(set: &IndexSet, expr: &Expr, range: [u64; 2], order: Order) -> Vec<u64> {
    let mut matches = set.matches(expr, range, order).unwrap();
    std::iter::from_fn(|| matches.next().unwrap()).collect()
}

fn check_key(built: &TestIndex, set: &IndexSet, key: &Key, upto: u64, since: u64) {
    let list: &[u64] = built.lists.get(key).map_or(&[], Vec::as_slice);
    let list = &list[..list.partition_point(|position| *position <= upto)];
    let last =
        list.last().map(|position| Posting { ordinal: list.len() as u64 - 1, position: *position });
    assert_eq!(set.last(key, upto).unwrap(), last);
    assert_eq!(set.count(key, upto).unwrap(), list.len() as u64);
    assert_eq!(set.first(key, upto).unwrap(), list.first().copied());
    for ordinal in [0, 1, list.len() / 2, list.len().saturating_sub(1), list.len()] {
        let found = set.nth(key, ordinal as u64, upto).unwrap();
        assert_eq!(found, list.get(ordinal).copied());
    }
    if *key != crate::common::key(1, 0) {
        let found = set.last_since(key, upto, since).unwrap();
        assert!(found.is_none() || found == last);
        assert!(found.is_some() || last.is_none_or(|last| last.position <= since));
    }
}

/// Returns whether each needed key has a posting after a position, or has a backfill.
fn may_match(built: &TestIndex, expr: &Expr, since: u64) -> bool {
    match expr {
        Expr::Key(key) if *key == crate::common::key(1, 0) => true,
        Expr::Key(key) => built.lists.get(key).and_then(|list| list.last()) > Some(&since),
        Expr::And(all) => all.iter().all(|expr| may_match(built, expr, since)),
        Expr::Or(any) => any.iter().any(|expr| may_match(built, expr, since)),
    }
}

fn check(built: &TestIndex, set: &IndexSet, plan: &Plan, numbers: &mut Numbers) {
    let some = |numbers: &mut Numbers| numbers.below(built.end + 2);
    for k in 0..=plan.keys.len() as u64 {
        check_key(built, set, &key(1, k), u64::MAX, some(numbers));
        check_key(built, set, &key(1, k), some(numbers), some(numbers));
        let range = [some(numbers).max(1), some(numbers)];
        let expected: Vec<u64> = built
            .lists
            .get(&key(1, k))
            .into_iter()
            .flatten()
            .copied()
            .filter(|position| (range[0]..=range[1]).contains(position))
            .collect();
        assert_eq!(all(set, &Expr::Key(key(1, k)), range, Order::Ascending), expected);
    }
    let keys: Vec<_> = (0..3).map(|k| Expr::Key(key(1, k))).collect();
    let or = Expr::Or(vec![Expr::And(keys[..2].to_vec()), keys[2].clone()]);
    for expr in [Expr::And(keys.clone()), Expr::Or(keys), or] {
        let since = some(numbers);
        let may = set.may_match_after(&expr, since).unwrap();
        assert!(may || all(set, &expr, [since + 1, built.end], Order::Ascending).is_empty());
        assert_eq!(may, may_match(built, &expr, since));
        for order in [Order::Ascending, Order::Descending] {
            let range = [some(numbers).max(1), some(numbers)];
            assert_eq!(all(set, &expr, range, order), all(&built.set, &expr, range, order));
        }
    }
    for (id, positions) in built.ids.iter().step_by(7) {
        let found = candidates(set, &id_key(*id), [0, u64::MAX]);
        assert!(found.is_sorted_by(|a, b| a < b));
        assert!(positions.iter().all(|position| found.contains(position)), "{id}: {found:?}");
        let of_same = |found: &&u64| {
            let same = id / 3 * 3..id / 3 * 3 + 3;
            same.filter_map(|id| built.ids.get(&id)).any(|of| of.contains(found))
        };
        assert_eq!(found.iter().filter(of_same).count(), found.len(), "{id}: {found:?}");
        let is_it = |position| Ok::<_, IndexError>(positions.contains(&position));
        let upto = some(numbers);
        let first = set.find_id(&id_key(*id), [0, upto], is_it).unwrap();
        assert_eq!(first, positions.first().copied().filter(|first| *first <= upto));
    }
    let absent = id_key(built.end + 3);
    assert_eq!(candidates(set, &absent, [0, u64::MAX]), [0; 0]);
}

fn merge_as_planned(plan: &Plan) {
    let built = build(plan);
    let (mut set, mut numbers) = (built.set.clone(), Numbers(plan.seed ^ 5));
    check(&built, &set, plan, &mut numbers);
    for (n, (from, count)) in (2000..).zip(&plan.merges) {
        let files = files(&set);
        let from = from % files.len();
        let inputs = &files[from..(from + count).min(files.len())];
        let merged = merged(&built.disk, inputs, n);
        set = set.with_merged(inputs, merged.clone());
        assert_eq!(set.parts().len(), files.len() - inputs.len() + 2);
        assert!(matches!(&set.parts()[from], Part::File(file) if Arc::ptr_eq(file, &merged)));
        check(&built, &set, plan, &mut numbers);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn small_files_merged_again_and_again_answer_like_the_model(plan in plans(60)) {
        merge_as_planned(&plan);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn long_lists_merged_again_and_again_answer_like_the_model(plan in plans(5000)) {
        merge_as_planned(&plan);
    }
}

/// Eight segments of a thousand positions.
fn eight() -> Plan {
    Plan {
        segments: vec![1000; 8],
        keys: vec![(1000, 0xff), (300, 0xff), (5, 0x0f)],
        repeats: 5,
        versions: 0b1110_0100_1001_0010,
        merges: Vec::new(),
        seed: 11,
    }
}

#[test]
fn a_cancelled_merge_returns_no_file() {
    let built = build(&Plan { segments: vec![20_000; 4], ..eight() });
    let inputs = files(&built.set);
    let out = built.disk.open("index/out", OpenMode::Create).unwrap();
    let head = head(9, 1, 80_000);
    let target = Target { name: "index/out", file: &*out, head };
    let (mut asked, mut written) = (0, 0);
    let outcome = merge(&inputs, target, &mut |so_far| {
        assert!(so_far >= written);
        (asked, written) = (asked + 1, so_far);
        asked < 2
    });
    assert_eq!((outcome.unwrap(), asked), (None, 2));
}

#[test]
fn files_that_are_not_in_log_order_are_not_merged() {
    let built = build(&eight());
    let mut inputs = files(&built.set);
    let out = built.disk.open("index/out", OpenMode::Create).unwrap();
    let attempt = |inputs: &[Arc<IndexFile>], first, last| {
        let target = Target { name: "index/out", file: &*out, head: head(9, first, last) };
        merge(inputs, target, &mut |_| true)
    };
    let unwritable = |outcome| matches!(outcome, Err(IndexError::Unwritable { .. }));
    assert!(unwritable(attempt(&inputs, 2, 8000)));
    assert!(unwritable(attempt(&inputs, 1, 7999)));
    assert!(unwritable(attempt(&inputs, 1, 1 << 33)));
    assert!(attempt(&inputs, 1, 9000).is_ok());
    inputs.swap(2, 3);
    assert!(unwritable(attempt(&inputs, 1, 8000)));
}

#[test]
fn a_set_without_the_adjacent_inputs_stays_unchanged() {
    let built = build(&eight());
    let inputs = files(&built.set);
    let first = merged(&built.disk, &inputs[1..3], 100);
    let second = merged(&built.disk, &inputs[2..5], 101);
    let once = built.set.with_merged(&inputs[1..3], first.clone());
    assert_eq!(once.parts().len(), built.set.parts().len() - 1);
    let twice = once.with_merged(&inputs[2..5], second.clone());
    assert_eq!(twice.parts().len(), once.parts().len());
    let scattered = [inputs[0].clone(), inputs[5].clone()];
    assert_eq!(once.with_merged(&scattered, second.clone()).parts().len(), once.parts().len());
    assert_eq!(once.with_merged(&[], second).parts().len(), once.parts().len());
}

#[test]
fn merging_evicts_nothing_from_the_cache() {
    let built = build(&eight());
    let inputs = files(&built.set);
    let read = || {
        let before = built.disk.counts().reads;
        assert!(built.set.first(&key(1, 1), u64::MAX).unwrap().is_some());
        built.disk.counts().reads - before
    };
    assert!(read() > 0);
    assert_eq!(read(), 0);
    let reads = built.disk.counts().reads;
    merged(&built.disk, &inputs, 100);
    // Each input is read in a few large pieces, not block by block.
    assert!(built.disk.counts().reads - reads < 200);
    assert_eq!(read(), 0);
}

#[test]
fn merging_empty_files_gives_an_empty_file() {
    let built = build(&Plan { segments: vec![0; 3], ..eight() });
    let merged = merged(&built.disk, &files(&built.set), 100);
    assert_eq!((merged.first(), merged.last()), (1, 0));
    merged.verify(|_| panic!("it should have no key")).unwrap();
}

/// A version that was looked up while the newest parts were in memory stays valid when these become
/// part of a merged file that begins earlier: `last_since` still searches that file.
#[test]
fn last_since_searches_a_merged_part_that_begins_earlier() {
    let built = build(&eight());
    let inputs = files(&built.set);
    let merged = merged(&built.disk, &inputs, 100);
    let set = built.set.with_merged(&inputs, merged);
    let expected = built.set.last_since(&key(1, 1), 8000, 4000).unwrap();
    assert!(expected.is_some());
    assert_eq!(set.last_since(&key(1, 1), 8000, 4000).unwrap(), expected);
}
