//! Backups to a second disk, and their restores.

use std::collections::BTreeMap;

use leftfold_api::Coded;
use leftfold_io::fake::{FakeDisk, SeededRandom};
use leftfold_store::restore_on;

use super::model::Model;
use super::run::Run;
use super::subscriber::Subscriber;

/// A disk with backups, and the state that each of them must restore.
pub(crate) struct Backups {
    disk: FakeDisk,
    models: BTreeMap<u64, Model>,
    /// The number of the last acknowledged backup.
    last: u64,
}

impl Backups {
    pub(crate) fn on(disk: FakeDisk) -> Self {
        Backups { disk, models: BTreeMap::new(), last: 0 }
    }
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
            self.backups.disk = disk.after(self.some_crash());
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
        self.cut_a_restore(&random);
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

    /// Cuts the power during a restore. What it leaves opens as the whole store, or is refused.
    fn cut_a_restore(&mut self, random: &SeededRandom) {
        let to = FakeDisk::new();
        to.cut_power_at(1 + self.random.below(40));
        let done = restore_on(&self.backups.disk, &to, random, |_, _| {});
        let found = to.after(self.some_crash());
        if found.names().is_empty() {
            return assert!(done.is_err());
        }
        match self.open_on(&found) {
            Ok((store, _)) => {
                let state = &self.backups.models[&self.backups.last];
                assert_eq!(store.blocking().head().position().unwrap(), state.head());
                assert_eq!(super::raw::read(&found).len() as u64, state.head());
            }
            Err(error) => {
                assert!(done.is_err(), "{error}");
                assert_eq!(error.code(), "store_unusable", "{error}");
                let again = restore_on(&self.backups.disk, &found, random, |_, _| {});
                assert_eq!(again.unwrap_err().code(), "restore_not_empty");
                self.tally.crashed_restores += 1;
            }
        }
    }
}
