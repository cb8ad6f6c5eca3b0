use leftfold_api::Coded;
use leftfold_io::fake::{Crash, FakeDisk};
use leftfold_store::{Compression, RepairMode};

use super::support::{bytes, check, filled, open, repair, store_bytes};

/// Returns a store with damage in a sealed, a closed and the open segment, in an index file and in the
/// manifest.
fn damaged() -> (FakeDisk, super::support::Truth) {
    let (disk, truth) = filled(Compression::Fast);
    let segments: Vec<_> = disk.names().into_iter().filter(|n| n.ends_with(".seg")).collect();
    let count = segments.len();
    for (name, at) in
        [(&segments[1], 300), (&segments[count - 2], 900), (&segments[count - 1], 100)]
    {
        disk.rot(name, at, 4);
    }
    // The first ones may have been merged already.
    let index = disk.names().into_iter().rfind(|name| name.ends_with(".idx")).unwrap();
    disk.rot(&index, 600, 4);
    (disk, truth)
}

/// Cuts the power at every change of a repair, with five kinds of crash each, and repairs again: it comes
/// to the same. Until then the store does not open, or is as it was.
#[test]
fn an_interrupted_repair_comes_to_the_same() {
    let (disk, truth) = damaged();
    let before = bytes(&disk);
    let whole = disk.after(Crash::Keeps);
    let report = repair(&whole, RepairMode::Quarantine).unwrap();
    assert!(report.damaged.len() >= 4 && report.lost.len() >= 3, "{report:?}");
    let (changes, after) = (whole.counts().changes, store_bytes(&whole));
    assert!(changes > 30, "{changes}");
    check(&disk.after(Crash::Keeps), Compression::Fast, &truth, "without a cut");
    let mut interrupted = 0;
    // The last one cuts nothing off: what is done is durable.
    for cut in 1..=changes + 1 {
        let cut_off = disk.after(Crash::Keeps);
        cut_off.cut_power_at(cut);
        let done = repair(&cut_off, RepairMode::Quarantine);
        let tears = (0..3).map(|n| Crash::Tears(cut * 3 + n));
        for crash in [Crash::Forgets, Crash::Keeps].into_iter().chain(tears) {
            let found = cut_off.after(crash);
            let what = format!("cut {cut}, {crash:?}");
            match repair(&found, RepairMode::Report) {
                Err(error) => {
                    assert_eq!(error.code(), "repair_interrupted", "{what}");
                    let refused = open(&found, Compression::Fast).err().unwrap();
                    assert_eq!(refused.code(), "repair_interrupted", "{what}");
                    interrupted += 1;
                }
                Ok(again) if again.damaged.is_empty() => assert_eq!(store_bytes(&found), after),
                Ok(again) => {
                    assert!(done.is_err() && again.lost == report.lost, "{what}");
                    assert_eq!(store_bytes(&found), before, "{what}: nothing has changed yet");
                }
            }
            repair(&found, RepairMode::Quarantine).unwrap();
            assert_eq!(store_bytes(&found), after, "{what}");
            leftfold_log::repair::undo(std::sync::Arc::new(found.clone())).unwrap();
            assert_eq!(store_bytes(&found), before, "{what}: undone");
        }
    }
    assert!(interrupted > 20, "{interrupted}");
}

/// Cuts the power at every change of undoing: what is left is undone by another attempt.
#[test]
fn an_interrupted_undo_comes_to_the_same() {
    let (disk, _) = damaged();
    let before = bytes(&disk);
    repair(&disk, RepairMode::Quarantine).unwrap();
    let undo = |disk: &FakeDisk| leftfold_log::repair::undo(std::sync::Arc::new(disk.clone()));
    let repaired = disk.after(Crash::Keeps);
    let whole = repaired.after(Crash::Keeps);
    undo(&whole).unwrap();
    for cut in 1..=whole.counts().changes + 1 {
        let cut_off = repaired.after(Crash::Keeps);
        cut_off.cut_power_at(cut);
        let done = undo(&cut_off);
        for crash in [Crash::Forgets, Crash::Keeps, Crash::Tears(cut)] {
            let found = cut_off.after(crash);
            // What was finished before is not undone twice.
            let again = undo(&found);
            assert!(again.is_ok() || store_bytes(&found) == before, "{cut} {done:?} {again:?}");
            assert_eq!(store_bytes(&found), before, "cut {cut}, {crash:?}");
        }
    }
}
