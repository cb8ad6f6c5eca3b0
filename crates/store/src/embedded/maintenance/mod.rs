//! Maintenance, on threads in the background: writes the index files of closed segments and seals them,
//! compresses sealed segments, merges index files and fills named indexes.

mod backfill;
mod compress;
mod files;
mod merge;
mod seal;
mod throttle;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use leftfold_index::ActivePart;
use leftfold_log::{Compression, SegmentInfo};
use parking_lot::{Condvar, Mutex};

pub(crate) use compress::may_train;
pub(crate) use throttle::Throttle;

use super::core::Core;
use super::indexes::NamedIndex;
use super::rebuild::encode_checkpoints;
use leftfold_api::{Cursor, Failure};

/// The most closed segments without an index file, whose postings are in memory. At this number the
/// writer waits before it closes another one.
const MAX_UNSEALED: usize = 3;

/// How long a job waits for space on a full disk, or for a file descriptor, before it is done again.
const RETRY: Duration = Duration::from_secs(1);

/// The maintenance of a store: its queues and its threads.
pub(crate) struct Maintenance {
    /// How sealed segments are compressed.
    pub(crate) compression: Compression,
    /// Locked while a segment is rewritten: one at a time.
    pub(crate) rewriting: Mutex<()>,
    bytes_per_second: u64,
    state: Mutex<State>,
    changed: Condvar,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct State {
    /// Comes first, since the writer may wait for it.
    sealing: VecDeque<Job>,
    /// Has its own queue, since filling an index may read the whole log.
    filling: VecDeque<Job>,
    /// Comes last, since no call waits for it.
    compressing: VecDeque<Job>,
    /// The number of closed segments whose postings are in memory.
    unsealed: usize,
    /// Whether the store has maintenance threads.
    has_threads: bool,
    /// The number of running jobs.
    running: usize,
    closing: bool,
    seal_failed: bool,
    failure: Option<Failure>,
    /// The lanes whose first job waits until there is space, or a file descriptor.
    waiting: [Option<Postponed>; Lane::ALL.len()],
}

/// Why a lane waits, and until when.
struct Postponed {
    failure: Failure,
    until: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    Sealing,
    Filling,
    Compressing,
}

impl Lane {
    const ALL: [Lane; 3] = [Lane::Sealing, Lane::Filling, Lane::Compressing];
}

enum Job {
    WriteIndex(ClosedSegment),
    Seal(u64),
    Compress(u64),
    Merge,
    Fill(Arc<NamedIndex>),
    Refill(Arc<NamedIndex>),
    RemoveBackfill(Arc<NamedIndex>),
}

/// A closed segment whose postings are in memory.
pub(crate) struct ClosedSegment {
    segment: SegmentInfo,
    active: Arc<ActivePart>,
    /// The checkpoints at its end, encoded.
    checkpoints: Vec<u8>,
}

impl ClosedSegment {
    pub(crate) fn new(
        segment: SegmentInfo,
        active: Arc<ActivePart>,
        checkpoints: &BTreeMap<String, Cursor>,
    ) -> Self {
        ClosedSegment { segment, active, checkpoints: encode_checkpoints(checkpoints) }
    }
}

impl Maintenance {
    pub(crate) fn new(bytes_per_second: u64, compression: Compression) -> Self {
        Maintenance {
            compression,
            rewriting: Mutex::new(()),
            bytes_per_second: bytes_per_second.max(1),
            state: Mutex::default(),
            changed: Condvar::new(),
            threads: Mutex::default(),
        }
    }

    /// Starts the threads.
    pub(crate) fn start(maintenance: &Arc<Maintenance>, core: Arc<Core>) -> io::Result<()> {
        maintenance.state.lock().has_threads = true;
        for (name, lane) in [
            ("leftfold-sealer", Lane::Sealing),
            ("leftfold-filler", Lane::Filling),
            ("leftfold-packer", Lane::Compressing),
        ] {
            let (this, core) = (maintenance.clone(), core.clone());
            let work = move || {
                while let Some(job) = this.wait_for_job(lane) {
                    this.run(&core, job);
                }
            };
            let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
            maintenance.threads.lock().push(thread);
        }
        Ok(())
    }

