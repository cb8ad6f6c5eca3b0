//! The store in this process.

mod admit;
mod backup;
mod candidates;
mod check;
mod core;
mod definitions;
mod draft;
mod engine;
mod event_store;
mod events;
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
mod retention;
mod stat;
mod subscription;
mod system;
mod verify;
mod wakes;

use std::path::Path;
use std::sync::Arc;

pub use backup::{BackupError, BackupInfo, restore, restore_on, verify_backup, verify_backup_on};
pub use manual::Manual;
pub use options::Options;
pub use repair::{LostEvent, RepairMode, RepairReport, repair, repair_on};
pub use subscription::LiveSubscription;
pub use verify::{Finding, Verified};

use crate::blocking::Blocking;
use crate::error::OpenError;
use admit::Admitter;
use check::Verdict;
use core::Core;
use draft::{Author, Draft};
use leftfold_api::names;
use leftfold_api::{
    Append, AppendError, Appended, Conflict, Failure, IndexDefinition, Invalid, Meters, Page, Read,
    ReadError, Scavenged, Stat,
};
use leftfold_io::{Clock, Disk, OsRandom, Random, RealDisk, SystemClock};
use leftfold_log::Sequencer;
use maintenance::Maintenance;
use pool::Pool;

/// An append that others overtake so often is given back.
const MAX_ATTEMPTS: u32 = 64;

/// Whose thread writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hand {
    /// The writer's: the caller must not wait for a disk.
    Writer,
    /// The caller's own, if nobody else is writing.
    Caller,
}

