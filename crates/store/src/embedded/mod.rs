//! The embedded store.

mod admit;
mod ancestry;
mod backup;
mod candidates;
mod check;
mod checkpoints;
mod core;
mod definitions;
mod draft;
mod engine;
mod event_store;
mod events;
mod import;
mod index_view;
mod indexes;
mod maintenance;
mod manual;
mod open;
mod options;
mod page;
mod pool;
mod reading;
mod rebuild;
mod recent;
mod repair;
mod repeat;
mod replay;
mod replica;
mod retention;
mod stat;
mod subscription;
mod system;
mod verify;
mod wait_list;

use std::path::Path;
use std::sync::Arc;

pub(crate) use events::decode_event;
pub(crate) use indexes::IndexChange;
pub(crate) use rebuild::decode_moves;
pub(crate) use retention::{StreamRetention, read_change as read_rule, read_stream_retention};

pub use backup::{
    BackupError, BackupInfo, BackupReceiver, ReceiveError, ReceivedBackup, restore, restore_on,
    verify_backup, verify_backup_on,
};
pub use import::{Import, ImportEvent, ImportReport};
pub use manual::Manual;
pub use options::Options;
pub use repair::{
    LostEvent, RepairMode, RepairReport, forget_repairs, repair, repair_on, undo_repair,
};
pub use subscription::LiveSubscription;
pub use verify::{Problem, VerifyReport};

use crate::blocking::Blocking;
use crate::error::OpenError;
use admit::{Admitter, Receipt, Refusal, Task};
use check::{CheckOutcome, Turn};
use core::Core;
use draft::{Author, Draft};
use leftfold_api::names;
use leftfold_api::{
    Append, AppendError, Appended, Conflict, Failure, IndexDefinition, Invalid, Meters, Page, Read,
    ReadError, ScavengeReport, Start, Stat,
};
use leftfold_io::{Clock, Disk, OsRandom, Random, RealDisk, SystemClock};
use leftfold_log::{Commit, FsyncCommit, Sequencer};
use maintenance::Maintenance;
use pool::Pool;
use reading::SHORT_PAGE;

/// An append that others overtake this often fails as `store_busy`.
const MAX_ATTEMPTS: u32 = 64;

/// The thread that writes and syncs an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteThread {
    /// The writer thread: the caller must not wait for a disk.
    Writer,
    /// The caller's thread, if no other thread is writing.
    Caller,
}

/// A store in a directory of this machine. Only one process can have it open.
///
/// If the directory can't be written, the store is open for reading only: it creates and changes no file,
/// appends fail as `store_read_only`, and several processes can have it open.
pub struct Embedded {
    pub(crate) core: Arc<Core>,
    sequencer: Sequencer<Admitter, Box<dyn Commit>>,
    /// Held by the call that applies: versions are checked before any of its appends is written.
    applying: async_lock::Mutex<()>,
    maintenance: Arc<Maintenance>,
    pool: Pool,
}

