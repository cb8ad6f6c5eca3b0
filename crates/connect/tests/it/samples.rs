//! The samples match the counts that they report.

use crate::common::{Outcome, ingest};
use leftfold_connect::Mapping;
use leftfold_connect::sample::{Night, NightOptions, write_camt, write_night};
use std::collections::BTreeSet;
use std::path::Path;

fn night(options: &NightOptions) -> (tempfile::TempDir, Night) {
    let dir = tempfile::tempdir().unwrap();
    let night = write_night(dir.path(), options).unwrap();
    (dir, night)
}

fn small() -> NightOptions {
    NightOptions { seed: 1, accounts: 40, entries: 3000, malformed: 18 }
}

fn camt(path: &Path) -> Outcome {
    ingest(&Mapping::builtin("camt.053").unwrap(), &std::fs::read(path).unwrap())
}

#[test]
fn a_night_yields_the_counts_it_promises() {
    let (_dir, night) = night(&small());
    let outcomes: Vec<Outcome> = night.files.iter().map(|path| camt(path)).collect();
    let sum = |count: fn(&Outcome) -> u64| outcomes.iter().map(count).sum::<u64>();
    assert!(night.entries >= 3000 && night.malformed == 18);
    assert_eq!(sum(|outcome| outcome.summary.records), night.good);
    assert_eq!(sum(|outcome| outcome.summary.rejects), night.malformed);
    assert_eq!(sum(|outcome| outcome.summary.groups), night.statements);
    assert_eq!(sum(|outcome| outcome.summary.balances_unchecked), night.unchecked_statements);
    assert_eq!(sum(|outcome| outcome.summary.balances_mismatched), 0);
    let drafts = || outcomes.iter().flat_map(|outcome| &outcome.drafts);
    let ids: BTreeSet<_> = drafts().map(|draft| draft.id).collect();
    assert_eq!(ids.len() as u64, night.good, "no two events have one id");
    let again = camt(&night.duplicate);
    assert!(again.drafts.iter().all(|draft| ids.contains(&draft.id)));
    assert_eq!(again.summary.records, night.duplicates);
    assert_eq!(again.summary.rejects, night.duplicate_malformed);
    let codes: BTreeSet<_> = outcomes.iter().flat_map(Outcome::codes).collect();
    assert_eq!(codes.len(), 9, "every kind of flaw is refused for its own reason: {codes:?}");
    let days: BTreeSet<_> =
        drafts().map(|draft| draft.event_time_micros.div_euclid(86_400_000_000)).collect();
    assert!(days.len() >= 3, "some entries are late");
    let types: BTreeSet<_> = drafts().map(|draft| &*draft.event_type).collect();
    assert_eq!(types, BTreeSet::from(["EntryBooked", "EntryPending"]));
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let files = |night: &Night| -> Vec<Vec<u8>> {
        night.files.iter().map(|path| std::fs::read(path).unwrap()).collect()
    };
    let ((_one, first), (_two, second)) = (night(&small()), night(&small()));
    assert_eq!(files(&first), files(&second));
    let (_three, other) = night(&NightOptions { seed: 2, ..small() });
    assert_ne!(files(&first), files(&other));
    let bytes: usize = files(&first).iter().map(Vec::len).sum::<usize>();
    let copy = std::fs::metadata(&first.duplicate).unwrap().len();
    assert_eq!(first.bytes, bytes as u64 + copy);
}

#[test]
fn a_default_night_has_a_hundred_thousand_entries() {
    let (_dir, night) = night(&NightOptions::default());
    assert!(night.entries >= 100_000 && night.statements == 1000);
}

#[test]
fn a_file_of_any_size_is_valid() {
    let mut file = Vec::new();
    let written = write_camt(&mut file, 2_000_000, 3).unwrap();
    assert!(written.bytes >= 2_000_000 && written.bytes == file.len() as u64);
    let outcome = ingest(&Mapping::builtin("camt.053").unwrap(), &file);
    assert_eq!((outcome.summary.records, outcome.summary.rejects), (written.events, 0));
    assert_eq!(outcome.summary.balances_held, written.statements);
}
