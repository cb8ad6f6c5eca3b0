//! Failures: power cuts, disk errors and bit rot.

use std::sync::Arc;
use std::task::Poll;

use leftfold_api::{EventStore, Query, Read};
use leftfold_io::fake::{Crash, FakeDisk, SeededRandom};
use leftfold_store::{LostEvent, RepairMode, repair_on};

use super::raw;
use super::run::{PendingAppend, Run, poll};

impl Run<'_> {
    /// Schedules a failure: a power cut, a failed sync, a failed write, or a full disk.
    fn break_the_disk(&mut self) {
        let disk = &self.disk;
        match self.random.below(8) {
            0 => disk.fail_syncs(1),
            1 => disk.fail_writes(1 + self.random.below(3)),
            2 => {
                disk.set_capacity(Some(disk.used() + self.random.below(600)));
                self.tally.full_disks += 1;
            }
            _ => return disk.cut_power_at(disk.counts().changes + 1 + self.random.below(6)),
        }
        self.tally.failed_disks += 1;
    }

    /// Restarts the machine with what the disk has kept.
    fn restart(&mut self) {
        self.subscriber.disconnect();
        self.tally.crashes += 1;
        if self.random.one_in(4) {
            return self.kill();
        }
        let crash = self.some_crash();
        self.tally.torn += u64::from(matches!(crash, Crash::Tears(_)));
        self.disk = self.disk.after(crash);
        self.cut_recovery();
        self.open();
        self.note_scavenged();
    }

    /// Starts the process again, on a machine that has run on: unsynced writes are still there, and unsynced.
    fn kill(&mut self) {
        self.tally.killed += 1;
        let disk = &self.disk;
        disk.cut_power_at(u64::MAX);
        disk.fail_syncs(0);
        disk.fail_writes(0);
        disk.set_capacity(None);
        self.open();
        self.note_scavenged();
    }

    pub(crate) fn some_crash(&self) -> Crash {
        let seed = self.random.next_u64();
        match self.random.below(4) {
            0 => Crash::Forgets,
            1 => Crash::Keeps,
            _ => Crash::Tears(seed),
        }
    }

    /// Sometimes cuts the power while the store recovers, and again while it recovers from that. The log must
    /// be the same as without.
    fn cut_recovery(&mut self) {
        let expected = raw::read(&self.disk);
        let mut depth = 0;
        while depth < 3 && self.random.one_in(3) {
            depth += 1;
            let disk = self.disk.after(Crash::Keeps);
            disk.cut_power_at(1 + self.random.below(12));
            if let Ok((_store, mut manual)) = self.open_on(&disk) {
                while self.random.below(4) > 0 && manual.maintain() {}
            }
            self.disk = disk.after(self.some_crash());
        }
        if depth > 0 {
            self.tally.crashed_recoveries += 1;
            let found = raw::read(&self.disk);
            assert!(found == expected, "recovery lost {expected:?}: {found:?}");
        }
    }

    /// Cuts the power while several callers append. Afterwards each append is stored as a whole or not at
    /// all.
    pub(crate) fn crash_while_appending(&mut self) {
        let ops = self.some_ops();
        let appends: Vec<_> = ops.iter().map(|op| op.append(|at| self.cursor(at))).collect();
        let (store, mut manual) = self.store.take().unwrap();
        self.break_the_disk();
        let answers = {
            let mut waiting: Vec<PendingAppend<'_>> = Vec::new();
            for append in appends {
                waiting.push(Box::pin(store.append(append)));
            }
            let mut answers = vec![None; waiting.len()];
            for turn in 0..4 {
                if turn == 2 && self.random.one_in(2) {
                    // The store goes on by itself: what it could not write is stored now, or refused.
                    self.disk.set_capacity(None);
                }
                for (future, answer) in waiting.iter_mut().zip(&mut answers) {
                    if answer.is_none()
                        && let Poll::Ready(ready) = poll(future)
                    {
                        *answer = Some(ready);
                    }
                }
                manual.write();
                manual.maintain();
                manual.rest();
            }
            answers
        };
        drop((store, manual));
        self.restart();
        self.adopt_survivors(ops.into_iter().zip(answers).collect());
    }

    /// Cuts the power during maintenance. Afterwards nothing may differ, except scavenged payloads of events
    /// that are hidden.
    pub(crate) fn crash_during_maintenance(&mut self) {
        self.disk.cut_power_at(self.disk.counts().changes + 1 + self.random.below(12));
        while self.manual().maintain() && self.random.below(4) > 0 {}
        // Scavenging and the following jobs may fail, because the disk has no power.
        let scavenged = self.retains && self.store().scavenge(|_, _| {}).is_ok();
        while !scavenged && self.manual().maintain() {}
        self.store = None;
        self.tally.crashed_maintenance += 1;
        self.restart();
    }

    /// Flips a bit anywhere on the disk. The store must report it, or give the same answers.
    pub(crate) fn rot(&mut self) {
        let disk = self.disk.after(Crash::Keeps);
        let names: Vec<_> = disk.names().into_iter().filter(|name| name != "LOCK").collect();
        let name = &names[self.random.below(names.len() as u64) as usize];
        let len = disk.bytes(name).map_or(0, |bytes| bytes.len() as u64);
        disk.rot(name, self.random.below(len), 1 << self.random.below(8));
        self.repair(&disk.after(Crash::Keeps));
        let Ok((store, mut manual)) = self.open_on(&disk) else {
            self.tally.rot_noticed += 1;
            return;
        };
        while manual.maintain() {}
        let mut noticed = false;
        for text in ["*", "stream:a-1", "category:b", "tag:t=1 or type:T2", "not stream:a*"] {
            let query: Query = text.parse().unwrap();
            let expected = self.model.visible(&query);
            noticed |= self.read_what_is_left(&store, &query, &expected);
        }
        noticed |= store.verify(|_, _| ()).problem_count > 0;
        self.tally.rot_noticed += u64::from(noticed);
        self.tally.rot_harmless += u64::from(!noticed);
    }

    /// Repairs the store. It must then have no damage, and all events that were not reported as lost.
    fn repair(&mut self, disk: &FakeDisk) {
        let random = SeededRandom::new(self.seed);
        let repaired =
            repair_on(Arc::new(disk.clone()), &random, RepairMode::Quarantine, |_, _| {});
        let Ok(report) = repaired else { return };
        let (store, mut manual) = self.open_on(disk).unwrap();
        while manual.maintain() {}
        let verified = store.verify(|_, _| ());
        assert_eq!(verified.problem_count, 0, "{:?} {report:?}", verified.problems);
        self.tally.repaired += u64::from(!report.damaged.is_empty());
        self.tally.lost += report.lost.len() as u64;
        // If a system event is lost, its retention setting is lost. If the last events of a stream are
        // lost without an index file, its last version is lost.
        let is_known =
            |event: &LostEvent| event.stream.is_some() && self.model.user(event.position).is_some();
        if report.lost.iter().all(is_known) {
            let mut expected = self.model.visible(&Query::System);
            expected.retain(|at| report.lost.iter().all(|event| event.position != *at));
            assert!(!self.read_what_is_left(&store, &Query::System, &expected), "{report:?}");
        }
    }

    /// Reads until an error, and returns whether there was one. The events before it must be right and
    /// without gaps.
    fn read_what_is_left(
        &self,
        store: &impl BlockingRead,
        query: &Query,
        expected: &[u64],
    ) -> bool {
        let (mut found, mut read) = (Vec::new(), Read::forward(query.clone()).limit(5));
        loop {
            let Some(page) = store.page(read) else {
                assert!(expected.starts_with(&found), "{query}: {found:?} of {expected:?}");
                return true;
            };
            for event in &page.events {
                let user = self.model.user(event.position());
                assert!(user.is_none_or(|user| user.is(event)), "damage was served: {event:?}");
                found.push(event.position());
            }
            if !page.more {
                assert_eq!(found, expected, "{query}");
                return false;
            }
            read = Read::forward(query.clone()).limit(5).after(page.cursor);
        }
    }
}

/// Reads a page, or returns `None` after an error.
trait BlockingRead {
    fn page(&self, read: Read) -> Option<leftfold_api::Page>;
}

impl BlockingRead for leftfold_store::Embedded {
    fn page(&self, read: Read) -> Option<leftfold_api::Page> {
        self.blocking().read(read).ok()
    }
}