impl Embedded {
    /// Opens the store in a directory, or creates it.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        let disk = RealDisk::new(&dir).map_err(|source| open::cannot_open(dir.as_ref(), source))?;
        Self::open_on(Arc::new(disk), Arc::new(SystemClock), Arc::new(OsRandom), options)
    }

    /// Opens the store in a directory that must hold one.
    pub fn open_existing(dir: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        let disk =
            RealDisk::existing(&dir).map_err(|source| open::cannot_open(dir.as_ref(), source))?;
        let options = Options { create: false, ..options };
        Self::open_on(Arc::new(disk), Arc::new(SystemClock), Arc::new(OsRandom), options)
    }

    /// Opens a store on any disk, with any clock and source of randomness.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        options: Options,
    ) -> Result<Self, OpenError> {
        let commit = Box::new(FsyncCommit::new(options.log.durability));
        Self::open_with(disk, clock, random, options, commit)
    }

    /// Opens a store whose batches are durable when a commit confirms them.
    pub fn open_with(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        options: Options,
        commit: Box<dyn Commit>,
    ) -> Result<Self, OpenError> {
        let threads = options.read_threads;
        let (opened, core, admitter) = open::open(disk, clock, random, options, &*commit)?;
        let sequencer =
            Sequencer::start_with(&opened, admitter, commit).map_err(open::thread_error)?;
        let maintenance = core.maintenance.clone();
        if !core.log.is_read_only() {
            Maintenance::start(&maintenance, core.clone()).map_err(open::thread_error)?;
        }
        let pool = Pool::start(threads).map_err(open::thread_error)?;
        Ok(Embedded { core, sequencer, applying: async_lock::Mutex::new(()), maintenance, pool })
    }

    /// Returns the blocking calls, which run on the caller's thread.
    pub fn blocking(&self) -> Blocking<'_> {
        Blocking::new(self)
    }

    /// Closes the store: refuses new appends, answers those that wait, and returns when the log has
    /// marked on disk that everything is synced. Dropping the store does the same.
    pub fn close(self) {
        drop(self);
    }

    /// Closes the store for writing, and lets others open its directory. Reads go on, and what waits for more events
    /// fails as `store_closed`.
    pub fn release(&self) {
        self.sequencer.close();
        self.maintenance.close();
        self.core.log.unlock();
    }

    /// Waits until readers see the log up to a position, which may be far ahead: a copy follows another store.
    ///
    /// # Errors
    /// The store is closed.
    pub async fn wait_for_position(&self, position: u64) -> Result<(), ReadError> {
        Ok(self.core.wait(|head| head.position >= position).await?)
    }

    /// Returns the store's size and state.
    pub fn stat(&self) -> Result<Stat, ReadError> {
        stat::stat(&self.core)
    }

    /// Whether the store is open for reading only, because its directory can't be written.
    pub fn is_read_only(&self) -> bool {
        self.core.log.is_read_only()
    }

    /// Returns a sentence on files of the store that others than their owner may use, if there are any. The
    /// store creates none, and does not change the modes of those that it finds.
    pub fn mode_warning(&self) -> Option<String> {
        // A file whose mode can't be read gives an error when it is used.
        let (file, mode) = self.core.log.find_exposed_file().ok()??;
        let dir = self.core.log.disk().describe();
        Some(format!(
            "other users of this machine may use the files of the store in {dir}: {file} has mode \
             {mode:04o}, expected 0600; run: chmod -R go= {dir}"
        ))
    }

    /// Returns what the store has counted since it was opened.
    pub fn meters(&self) -> Meters {
        stat::meters(&self.core)
    }

    /// Returns why the store writes no more, if a write or an fsync has failed, or why it waits: the disk is
    /// full, or no file descriptor is left.
    pub fn failure(&self) -> Option<Failure> {
        self.core.log.failure().map(Failure::from)
    }

    /// Reads and checks all frames, events and index files, on as many threads as the machine has
    /// cores. `progress` gets the number of files that are done, and of all.
    pub fn verify(&self, progress: impl FnMut(u64, u64)) -> VerifyReport {
        verify::verify(&self.core, progress)
    }

    /// Waits until maintenance has nothing to do: full segments are sealed and compressed, index files
    /// merged, named indexes filled. Returns the first failure of maintenance, if there was one.
    pub fn settle(&self) -> Result<(), Failure> {
        self.maintenance.wait_until_idle()
    }

    /// Closes the open segment, full or not, and waits until maintenance has nothing to do. Every event
    /// so far then has its final form on disk.
    pub fn seal(&self) -> Result<(), Failure> {
        let segments = self.core.log.segments();
        let open = segments.last().filter(|open| open.last >= open.first).map(|open| open.id);
        if let Some(open) = open {
            self.core.log.close_segment();
            let is_closed = || self.core.log.segments().last().is_some_and(|last| last.id > open);
            pollster::block_on(self.core.wait_for_write(|_| is_closed()))?;
        }
        self.settle()
    }

    /// Removes the payloads of all events that retention has dropped. If the open segment holds such
    /// events, it is closed first. `progress` gets the number of segments that are done, and of all.
    pub fn scavenge(&self, progress: impl FnMut(u64, u64)) -> Result<ScavengeReport, ReadError> {
        if self.maintenance.has_threads() && self.core.has_reclaimable_unsealed()? {
            self.seal()?;
        }
        self.core.scavenge(progress)
    }

    /// Returns what scavenging would remove now. Reads all segments if any retention is set.
    pub fn reclaimable(&self) -> Result<ScavengeReport, ReadError> {
        self.core.reclaimable()
    }

    async fn read_on_pool(&self, read: Read) -> Result<Page, ReadError> {
        page::read_in_turns(&self.pool, self.core.clone(), read).await
    }

    async fn run_on_pool<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Core>) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let core = self.core.clone();
        self.pool.run(move || work(&core)).await.unwrap_or_else(|| Err(closed().into()))
    }

    /// Reads as [`read`](leftfold_api::EventStore::read) does, for a task that has its thread to itself: a short
    /// page is read from files on that thread, which is blocked meanwhile, and a longer one from memory. That saves
    /// two thread switches.
    pub async fn read_here(&self, read: Read) -> Result<Page, ReadError> {
        /// The most events that are read from memory here: a few hundred microseconds.
        const LONG_PAGE: usize = 1_024;
        if let Some(cursor) = &read.at_least {
            self.core.wait_for_cursor(cursor).await?;
        }
        // Otherwise the page may turn out to be longer after all, when it has been read.
        let is_known = read.limit <= LONG_PAGE || read.from == Start::Outermost;
        if is_known
            && read.limit > SHORT_PAGE
            && let Some(page) = self.core.read_from_memory(&read, LONG_PAGE)
        {
            return Ok(page);
        }
        match self.core.read_up_to(&read, SHORT_PAGE)? {
            Some(page) => Ok(page),
            None => self.read_on_pool(read).await,
        }
    }

    /// Appends as [`append`](leftfold_api::EventStore::append) does, for a task that has its thread to
    /// itself: if no other thread is writing, this one writes, syncs and is blocked meanwhile. That
    /// saves two thread switches.
    pub async fn append_here(&self, append: Append) -> Result<Appended, AppendError> {
        self.write_on(append, WriteThread::Caller).await
    }

    /// Writes a caller's append on the writer thread.
    pub(crate) async fn write(&self, append: Append) -> Result<Appended, AppendError> {
        self.write_on(append, WriteThread::Writer).await
    }

    /// Writes a system append, whose names may begin with `$`.
    async fn write_system(&self, append: Append) -> Result<Appended, AppendError> {
        self.write_draft(self.core.draft(append, Author::Store)?, WriteThread::Writer).await
    }

    /// Writes a caller's append on the given thread.
    pub(crate) async fn write_on(
        &self,
        append: Append,
        thread: WriteThread,
    ) -> Result<Appended, AppendError> {
        self.write_draft(self.core.draft(append, Author::Caller)?, thread).await
    }

    async fn write_draft(
        &self,
        draft: Draft,
        thread: WriteThread,
    ) -> Result<Appended, AppendError> {
        if !draft.checkpoints.is_empty() {
            self.core.require_current_format()?;
        }
        // Boxed, because it moves between threads several times.
        let mut draft = Box::new(draft);
        let ordinals_in = draft.ordinals_in.clone();
        for attempt in 0..MAX_ATTEMPTS {
            self.core.require_owner()?;
            draft.attempt = attempt;
            let checked;
            (draft, checked) = self.check(draft).await?;
            match checked {
                Ok(CheckOutcome::Admissible) => {}
                Ok(CheckOutcome::Repeat(appended)) => {
                    return self.core.with_ordinals(appended, &draft, ordinals_in.as_deref());
                }
                Err(AppendError::Conflict(conflict)) => {
                    // The caller may know of acknowledged events that are not durable yet. Once they
                    // are durable, the answer may change.
                    if !self.core.wait_for_admitted().await? {
                        self.core.require_owner()?;
                        return Err(conflict.into());
                    }
                    continue;
                }
                Ok(CheckOutcome::Unfinished) => continue,
                Err(other) => return Err(other),
            }
            let bytes = draft.bytes();
            let task = Task::Append(draft);
            let waiting = match thread {
                WriteThread::Writer => self.sequencer.submit(task, bytes).await?,
                WriteThread::Caller => self.sequencer.submit_here(task, bytes).await?,
            };
            match waiting.outcome().await? {
                Ok(Receipt::Appended(receipt)) => {
                    let (appended, draft) = (receipt.appended, &receipt.draft);
                    return self.core.with_ordinals(appended, draft, ordinals_in.as_deref());
                }
                Err(Refusal::Stale(stale)) => {
                    self.core.wait_for_ticket(stale.last_ticket).await?;
                    draft = stale.draft;
                }
                Err(Refusal::NotOwner) => return Err(Failure::NotOwner.into()),
                Err(Refusal::Diverged(message)) => return Err(Failure::Diverged { message }.into()),
                Ok(Receipt::Done) => return Err(Failure::Closed.into()),
            }
        }
        Err(Failure::Busy { attempts: MAX_ATTEMPTS }.into())
    }

    /// Checks a draft: a short check on the caller's thread, and a long one in turns on those of the pool.
    async fn check(
        &self,
        mut draft: Box<Draft>,
    ) -> Result<(Box<Draft>, Result<CheckOutcome, AppendError>), Failure> {
        let checked = self.core.check(&mut draft, Turn::short());
        if !matches!(checked, Ok(CheckOutcome::Unfinished)) {
            return Ok((draft, checked));
        }
        if !self.maintenance.has_threads() {
            let checked = self.core.check(&mut draft, Turn::endless());
            return Ok((draft, checked));
        }
        let (core, mut checking) = (self.core.clone(), Some(draft));
        let turns = self.pool.run_in_turns(move || {
            let mut draft = checking.take()?;
            match core.check(&mut draft, Turn::short()) {
                Ok(CheckOutcome::Unfinished) => {
                    checking = Some(draft);
                    None
                }
                checked => Some((draft, checked)),
            }
        });
        turns.await.ok_or(Failure::Closed)
    }

    pub(crate) async fn define(&self, definition: IndexDefinition) -> Result<(), AppendError> {
        self.core.require_owner()?;
        if let Some(same) = self.core.same_index(&definition) {
            return Ok(same.wait().await?);
        }
        let append = self.core.definition(&definition)?;
        let name = &definition.name;
        if definition.partitioning.is_some() {
            self.core.require_current_format()?;
        }
        match self.write_system(append).await {
            Ok(defined) => {
                self.core.wait_for_cursor(&defined.cursor).await?;
                self.core.wait_until_ready(name, defined.positions).await
            }
            Err(error) => match self.core.same_index(&definition) {
                // Another caller was faster.
                Some(same) => Ok(same.wait().await?),
                None => Err(indexes::explain_conflict(name, error)),
            },
        }
    }

    /// Writes a system append; after a conflict, makes it again from the newer state.
    async fn write_with_retries(
        &self,
        stream_may_move: bool,
        make: impl Fn() -> Result<Append, AppendError>,
    ) -> Result<(), AppendError> {
        for _ in 0..MAX_ATTEMPTS {
            self.core.require_owner()?;
            match self.write_system(make()?).await {
                // The next call must see this setting, also in a relaxed store.
                Ok(appended) => return Ok(self.core.wait_for_cursor(&appended.cursor).await?),
                Err(AppendError::Conflict(Conflict::Version { stream, .. }))
                    if stream_may_move || stream.starts_with(names::SYSTEM) => {}
                Err(other) => return Err(other),
            }
        }
        Err(Failure::Busy { attempts: MAX_ATTEMPTS }.into())
    }

    pub(crate) async fn remove_index(&self, name: &str) -> Result<(), AppendError> {
        self.core.require_owner()?;
        self.write_system(self.core.removal(name)?).await.map(drop)
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.release();
    }
}

fn closed() -> Failure {
    Failure::Closed
}

pub(crate) fn limit_error(code: &'static str, what: &str, found: usize, allowed: usize) -> Invalid {
    Invalid::over_limit(code, what, found, allowed)
}
