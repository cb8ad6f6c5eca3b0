//! Undoing refuses what would lose anything, and says why.

use std::sync::Arc;

use leftfold_api::{Append, Coded, EventStore};
use leftfold_io::Disk;
use leftfold_io::fake::{Crash, FakeDisk};
use leftfold_log::repair::{forget, undo};
use leftfold_store::{Compression, OpenError, RepairMode};

use super::support::{bytes, drive, event, filled, open, repair, store_bytes};

fn first_segment(disk: &FakeDisk) -> String {
    disk.names().into_iter().find(|name| name.ends_with(".seg")).unwrap()
}

/// Returns a repaired store, and its files before the repair.
fn repaired() -> (FakeDisk, std::collections::BTreeMap<String, Vec<u8>>) {
    let (disk, _) = filled(Compression::Off);
    disk.rot(&first_segment(&disk), 250, 1);
    let before = store_bytes(&disk);
    assert!(!repair(&disk, RepairMode::Quarantine).unwrap().lost.is_empty());
    (disk, before)
}

/// Checks that undoing is refused with this sentence, and changes no file of the store.
fn is_refused(disk: &FakeDisk, sentence: &str) {
    let before = store_bytes(disk);
    let refused = OpenError::from(undo(Arc::new(disk.clone())).unwrap_err());
    assert_eq!(refused.code(), "repair_not_undone");
    assert!(refused.to_string().contains(sentence), "{refused}");
    assert_eq!(store_bytes(disk), before);
}

#[test]
fn a_repair_after_which_events_were_appended_is_not_undone() {
    let (disk, before) = repaired();
    let untouched = disk.after(Crash::Keeps);
    let (store, mut manual) = open(&disk, Compression::Off).unwrap();
    drive(&mut manual, store.append(Append::new().event("s-1", event(1)))).unwrap();
    manual.close();
    drop(store);
    is_refused(&disk, "the store has 1 events since then");
    undo(Arc::new(untouched.clone())).unwrap();
    assert_eq!(store_bytes(&untouched), before);
    is_refused(&untouched, "there is none in the quarantine");
}

#[test]
fn a_repair_of_which_a_file_is_damaged_or_gone_is_not_undone() {
    let (disk, _) = repaired();
    let was = |name: &String| name.contains(".was.") && name.ends_with(".seg");
    let aside = &disk.names().into_iter().find(was).unwrap();
    let damaged = disk.after(Crash::Keeps);
    damaged.rot(aside, 100, 1);
    is_refused(&damaged, &format!("{aside} is damaged"));
    disk.remove(aside).unwrap();
    is_refused(&disk, &format!("{aside} is missing"));
}

#[test]
fn a_repair_that_was_forgotten_is_not_undone() {
    let (disk, _) = repaired();
    let after = store_bytes(&disk);
    assert!(forget(&disk).unwrap() > 0);
    is_refused(&disk, "there is none in the quarantine");
    assert_eq!(bytes(&disk), after);
}
