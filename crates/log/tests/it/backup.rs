//! What the caller of a backup decides.

use std::sync::Arc;

use leftfold_io::fake::{FakeDisk, ManualClock, SeededRandom};
use leftfold_log::backup::{BackupError, Guide, Step, verify};
use leftfold_log::{LiveFile, Log, LogOptions};

struct Stopping {
    after: u64,
}

impl Guide for Stopping {
    fn go_on(&mut self, step: Step) -> bool {
        assert!(step.copied <= step.done && step.done <= step.total);
        self.after = self.after.saturating_sub(1);
        self.after > 0
    }

    fn is_whole(&mut self, _: &LiveFile) -> bool {
        true
    }
}

#[test]
fn a_backup_that_is_stopped_leaves_the_one_before() {
    let (disk, target) = (FakeDisk::new(), FakeDisk::new());
    let (clock, random) = (Arc::new(ManualClock::at(1)), Arc::new(SeededRandom::new(1)));
    let options = LogOptions::default();
    let log = Log::open(Arc::new(disk), clock, random, options, true).unwrap().log;
    let stopped = log.backup(&target, &[], &mut Stopping { after: 1 });
    assert!(matches!(stopped, Err(BackupError::Stopped)), "{stopped:?}");
    assert!(matches!(verify(&target, |_, _| ()), Err(BackupError::Missing(_))));
    let taken = log.backup(&target, &[], &mut Stopping { after: u64::MAX }).unwrap();
    assert_eq!((taken.number, taken.head, taken.files_copied), (1, 0, 3));
    assert_eq!(verify(&target, |_, _| ()).unwrap().number, 1);
}
