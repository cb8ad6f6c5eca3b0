//! What is done in the background: closed segments get their index files and are sealed, sealed
//! ones are packed, index files are merged, named indexes get their past.

mod files;
mod fill;
mod merge;
mod pace;
mod pack;
mod seal;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use leftfold_index::ActivePart;
use leftfold_log::{Packing, SegmentInfo};
use parking_lot::{Condvar, Mutex};

pub(crate) use pace::Pace;
pub(crate) use pack::may_train;

use super::core::Core;
use super::indexes::Named;
use super::rebuild::encode_checkpoints;
use leftfold_api::{Cursor, Failure};

/// The writer waits before it closes a segment while so many are not sealed yet: their postings
/// are in memory.
const UNSEALED: usize = 3;

/// The background work of a store.
pub(crate) struct Maintenance {
    /// How sealed segments are stored.
    pub(crate) packing: Packing,
    /// Held while a segment is rewritten: one at a time.
    pub(crate) rewriting: Mutex<()>,
    bytes_per_second: u64,
    state: Mutex<State>,
    changed: Condvar,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct State {
    /// Sealing comes first: the writer may have to wait for it.
    sealing: VecDeque<Job>,
    /// Filling a named index may take as long as reading the whole log.
    filling: VecDeque<Job>,
    /// Packing makes files smaller; nobody waits for it.
    packing: VecDeque<Job>,
    /// Segments whose postings are in memory and that nobody writes to.
    unsealed: usize,
    /// Whether there is a thread that will seal them.
    threaded: bool,
    /// Jobs that are being done.
    running: usize,
    closing: bool,
    seal_failed: bool,
    failure: Option<Failure>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    Sealing,
    Filling,
    Packing,
}

enum Job {
    Index(Closed),
    Seal(u64),
    Pack(u64),
    Merge,
    Fill(Arc<Named>),
    Forget(Arc<Named>),
}

/// A closed segment whose postings are in memory.
pub(crate) struct Closed {
    segment: SegmentInfo,
    active: Arc<ActivePart>,
    /// The checkpoints at its end, encoded.
    checkpoints: Vec<u8>,
}

impl Closed {
    pub(crate) fn new(
        segment: SegmentInfo,
        active: Arc<ActivePart>,
        checkpoints: &BTreeMap<String, Cursor>,
    ) -> Self {
        Closed { segment, active, checkpoints: encode_checkpoints(checkpoints) }
    }
}

impl Maintenance {
    pub(crate) fn new(bytes_per_second: u64, packing: Packing) -> Self {
        Maintenance {
            packing,
            rewriting: Mutex::new(()),
            bytes_per_second: bytes_per_second.max(1),
            state: Mutex::default(),
            changed: Condvar::new(),
            threads: Mutex::default(),
        }
    }

    pub(crate) fn start(upkeep: &Arc<Maintenance>, core: Arc<Core>) -> io::Result<()> {
        upkeep.state.lock().threaded = true;
        for (name, lane) in [
            ("leftfold-sealer", Lane::Sealing),
            ("leftfold-filler", Lane::Filling),
            ("leftfold-packer", Lane::Packing),
        ] {
            let (this, core) = (upkeep.clone(), core.clone());
            let work = move || {
                while let Some(job) = this.wait_for_job(lane) {
                    this.run(&core, job);
                }
            };
            let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
            upkeep.threads.lock().push(thread);
        }
        Ok(())
    }

    /// Stops after the job at hand. What is left is done when the store is opened again.
    pub(crate) fn close(&self) {
        self.state.lock().closing = true;
        self.changed.notify_all();
        for thread in self.threads.lock().drain(..) {
            // A panic was reported when it happened; there is nobody else to tell.
            _ = thread.join();
        }
    }

    /// Does one job, for stores without threads; false if there is none.
    pub(crate) fn step(&self, core: &Arc<Core>) -> bool {
        let job = {
            let mut state = self.state.lock();
            let job = state.next_of_any();
            state.running += usize::from(job.is_some());
            job
        };
        job.map(|job| self.run(core, job)).is_some()
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        self.state.lock().failure.clone()
    }

    pub(crate) fn add(&self, closed: Closed) {
        let mut state = self.state.lock();
        state.unsealed += 1;
        state.sealing.push_back(Job::Index(closed));
        drop(state);
        self.changed.notify_all();
    }

    /// A segment was closed when this one was opened.
    pub(crate) fn closed(
        &self,
        opened: SegmentInfo,
        active: Arc<ActivePart>,
        checkpoints: &BTreeMap<String, Cursor>,
    ) {
        let (id, first, last) = (opened.id - 1, active.first(), opened.first - 1);
        let segment = SegmentInfo { id, first, last, active: false, ..opened };
        self.add(Closed::new(segment, active, checkpoints));
    }

