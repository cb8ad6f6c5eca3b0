use leftfold_io::fake::{Crash, FakeDisk};
use leftfold_store::{Compression, RepairMode};

use super::support::{check, filled, repair};

/// Returns a store with damage in a sealed, a closed and the open segment, and in an index file.
fn damaged() -> (FakeDisk, super::support::Truth) {
    let (disk, truth) = filled(Compression::Fast);
    let segments: Vec<_> = disk.names().into_iter().filter(|n| n.ends_with(".seg")).collect();
    let count = segments.len();
    for (name, at) in
        [(&segments[1], 300), (&segments[count - 2], 900), (&segments[count - 1], 100)]
    {
        disk.rot(name, at, 4);
    }
    let index = disk.names().into_iter().find(|name| name.ends_with(".idx")).unwrap();
    disk.rot(&index, 600, 4);
    (disk, truth)
}

/// Cuts the power at every change of a repair, with five kinds of crash each, and repairs again.
#[test]
fn an_interrupted_repair_loses_no_further_events() {
    let (disk, truth) = damaged();
    let whole = disk.after(Crash::Keeps);
    let report = repair(&whole, RepairMode::Quarantine).unwrap();
    assert!(report.damaged.len() >= 4 && report.lost.len() >= 3, "{report:?}");
    let changes = whole.counts().changes;
    assert!(changes > 30, "{changes}");
    for cut in 1..=changes {
        let cut_off = disk.after(Crash::Keeps);
        cut_off.cut_power_at(cut);
        let done = repair(&cut_off, RepairMode::Quarantine);
        let tears = (0..3).map(|n| Crash::Tears(cut * 3 + n));
        for crash in [Crash::Forgets, Crash::Keeps].into_iter().chain(tears) {
            let found = cut_off.after(crash);
            let what = format!("cut {cut}, {crash:?}");
            let again = repair(&found, RepairMode::Report).unwrap();
            if again.damaged.is_empty() {
                // The repair was complete: the damaged bytes are in quarantine.
                let aside = found.names().iter().filter(|n| n.starts_with("quarantine/")).count();
                assert!(aside >= report.damaged.len(), "{what}");
                continue;
            }
            assert!(done.is_err() && again.lost == report.lost, "{what}");
            check(&found, Compression::Fast, &truth, &what);
        }
    }
}
