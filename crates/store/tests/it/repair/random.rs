//! Random stores with random damage: what was whole before is whole after.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use leftfold_api::{Append, Coded, EventStore};
use leftfold_io::fake::{Crash, FakeDisk, SeededRandom};
use leftfold_io::{Disk, OpenMode};
use leftfold_log::format::{ManifestHeader, SegmentHeader, StoreHeader};
use leftfold_store::{Compression, RepairMode};

use super::support::{Truth, drive, event, open, read, repair, store_bytes};

/// A store, and what it was before.
struct Grown {
    disk: FakeDisk,
    compression: Compression,
    truth: Truth,
    /// The contents that each file ever had.
    history: Vec<(String, Vec<u8>)>,
    /// The positions in the segment of each number.
    segments: BTreeMap<u64, std::ops::RangeInclusive<u64>>,
}

fn grown(random: &SeededRandom) -> Grown {
    let all = [Compression::Off, Compression::Fast, Compression::Small];
    let compression = all[random.below(3) as usize];
    let disk = FakeDisk::new();
    let (store, mut manual) = open(&disk, compression).unwrap();
    let mut history = BTreeSet::new();
    for n in 0..20 + random.below(40) {
        let append = (0..1 + random.below(3)).fold(Append::new(), |append, i| {
            append.event(format!("s-{}", random.below(6)), event(3 * n + i))
        });
        drive(&mut manual, store.append(append)).unwrap();
        for _ in 0..random.below(4) {
            manual.maintain();
        }
        history.extend(
            disk.names().into_iter().map(|name| (name.clone(), disk.bytes(&name).unwrap())),
        );
    }
    let truth = read(&store);
    manual.close();
    drop(store);
    let disk = disk.after(Crash::Keeps);
    let history = history.into_iter().collect();
    let segments = positions(&disk, *truth.keys().last().unwrap());
    Grown { disk, compression, truth, history, segments }
}

/// Returns the positions of each segment, as the manifest tells them.
fn positions(disk: &FakeDisk, head: u64) -> BTreeMap<u64, std::ops::RangeInclusive<u64>> {
    let store = StoreHeader::parse(&disk.bytes("STORE").unwrap()).unwrap();
    let manifest = disk.bytes("MANIFEST").unwrap();
    let (_, entries) = ManifestHeader::parse(&manifest, store.store_id).unwrap();
    let segments: Vec<_> = entries.iter().filter(|entry| entry.kind.get() == 1).collect();
    let ends = segments.iter().skip(1).map(|entry| entry.first.get() - 1).chain([head]);
    let ranges = segments.iter().zip(ends);
    ranges.map(|(entry, end)| (entry.id.get(), entry.first.get()..=end)).collect()
}

fn write(disk: &FakeDisk, name: &str, bytes: &[u8]) {
    _ = disk.remove(name);
    disk.open(name, OpenMode::Create).unwrap().write_at(bytes, 0).unwrap();
}

impl Grown {
    /// Damages one thing. Returns what it was and the segment whose events may be lost by it.
    fn damage(&self, random: &SeededRandom) -> (String, Option<u64>) {
        let disk = &self.disk;
        let names: Vec<_> = store_bytes(disk).into_keys().collect();
        let pick = || names[random.below(names.len() as u64) as usize].clone();
        let name = pick();
        let length = disk.bytes(&name).unwrap().len() as u64;
        let number = |name: &str| match SegmentHeader::read(&disk.bytes(name)?) {
            Ok(header) => Some(header.segment.get()),
            Err(_) => name.strip_prefix("log/")?.split('.').next()?.parse().ok(),
        };
        let held = number(&name);
        match random.below(7) {
            0 => {
                let at = random.below(length);
                disk.rot(&name, at, 1 << random.below(8));
                (format!("flip {name} {at}"), held)
            }
            1 => {
                let at = random.below(length);
                disk.open(&name, OpenMode::Write).unwrap().set_len(at).unwrap();
                (format!("cut {name} {at}"), held)
            }
            2 => {
                let other = pick();
                let [a, b] = [&name, &other].map(|name| disk.bytes(name).unwrap());
                write(disk, &name, &b);
                write(disk, &other, &a);
                (format!("swap {name} {other}"), None)
            }
            3 | 4 => {
                let file = ["MANIFEST", "STORE"][random.below(2) as usize];
                let old: Vec<_> = self.history.iter().filter(|(name, _)| name == file).collect();
                let held = number(file);
                write(disk, file, &old[random.below(old.len() as u64) as usize].1);
                (format!("old {file}"), held)
            }
            5 => {
                disk.remove(&name).unwrap();
                (format!("remove {name}"), held)
            }
            _ => {
                let (old, bytes) = &self.history[random.below(self.history.len() as u64) as usize];
                let free = match random.below(3) {
                    0 => "log/0000000000000077.0.seg",
                    1 => "index/0000000000000001.9.idx",
                    _ if disk.bytes(old).is_none() => old,
                    _ => "log/0000000000000001.7.seg",
                };
                let held = number(free);
                write(disk, free, bytes);
                (format!("extra {free}, that was {old}"), held)
            }
        }
    }
}