    /// A segment has its index file, but was not sealed.
    pub(crate) fn unsealed(&self, segment: u64) {
        self.job(Job::Seal(segment));
    }

    /// A sealed segment is not packed as it should be.
    pub(crate) fn unpacked(&self, segment: u64) {
        self.job(Job::Pack(segment));
    }

    /// There is an index file more.
    pub(crate) fn unmerged(&self) {
        self.job(Job::Merge);
    }

    /// A named index was defined, or removed, or both.
    pub(crate) fn named(&self, defined: Option<Arc<Named>>, gone: Option<Arc<Named>>) {
        gone.into_iter().for_each(|named| self.job(Job::Forget(named)));
        defined.into_iter().for_each(|named| self.job(Job::Fill(named)));
    }

    fn job(&self, job: Job) {
        self.state.lock().queue(job.lane()).push_back(job);
        self.changed.notify_all();
    }

    /// Keeps the writer waiting while too many segments are not sealed; not for ever: where
    /// sealing has failed, or nobody seals, it goes on.
    pub(crate) fn wait_for_room(&self) {
        let mut state = self.state.lock();
        while state.unsealed >= UNSEALED && state.may_seal() {
            self.changed.wait(&mut state);
        }
    }

    /// While the store is being opened: seals until few enough segments are in memory.
    pub(crate) fn make_room(&self, core: &Arc<Core>) {
        while self.state.lock().unsealed > UNSEALED && self.step(core) {}
    }

    pub(crate) fn has_threads(&self) -> bool {
        self.state.lock().threaded
    }

    /// Waits until there is nothing to do, or nobody does it.
    pub(crate) fn wait_until_idle(&self) -> Result<(), Failure> {
        let mut state = self.state.lock();
        while state.threaded && !state.closing && !state.is_idle() {
            self.changed.wait(&mut state);
        }
        state.failure.clone().map_or(Ok(()), Err)
    }

    /// Whether what takes long should stop.
    fn is_closing(&self) -> bool {
        self.state.lock().closing
    }

    fn wait_for_job(&self, lane: Lane) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if state.closing {
                return None;
            }
            if let Some(job) = state.queue(lane).pop_front() {
                state.running += 1;
                return Some(job);
            }
            self.changed.wait(&mut state);
        }
    }

    fn run(&self, core: &Arc<Core>, job: Job) {
        let work = || match &job {
            Job::Index(closed) => core.write_index(closed),
            Job::Seal(segment) => core.seal(*segment),
            Job::Pack(segment) => core.pack(*segment),
            Job::Merge => core.merge_indexes(),
            Job::Fill(named) => core.fill_past(named),
            Job::Forget(named) => core.forget_past(named),
        };
        // Whoever waits for the job must hear of its end, whatever that is.
        let outcome = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
            Err(Failure::Disk {
                what: "work in the background".to_owned(),
                message: "it panicked".to_owned(),
            })
        });
        if let Job::Fill(named) = &job {
            named.filled(outcome.clone());
        }
        let mut state = self.state.lock();
        state.running -= 1;
        if matches!(job, Job::Index(_)) {
            state.unsealed -= 1;
        }
        state.seal_failed |= job.lane() == Lane::Sealing && outcome.is_err();
        state.failure = state.failure.take().or(outcome.err());
        drop(state);
        self.changed.notify_all();
    }
}

impl State {
    fn may_seal(&self) -> bool {
        self.threaded && !self.closing && !self.seal_failed
    }

    fn queue(&mut self, lane: Lane) -> &mut VecDeque<Job> {
        match lane {
            Lane::Sealing => &mut self.sealing,
            Lane::Filling => &mut self.filling,
            Lane::Packing => &mut self.packing,
        }
    }

    fn is_idle(&self) -> bool {
        let queues = [&self.sealing, &self.filling, &self.packing];
        self.running == 0 && queues.iter().all(|queue| queue.is_empty())
    }

    fn next_of_any(&mut self) -> Option<Job> {
        let lanes = [Lane::Sealing, Lane::Filling, Lane::Packing];
        lanes.into_iter().find_map(|lane| self.queue(lane).pop_front())
    }
}

impl Job {
    fn lane(&self) -> Lane {
        match self {
            Job::Index(_) | Job::Seal(_) => Lane::Sealing,
            Job::Fill(_) | Job::Forget(_) => Lane::Filling,
            Job::Pack(_) | Job::Merge => Lane::Packing,
        }
    }
}
