//! Backups to a second disk, and their restores.

use std::collections::BTreeMap;

use leftfold_api::Coded;
use leftfold_io::fake::{Crash, FakeDisk, SeededRandom};
use leftfold_store::restore_on;

use super::model::Model;
use super::run::Run;
use super::subscriber::Subscriber;

/// A disk with backups, and the state that each of them must restore.
#[derive(Default)]
pub(crate) struct Backups {
    disk: FakeDisk,
    models: BTreeMap<u64, Model>,
    /// The number of the last acknowledged backup.
    last: u64,
}

impl Run<'_> {
    pub(crate) fn back_up(&mut self) {
        let disk = self.backups.disk.clone();
        let crashes = self.random.one_in(3);
        if crashes {
            disk.cut_power_at(disk.counts().changes + 1 + self.random.below(20));
        }
        let done = self.store().backup_on(&disk, |_, _| {});
        let number = match &done {
            Ok(done) => {
                assert_eq!(done.head, self.cursor(self.model.head()));
                self.backups.last = done.number;
                self.tally.backups += 1;
                done.number
            }
            Err(error) => {
                assert!(crashes, "{error}");
                // The backup may still be whole, since its list is written last.
                self.backups.last + 1
            }
        };
        self.backups.models.insert(number, self.model.clone());
        if crashes {
            self.tally.crashed_backups += u64::from(done.is_err());
            let seed = self.random.next_u64();
            let crash = [Crash::Forgets, Crash::Keeps, Crash::Tears(seed)];
            self.backups.disk = disk.after(crash[self.random.below(3) as usize]);
            if let Ok(found) = leftfold_store::verify_backup_on(&self.backups.disk, |_, _| {}) {
                assert!(found.damaged.is_empty(), "{found:?}");
                self.backups.last = found.number;
            }
        }
    }

    /// Checks at the end of a run that the last whole backup restores its state.
    pub(crate) fn restore(&mut self) {
        let to = FakeDisk::new();
        let random = SeededRandom::new(self.seed);
        let info = match restore_on(&self.backups.disk, &to, &random, |_, _| {}) {
            Ok(info) => info,
            Err(error) => {
                assert_eq!((error.code(), self.backups.last), ("backup_missing", 0));
                return;
            }
        };
        assert_eq!(info.number, self.backups.last);
        self.tally.restored += 1;
        let model = self.backups.models.remove(&info.number).unwrap();
        self.tally.restored_older += u64::from(model.head() < self.model.head());
        (self.model, self.disk, self.store) = (model, to, None);
        let query = self.some_query_without_index();
        self.subscriber = Subscriber::default();
        self.subscriber.query = query;
        self.open();
        assert_eq!(info.head, self.cursor(self.model.head()));
        self.compare();
        self.compare();
        self.verify();
    }
}
