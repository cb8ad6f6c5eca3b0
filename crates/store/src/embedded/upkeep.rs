//! What is done in the background: closed segments get their index files and are sealed, sealed
//! ones are packed, named indexes get their past.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use leftfold_index::{Active, Key, Source, Toward, encode};
use leftfold_io::OpenMode;
use leftfold_log::{Edit, Edited, FileKind, LiveFile, Packing, Record, RewriteError, SegmentInfo};
use parking_lot::{Condvar, Mutex};

use super::core::Core;
use super::indexes::Named;
use super::open::{INDEX, PAST, head_of, open_file};
use super::rebuild::encode_checkpoints;
use crate::cursor::Cursor;
use crate::error::{Failure, ReadError};
use crate::recorded::Recorded;

/// The writer waits before it closes a segment while so many are not sealed yet: their postings
/// are in memory.
const UNSEALED: usize = 3;

/// A file of a named index's past holds at most so many postings: they are in memory while it is
/// made.
const POSTINGS_PER_FILE: usize = 4 << 20;

pub(crate) struct Upkeep {
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
    Fill(Arc<Named>),
    Forget(Arc<Named>),
}

/// A closed segment whose postings are in memory.
pub(crate) struct Closed {
    segment: SegmentInfo,
    active: Arc<Active>,
    /// The checkpoints at its end, encoded.
    checkpoints: Vec<u8>,
}

impl Closed {
    pub(crate) fn new(
        segment: SegmentInfo,
        active: Arc<Active>,
        checkpoints: &BTreeMap<String, Cursor>,
    ) -> Self {
        Closed { segment, active, checkpoints: encode_checkpoints(checkpoints) }
    }
}

impl Upkeep {
    pub(crate) fn of(bytes_per_second: u64) -> Self {
        Upkeep {
            bytes_per_second: bytes_per_second.max(1),
            state: Mutex::default(),
            changed: Condvar::new(),
            threads: Mutex::default(),
        }
    }

    pub(crate) fn start(upkeep: &Arc<Upkeep>, core: Arc<Core>) -> io::Result<()> {
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
        active: Arc<Active>,
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

    /// Starts work that is to be slow.
    pub(crate) fn pace(&self) -> Pace<'_> {
        Pace { upkeep: self, started: Instant::now(), bytes: 0 }
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
            Job::Fill(named) => core.fill_past(named),
            Job::Forget(named) => core.forget_past(named),
        };
        // Whoever waits for the job must hear of its end, whatever that is.
        let outcome = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
            Err(Failure::Disk { what: "work in the background", message: "it panicked".to_owned() })
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
            Job::Pack(_) => Lane::Packing,
        }
    }
}

impl Core {
    /// Writes a closed segment's index file, then seals the segment. Should the power go between
    /// the two, the segment is sealed at the next opening.
    fn write_index(&self, closed: &Closed) -> Result<(), Failure> {
        let SegmentInfo { id, first, last, .. } = closed.segment;
        let live = live_file(INDEX, id, 0, [first, last]);
        let index = self.index.load_full();
        let bytes = index.encode_part(&closed.active, head_of(self, &live), &closed.checkpoints)?;
        drop(index);
        let live = self.put_file(live, &bytes)?;
        self.log.adopt(&[live]).map_err(|error| failed("adopting an index file", &error))?;
        let file = open_file(self, &live)?;
        self.index.rcu(|index| index.with_file(&closed.active, file.clone()));
        self.seal(id)
    }

    fn seal(&self, segment: u64) -> Result<(), Failure> {
        self.log.seal(segment).map_err(|error| failed("sealing a segment", &error))?;
        if self.packing != Packing::Off {
            self.upkeep.unpacked(segment);
        }
        Ok(())
    }