/// Repairs; a file that the repair asks to be moved away is moved away.
fn repaired(disk: &FakeDisk, what: &str) -> Option<leftfold_store::RepairReport> {
    for _ in 0..4 {
        let before = store_bytes(disk);
        match repair(disk, RepairMode::Quarantine) {
            Ok(report) => {
                if report.has_findings() {
                    leftfold_log::repair::undo(Arc::new(disk.clone())).unwrap();
                    assert_eq!(store_bytes(disk), before, "{what}: undone");
                    let again = repair(disk, RepairMode::Quarantine).unwrap();
                    assert_eq!(again.lost, report.lost, "{what}");
                } else {
                    assert_eq!(store_bytes(disk), before, "{what}: there is nothing to repair");
                }
                return Some(report);
            }
            Err(error) => {
                assert_eq!(store_bytes(disk), before, "{what}: {error}");
                let text = error.to_string();
                let asked = before.keys().find(|name| {
                    name.starts_with("log/") && text.contains("move") && text.starts_with(&**name)
                });
                let Some(asked) = asked else {
                    // The key of hashes is in STORE and in MANIFEST: both are gone.
                    assert!(text.starts_with("STORE can't be used"), "{what}: {text}");
                    assert_eq!(error.code(), "store_unusable");
                    return None;
                };
                assert_eq!(error.code(), "repair_ambiguous", "{what}: {text}");
                disk.remove(asked).unwrap();
            }
        }
    }
    panic!("{what}: the repair asks for more and more");
}

/// Damages a store once or twice, and checks what is there after its repair.
pub(crate) fn check(seed: u64) -> (usize, bool) {
    let random = SeededRandom::new(seed);
    let grown = grown(&random);
    let damages: Vec<_> = (0..1 + random.below(2)).map(|_| grown.damage(&random)).collect();
    let what = format!("seed {seed}, {:?}: {damages:?}", grown.compression);
    let Some(report) = repaired(&grown.disk, &what) else { return (0, false) };
    let (store, mut manual) =
        open(&grown.disk, grown.compression).unwrap_or_else(|error| panic!("{what}: {error}"));
    while manual.maintain() {}
    let verified = store.verify(|_, _| ());
    assert_eq!(verified.problem_count, 0, "{what}: {:?}", verified.problems);
    let found = read(&store);
    for (position, event) in &found {
        assert_eq!(grown.truth.get(position), Some(event), "{what}: {position} was not appended");
    }
    let mut may_miss = damages.iter().filter_map(|(_, id)| grown.segments.get(&(*id)?));
    for position in grown.truth.keys().filter(|position| !found.contains_key(position)) {
        assert!(
            may_miss.clone().any(|range| range.contains(position)),
            "{what}: {position} is missing, {report:?}"
        );
    }
    (grown.truth.len() - found.len(), may_miss.next().is_none() && report.has_findings())
}

#[test]
fn what_was_whole_before_is_whole_after() {
    let seeds = match std::env::var("LEFTFOLD_SEED") {
        Ok(seed) => seed.parse().unwrap()..=seed.parse().unwrap(),
        Err(_) => 0..=399,
    };
    let (mut missing, mut lossless) = (0, 0);
    let one = seeds.start() == seeds.end();
    for seed in seeds {
        let (lost, is_lossless) = check(seed);
        missing += lost;
        lossless += u64::from(is_lossless);
    }
    println!("{missing} events are lost; {lossless} stores were repaired without any loss");
    assert!(one || (missing > 200 && lossless > 80), "{missing}, {lossless}");
}