    /// Stops after the running jobs. Queued jobs are done when the store is opened again.
    pub(crate) fn close(&self) {
        self.state.lock().closing = true;
        self.changed.notify_all();
        for thread in self.threads.lock().drain(..) {
            // The panic hook has reported a panic.
            _ = thread.join();
        }
    }

    /// Does one job, for stores without threads. Returns false if there is none, or if it waits for space
    /// now.
    pub(crate) fn run_one(&self, core: &Arc<Core>) -> bool {
        let job = {
            let mut state = self.state.lock();
            let job = state.next_of_any();
            state.running += usize::from(job.is_some());
            job
        };
        let Some(job) = job else { return false };
        let lane = job.lane();
        self.run(core, job);
        self.state.lock().waiting[lane as usize].is_none()
    }

    /// Returns the first failure, or why a job waits.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.state.lock().failure()
    }

    /// Queues the index file of a closed segment.
    pub(crate) fn queue_index_file(&self, closed: ClosedSegment) {
        let mut state = self.state.lock();
        state.unsealed += 1;
        state.sealing.push_back(Job::WriteIndex(closed));
        drop(state);
        self.changed.notify_all();
    }

    /// Queues the index file of the segment before the one that was opened.
    pub(crate) fn queue_closed_segment(
        &self,
        opened: SegmentInfo,
        active: Arc<ActivePart>,
        checkpoints: &BTreeMap<String, Cursor>,
    ) {
        let (id, first, last) = (opened.id - 1, active.first(), opened.first - 1);
        let segment = SegmentInfo { id, first, last, active: false, ..opened };
        self.queue_index_file(ClosedSegment::new(segment, active, checkpoints));
    }

    /// Queues the seal of a segment that has its index file.
    pub(crate) fn queue_seal(&self, segment: u64) {
        self.queue(Job::Seal(segment));
    }

    /// Queues the compression of a sealed segment.
    pub(crate) fn queue_compression(&self, segment: u64) {
        self.queue(Job::Compress(segment));
    }

    /// Queues a check whether index files can be merged.
    pub(crate) fn queue_merge(&self) {
        self.queue(Job::Merge);
    }

    /// Queues the work for a named index that was defined, removed, or both.
    pub(crate) fn queue_index_change(
        &self,
        defined: Option<Arc<NamedIndex>>,
        removed: Option<Arc<NamedIndex>>,
    ) {
        removed.into_iter().for_each(|named| self.queue(Job::RemoveBackfill(named)));
        defined.into_iter().for_each(|named| self.queue(Job::Fill(named)));
    }

    /// Queues the repeated backfill of a named index that differs from its query.
    pub(crate) fn queue_refill(&self, named: Arc<NamedIndex>) {
        named.begin_backfill_again();
        self.queue(Job::Refill(named));
    }

    fn queue(&self, job: Job) {
        self.state.lock().queue(job.lane()).push_back(job);
        self.changed.notify_all();
    }

    /// Blocks the writer while too many segments have no index file. Returns at once if sealing has
    /// failed or the store has no maintenance threads.
    pub(crate) fn wait_for_room(&self) {
        let mut state = self.state.lock();
        while state.unsealed >= MAX_UNSEALED && state.may_seal() {
            self.changed.wait(&mut state);
        }
    }

    /// Seals segments until few enough are in memory, while the store is being opened.
    pub(crate) fn make_room(&self, core: &Arc<Core>) {
        while self.state.lock().unsealed > MAX_UNSEALED && self.run_one(core) {}
    }

    pub(crate) fn has_threads(&self) -> bool {
        self.state.lock().has_threads
    }

    /// Waits until all jobs are done, or until one waits for space that has been tried again. Returns at
    /// once if the store has no threads or is being closed.
    pub(crate) fn wait_until_idle(&self) -> Result<(), Failure> {
        let mut state = self.state.lock();
        // There may be space again.
        state.waiting.iter_mut().flatten().for_each(|waits| waits.until = Instant::now());
        self.changed.notify_all();
        while state.has_threads && !state.closing && !state.is_idle() && !state.is_waiting() {
            self.changed.wait(&mut state);
        }
        state.failure().map_or(Ok(()), Err)
    }

