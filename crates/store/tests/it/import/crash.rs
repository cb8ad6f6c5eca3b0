//! Power fails at every write and sync of an import; it is then run again.

use leftfold_io::fake::{Crash, FakeDisk};

use super::source;
use super::support::{assert_sound, begin, feed, import, kept, open_now};

#[test]
fn an_import_goes_on_after_a_power_failure_anywhere() {
    let (lines, whole) = (source(), FakeDisk::new());
    import(&whole, &lines);
    let (expected, all) = (kept(&open_now(&whole)), whole.counts().changes);
    let mut resumed = 0;
    for cut in (1..all).step_by(3) {
        let disk = FakeDisk::new();
        disk.cut_power_at(cut);
        if let Ok(mut import) = begin(&disk) {
            _ = feed(&mut import, &lines).and_then(|()| import.finish());
        }
        for crash in [Crash::Forgets, Crash::Keeps] {
            let left = disk.after(crash);
            let report = import(&left, &lines);
            resumed += u64::from(report.repeated > 0);
            assert!(report.keeps_commit_times, "cut {cut}");
            let store = open_now(&left);
            assert_eq!(kept(&store), expected, "cut {cut}");
            if cut % 9 == 1 {
                assert_sound(&store);
            }
        }
    }
    assert!(resumed > 5, "{resumed}");
}