    fn pack(&self, segment: u64) -> Result<(), Failure> {
        let _alone = self.rewriting.lock();
        let segments = self.log.segments();
        let due = |found: &&SegmentInfo| found.id == segment && found.packing < self.packing;
        let Some(found) = segments.iter().find(due) else { return Ok(()) };
        let mut unchanged = Unchanged { pace: self.upkeep.pace() };
        match self.log.rewrite(found.id, self.packing, &mut unchanged) {
            // It is packed when the store is opened again.
            Ok(_) | Err(RewriteError::Stopped) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Finds what a named index should hold of the time before it was defined.
    fn fill_past(&self, named: &Named) -> Result<(), Failure> {
        let files = self.past_files(named).map_err(|error| match error {
            ReadError::Failure(failure) => failure,
            ReadError::Invalid(invalid) => {
                Failure::Disk { what: "filling a named index", message: invalid.message }
            }
        })?;
        self.log.adopt(&files).map_err(|error| failed("adopting an index file", &error))?;
        let past: Result<Vec<_>, _> = files.iter().map(|live| open_file(self, live)).collect();
        self.with_past(named, &past?);
        Ok(())
    }

    fn past_files(&self, named: &Named) -> Result<Vec<LiveFile>, ReadError> {
        let plan = self.plan_of(&named.query);
        let range = [1, named.defined_at];
        let mut candidates = self.candidates(&plan, &named.query, range, Toward::Later)?;
        let (mut files, mut first, mut offsets) = (Vec::new(), 1, Vec::new());
        while let Some(event) = candidates.next()? {
            if self.upkeep.is_closing() {
                // It is begun again when the store is opened again.
                return Err(super::closed().into());
            }
            if !(plan.exact || named.query.matches(&event)) {
                continue;
            }
            let offset = u32::try_from(event.position() - first);
            if offset.is_err() || offsets.len() == POSTINGS_PER_FILE {
                let last = event.position() - 1;
                files.push(self.past_file(named, files.len(), [first, last], &mut offsets)?);
                first = event.position();
            }
            offsets.push(u32::try_from(event.position() - first).unwrap_or_default());
        }
        let range = [first, named.defined_at];
        files.push(self.past_file(named, files.len(), range, &mut offsets)?);
        Ok(files)
    }

    fn past_file(
        &self,
        named: &Named,
        number: usize,
        range: [u64; 2],
        offsets: &mut Vec<u32>,
    ) -> Result<LiveFile, Failure> {
        let live = live_file(PAST, named.defined_at, number as u32, range);
        let lists: [(Key, u64, Vec<u32>); 1] = [(named.key, 0, std::mem::take(offsets))];
        let source = Source { lists: &lists, singles: &[], attachment: &[] };
        self.put_file(live, &encode(head_of(self, &live), source))
    }

    fn forget_past(&self, named: &Named) -> Result<(), Failure> {
        let of_it = |file: &LiveFile| file.kind == PAST && file.id == named.defined_at;
        self.log.discard(of_it).map_err(|error| failed("removing an index file", &error))
    }

    /// Writes a file that nothing knows of yet.
    fn put_file(&self, live: LiveFile, bytes: &[u8]) -> Result<LiveFile, Failure> {
        let (disk, name) = (self.log.disk(), live.name());
        let write = || {
            // Left over from an attempt that failed.
            _ = disk.remove(&name);
            let file = disk.open(&name, OpenMode::Create)?;
            file.write_at(bytes, 0)?;
            file.sync()?;
            disk.sync_dir("index")
        };
        write().map_err(|error| failed("writing an index file", &error))?;
        Ok(LiveFile { length: bytes.len() as u64, ..live })
    }
}

/// Slows down what is done in the background.
pub(crate) struct Pace<'a> {
    upkeep: &'a Upkeep,
    started: Instant,
    bytes: u64,
}

impl Pace<'_> {
    /// So many bytes are done: waits until they should be. False if the store is being closed.
    pub(crate) fn go_on(&mut self, bytes: u64) -> bool {
        self.bytes += bytes;
        let due = self.bytes as f64 / self.upkeep.bytes_per_second as f64;
        let due = self.started + Duration::from_secs_f64(due);
        let mut state = self.upkeep.state.lock();
        while state.threaded && !state.closing && Instant::now() < due {
            self.upkeep.changed.wait_until(&mut state, due);
        }
        !state.closing
    }
}

/// Packs every record as it is.
struct Unchanged<'a> {
    pace: Pace<'a>,
}

impl Edit for Unchanged<'_> {
    fn edit(&mut self, _: &Record) -> Edited {
        Edited::Kept
    }

    fn may_train(&self, record: &Record) -> bool {
        may_train(record)
    }

    fn go_on(&mut self, bytes: u64) -> bool {
        self.pace.go_on(bytes)
    }
}

/// No dictionary may hold pieces of what can be forgotten later.
pub(crate) fn may_train(record: &Record) -> bool {
    Recorded::new(record.clone()).is_ok_and(|event| !event.is_forgettable())
}

fn live_file(kind: FileKind, id: u64, generation: u32, [first, last]: [u64; 2]) -> LiveFile {
    LiveFile { kind, state: 0, id, generation, first, last, length: 0, detail: 0 }
}

fn failed(what: &'static str, error: &io::Error) -> Failure {
    Failure::Disk { what, message: error.to_string() }
}