    /// Whether long jobs should stop.
    pub(super) fn is_closing(&self) -> bool {
        self.state.lock().closing
    }

    fn wait_for_job(&self, lane: Lane) -> Option<Job> {
        let mut state = self.state.lock();
        loop {
            if state.closing {
                return None;
            }
            let until = state.waiting[lane as usize].as_ref().map(|waits| waits.until);
            if let Some(until) = until.filter(|until| *until > Instant::now()) {
                self.changed.wait_until(&mut state, until);
                continue;
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
            Job::WriteIndex(closed) => core.write_index(closed),
            Job::Seal(segment) => core.seal(*segment),
            Job::Compress(segment) => core.compress(*segment),
            Job::Merge => core.merge_index_files(),
            Job::Fill(named) => core.backfill_index(named),
            Job::Refill(named) => core.refill_index(named),
            Job::RemoveBackfill(named) => core.remove_backfill(named),
        };
        // Callers that wait for the job must learn that it has ended, even by a panic.
        let outcome = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
            Err(Failure::Disk {
                what: "maintenance".to_owned(),
                message: "a job panicked".to_owned(),
            })
        });
        let lane = job.lane();
        let mut state = self.state.lock();
        state.running -= 1;
        state.waiting[lane as usize] = None;
        if let Err(failure) = &outcome
            && failure.is_temporary()
        {
            // What a job has written is removed or written again when the job is done again.
            // No call waits for compressing, and each attempt takes the space of others for a while.
            let wait = if lane == Lane::Compressing { 10 * RETRY } else { RETRY };
            let until = Instant::now() + wait;
            state.waiting[lane as usize] = Some(Postponed { failure: failure.clone(), until });
            state.queue(lane).push_front(job);
            drop(state);
            self.changed.notify_all();
            return;
        }
        if let Job::Fill(named) | Job::Refill(named) = &job {
            named.finish_backfill(outcome.clone());
        }
        if matches!(job, Job::WriteIndex(_)) {
            state.unsealed -= 1;
        }
        state.seal_failed |= lane == Lane::Sealing && outcome.is_err();
        state.failure = state.failure.take().or(outcome.err());
        drop(state);
        self.changed.notify_all();
    }
}

impl State {
    fn may_seal(&self) -> bool {
        let waits = self.waiting[Lane::Sealing as usize].is_some();
        self.has_threads && !self.closing && !self.seal_failed && !waits
    }

    /// Whether a job waits for space and is not due yet.
    fn is_waiting(&self) -> bool {
        let now = Instant::now();
        self.waiting.iter().flatten().any(|waits| waits.until > now)
    }

    fn failure(&self) -> Option<Failure> {
        let waiting = || self.waiting.iter().flatten().next().map(|waits| waits.failure.clone());
        self.failure.clone().or_else(waiting)
    }

    fn queue(&mut self, lane: Lane) -> &mut VecDeque<Job> {
        match lane {
            Lane::Sealing => &mut self.sealing,
            Lane::Filling => &mut self.filling,
            Lane::Compressing => &mut self.compressing,
        }
    }

    fn is_idle(&self) -> bool {
        let queues = [&self.sealing, &self.filling, &self.compressing];
        self.running == 0 && queues.iter().all(|queue| queue.is_empty())
    }

    /// Takes the next job of any lane, in the order of their urgency.
    fn next_of_any(&mut self) -> Option<Job> {
        Lane::ALL.into_iter().find_map(|lane| self.queue(lane).pop_front())
    }
}

impl Job {
    fn lane(&self) -> Lane {
        match self {
            Job::WriteIndex(_) | Job::Seal(_) => Lane::Sealing,
            Job::Fill(_) | Job::Refill(_) | Job::RemoveBackfill(_) => Lane::Filling,
            Job::Compress(_) | Job::Merge => Lane::Compressing,
        }
    }
}