/// A store in a directory of this machine, opened by this process alone.
pub struct Embedded {
    pub(crate) core: Arc<Core>,
    sequencer: Sequencer<Admitter>,
    upkeep: Arc<Maintenance>,
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
        let threads = options.read_threads;
        let (opened, core, admitter) = open::open(disk, clock, random, options)?;
        let sequencer = Sequencer::start(&opened, admitter).map_err(open::no_thread)?;
        let upkeep = core.maintenance.clone();
        Maintenance::start(&upkeep, core.clone()).map_err(open::no_thread)?;
        let pool = Pool::start(threads).map_err(open::no_thread)?;
        Ok(Embedded { core, sequencer, upkeep, pool })
    }

    /// The same calls for callers that are not async, on their own thread.
    pub fn blocking(&self) -> Blocking<'_> {
        Blocking::new(self)
    }

    /// Closes the store: takes no more appends, answers those it has, and returns when the log
    /// says on disk that all of it is synced. Dropping the store does the same.
    pub fn close(self) {
        drop(self);
    }

    /// The store's size and state.
    pub fn stat(&self) -> Result<Stat, ReadError> {
        stat::stat(&self.core)
    }

    /// What the store has done since it was opened.
    pub fn meters(&self) -> Meters {
        stat::meters(&self.core)
    }

    /// Why nothing is written any more, if a write or a sync has failed.
    pub fn failure(&self) -> Option<Failure> {
        self.core.log.failure().map(Failure::from)
    }

    /// Reads everything and checks it against everything, on as many threads as the machine has
    /// cores; `progress` hears how many of how many files are done.
    pub fn verify(&self, progress: impl FnMut(u64, u64)) -> Verified {
        verify::verify(&self.core, progress)
    }

    /// Waits until all that is done in the background is done: full segments sealed and packed,
    /// index files merged, named indexes filled. An error is the first that happened there.
    pub fn settle(&self) -> Result<(), Failure> {
        self.upkeep.wait_until_idle()
    }

    /// Closes the open segment though it is not full, and waits until all that is done in the
    /// background is done: then every event so far is stored as it is to be stored for ever.
    pub fn seal(&self) -> Result<(), Failure> {
        let segments = self.core.log.segments();
        let open = segments.last().filter(|open| open.last >= open.first).map(|open| open.id);
        if let Some(open) = open {
            self.core.log.close_segment();
            let is_closed = || self.core.log.segments().last().is_some_and(|last| last.id > open);
            pollster::block_on(self.core.wait(|_| is_closed()))?;
        }
        self.settle()
    }

    /// Removes the payloads of all that retention has dropped; `progress` hears how many of how many
    /// segments are done. If the open segment holds any of it, it is closed first.
    pub fn scavenge(&self, progress: impl FnMut(u64, u64)) -> Result<Scavenged, ReadError> {
        if self.upkeep.has_threads() && self.core.drops_of_unsealed()? {
            self.seal()?;
        }
        self.core.scavenge(progress)
    }

    /// What scavenging would remove now: reads all segments if any retention is set.
    pub fn reclaimable(&self) -> Result<Scavenged, ReadError> {
        self.core.reclaimable()
    }

    async fn read_on_pool(&self, read: Read) -> Result<(Page, bool), ReadError> {
        page::read_in_turns(&self.pool, self.core.clone(), read).await
    }

    async fn on_pool<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Core>) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let core = self.core.clone();
        self.pool.run(move || work(&core)).await.unwrap_or_else(|| Err(closed().into()))
    }

    /// [`append`](leftfold_api::EventStore::append) for a task that has its thread to itself: unless somebody
    /// else is writing, the thread writes and syncs, and no other is woken for it. It is blocked for as
    /// long as that takes.
    pub async fn append_here(&self, append: Append) -> Result<Appended, AppendError> {
        self.write_by(append, Hand::Caller).await
    }

    /// Writes a caller's append on the writer's thread.
    pub(crate) async fn write(&self, append: Append) -> Result<Appended, AppendError> {
        self.write_by(append, Hand::Writer).await
    }

    /// Writes an append of the store's own, whose names may begin with `$`.
    async fn write_own(&self, append: Append) -> Result<Appended, AppendError> {
        self.write_draft(self.core.draft(append, Author::Store)?, Hand::Writer).await
    }

    pub(crate) async fn write_by(
        &self,
        append: Append,
        hand: Hand,
    ) -> Result<Appended, AppendError> {
        self.write_draft(self.core.draft(append, Author::Caller)?, hand).await
    }

    async fn write_draft(&self, draft: Draft, hand: Hand) -> Result<Appended, AppendError> {
        if !draft.checkpoints.is_empty() {
            self.core.use_current_form()?;
        }
        // In a box: it is handed over several times.
        let mut draft = Box::new(draft);
        let ordinals_in = draft.ordinals_in.clone();
        for attempt in 0..MAX_ATTEMPTS {
            draft.attempt = attempt;
            match self.core.check(&mut draft) {
                Ok(Verdict::Admissible) => {}
                Ok(Verdict::Repeated(appended)) => {
                    return self.core.with_ordinals(appended, &draft, ordinals_in.as_deref());
                }
                Err(AppendError::Conflict(conflict)) => {
                    // The caller may know of acknowledged events that are not durable yet; once
                    // they are, the answer may be another.
                    if !self.core.something_to_wait_for().await? {
                        return Err(conflict.into());
                    }
                    continue;
                }
                Err(other) => return Err(other),
            }
            let bytes = draft.bytes();
            let waiting = match hand {
                Hand::Writer => self.sequencer.submit(draft, bytes).await?,
                Hand::Caller => self.sequencer.submit_here(draft, bytes).await?,
            };
            match waiting.outcome().await? {
                Ok(written) => {
                    let (appended, draft) = (written.appended, &written.draft);
                    return self.core.with_ordinals(appended, draft, ordinals_in.as_deref());
                }
                Err(bounce) => {
                    self.core.durable_frames(bounce.until).await?;
                    draft = bounce.draft;
                }
            }
        }
        Err(Failure::Busy { attempts: MAX_ATTEMPTS }.into())
    }

    pub(crate) async fn define(&self, definition: IndexDefinition) -> Result<(), AppendError> {
        let append = self.core.definition(&definition)?;
        let name = &definition.name;
        if definition.partitioning.is_some() {
            self.core.use_current_form()?;
        }
        let defined = self.write_own(append).await;
        let defined = defined.map_err(|error| indexes::say_exists(name, error))?;
        self.core.durable_cursor(&defined.cursor).await?;
        self.core.named_is_ready(name, defined.positions).await
    }

    /// Writes an append of the store's own; if another has come between, makes it anew.
    async fn write_settled(
        &self,
        stream_may_move: bool,
        make: impl Fn() -> Result<Append, AppendError>,
    ) -> Result<(), AppendError> {
        for _ in 0..MAX_ATTEMPTS {
            match self.write_own(make()?).await {
                // Whoever settles next must see it, even in a relaxed store.
                Ok(appended) => return Ok(self.core.durable_cursor(&appended.cursor).await?),
                Err(AppendError::Conflict(Conflict::Version { stream, .. }))
                    if stream_may_move || stream.starts_with(names::SYSTEM) => {}
                Err(other) => return Err(other),
            }
        }
        Err(Failure::Busy { attempts: MAX_ATTEMPTS }.into())
    }

    pub(crate) async fn undefine(&self, name: &str) -> Result<(), AppendError> {
        self.write_own(self.core.removal(name)?).await.map(drop)
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.sequencer.close();
        self.upkeep.close();
        self.core.log.unlock();
    }
}

fn closed() -> Failure {
    Failure::Closed
}

pub(crate) fn limit_error(code: &'static str, what: &str, found: usize, allowed: usize) -> Invalid {
    Invalid::new(code, format!("{what}: {found}; at most {allowed} are allowed"))
}
