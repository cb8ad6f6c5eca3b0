//! Cuts the power at every change of a run, with five kinds of crash each.

use leftfold_api::Coded;
use leftfold_io::fake::{Crash, FakeDisk};

use super::support::{ManualStore, append, back_up, events, open, restore, restored};

fn crashes(cut: u64) -> impl Iterator<Item = Crash> {
    let tears = (0..3).map(move |n| Crash::Tears(cut * 3 + n));
    [Crash::Forgets, Crash::Keeps].into_iter().chain(tears)
}

/// Appends and does some maintenance, so that the store has open, closed, sealed and compressed segments.
fn grown(store: &mut ManualStore, numbers: std::ops::Range<u64>) -> Vec<String> {
    append(store, numbers);
    for _ in 0..4 {
        store.1.maintain();
    }
    events(&store.0)
}

#[test]
fn the_last_whole_backup_survives_a_crash_at_every_change_of_the_next() {
    let mut store = open(&FakeDisk::new(), true).unwrap();
    let before = grown(&mut store, 0..25);
    let target = FakeDisk::new();
    back_up(&store, &target).unwrap();
    let first = target.after(Crash::Forgets);
    let after = grown(&mut store, 25..60);
    let whole = first.after(Crash::Forgets);
    back_up(&store, &whole).unwrap();
    let changes = whole.counts().changes;
    assert!(changes > 30, "{changes}");
    for cut in 1..=changes {
        let cut_off = first.after(Crash::Forgets);
        cut_off.cut_power_at(cut);
        let done = back_up(&store, &cut_off);
        for crash in crashes(cut) {
            let found = cut_off.after(crash);
            let state = restored(&found);
            let old = state == before && done.is_err();
            assert!(old || state == after, "cut {cut}, {crash:?}: {} events", state.len());
            back_up(&store, &found).unwrap();
            assert_eq!(restored(&found), after, "cut {cut}, {crash:?}, the next");
        }
    }
}

#[test]
fn an_interrupted_first_backup_is_not_restorable_and_the_next_is_whole() {
    let mut store = open(&FakeDisk::new(), true).unwrap();
    let state = grown(&mut store, 0..25);
    let whole = FakeDisk::new();
    back_up(&store, &whole).unwrap();
    for cut in 1..=whole.counts().changes {
        let target = FakeDisk::new();
        target.cut_power_at(cut);
        let done = back_up(&store, &target);
        for crash in crashes(cut) {
            let found = target.after(crash);
            match restore(&found, &FakeDisk::new()) {
                Ok(_) => assert_eq!(restored(&found), state),
                Err(error) => {
                    assert!(done.is_err());
                    assert_eq!(error.code(), "backup_missing", "cut {cut}, {crash:?}: {error}");
                }
            }
            back_up(&store, &found).unwrap();
            assert_eq!(restored(&found), state);
        }
    }
}

#[test]
fn an_interrupted_restore_leaves_no_store_or_the_whole_one() {
    let mut store = open(&FakeDisk::new(), true).unwrap();
    let state = grown(&mut store, 0..40);
    let target = FakeDisk::new();
    back_up(&store, &target).unwrap();
    let whole = FakeDisk::new();
    restore(&target, &whole).unwrap();
    let changes = whole.counts().changes;
    assert!(changes > 20, "{changes}");
    for cut in 1..=changes {
        let to = FakeDisk::new();
        to.cut_power_at(cut);
        let done = restore(&target, &to);
        for crash in crashes(cut) {
            let found = to.after(crash);
            let empty = found.names().is_empty();
            match open(&found, !empty) {
                Ok((store, _)) => assert_eq!(events(&store), state, "cut {cut}, {crash:?}"),
                Err(error) => {
                    assert!(done.is_err());
                    let code = if empty { "store_missing" } else { "store_unusable" };
                    assert_eq!(error.code(), code, "cut {cut}, {crash:?}: {error}");
                }
            }
        }
    }
}

/// The disk is full, but the process continues: copied files are removed, and a retry succeeds.
#[test]
fn a_restore_to_a_full_disk_leaves_it_empty() {
    let mut store = open(&FakeDisk::new(), true).unwrap();
    let state = grown(&mut store, 0..40);
    let (target, to) = (FakeDisk::new(), FakeDisk::new());
    let bytes = back_up(&store, &target).unwrap().bytes_copied;
    for capacity in [0, 100, 3_000, bytes - 700, bytes - 1] {
        to.set_capacity(Some(capacity));
        assert_eq!(restore(&target, &to).unwrap_err().code(), "disk_full");
        assert!(to.names().is_empty(), "{capacity}: {:?}", to.names());
    }
    to.set_capacity(None);
    restore(&target, &to).unwrap();
    assert_eq!(events(&open(&to, false).unwrap().0), state);
}
