//! One partition on one node: its copy, which follows the log, and its term, while the node owns it.
//!
//! The node reads the log from where its copy ends and applies what counts. If it is to own the partition, it reads to
//! the end, writes a claim, reads up to the claim, and admits appends: each turn of the store's writer becomes one
//! batch, which counts if it lands where it was expected. If it lands elsewhere, or its outcome is not known, the term
//! is given up, the copy is opened again without what was not confirmed, and follows the log.

mod claim;
mod copy;
mod fitness;
mod own;
pub(crate) mod ownership;
mod restore;
mod status;

use std::future::ready;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use futures_util::future::{Either, select};
use leftfold_api::Coded;
use leftfold_fold::time::Time;
use leftfold_store::commit::Commit;
use leftfold_store::{Embedded, OpenError};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::broker::Broker;
use crate::commit::Link;
use crate::record::Claimant;
use copy::{Copy, CopyError};
use fitness::Fitness;
use own::GivenUp;
use restore::Restore;

pub use restore::{CopyPieces, CopySources, Vacancy};
pub use status::{Role, Status};

/// The pauses before what has failed is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long the leader holds a fetch that finds nothing.
const FETCH_WAIT: Duration = Duration::from_millis(500);

/// The copy of a partition on this machine. It may be deleted: Kafka has all that it holds.
pub trait Cache: Send + Sync + 'static {
    /// Opens the copy, or makes an empty one. It must keep only what is marked, and begin as a replica.
    ///
    /// # Errors
    /// Those of a store.
    fn open(&self, commit: Box<dyn Commit>) -> Result<Arc<Embedded>, OpenError>;

    /// Deletes the copy, which is not open.
    ///
    /// # Errors
    /// Those of the disk.
    fn delete(&self) -> std::io::Result<()>;

    /// Returns a place for a copy from another node, if there is none here. Removes what an earlier one has left.
    ///
    /// # Errors
    /// Those of the disk.
    fn vacancy(&self) -> std::io::Result<Option<Box<dyn Vacancy>>> {
        Ok(None)
    }
}

/// What a node is to do with a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wish {
    /// Follow the log.
    #[default]
    Follow,
    /// Own the partition.
    Own,
}

/// A partition on this node.
pub struct Partition<B> {
    broker: B,
    cache: Box<dyn Cache>,
    time: Arc<dyn Time>,
    names: Names,
    wish: watch::Sender<Wish>,
    status: watch::Sender<Status>,
    store: watch::Sender<Option<Arc<Embedded>>>,
    /// What the copy that is open shares with its writer.
    link: Mutex<Option<Arc<Link>>>,
    restore: Restore,
}

/// What the records of this node say about it.
#[derive(Debug, Clone)]
pub struct Names {
    /// The source of the events, for their CloudEvents headers.
    pub source: String,
    /// Who claims.
    pub owner: Claimant,
}

/// Why a copy is not used any further.
enum Ended {
    /// It is opened again: it may hold what was not confirmed. The log or Kafka is the reason.
    Again(String),
    /// It fails, and is opened again.
    Failed(String),
    /// It is not of this topic, or damaged, and is made anew from the log.
    Unusable(String),
}

impl<B: Broker> Partition<B> {
    /// Returns a partition that does nothing before it is [run](Partition::run).
    pub fn new(broker: B, cache: impl Cache, time: Arc<dyn Time>, names: Names) -> Self {
        Partition {
            broker,
            cache: Box::new(cache),
            time,
            names,
            wish: watch::Sender::default(),
            status: watch::Sender::default(),
            store: watch::Sender::new(None),
            link: Mutex::default(),
            restore: Restore::default(),
        }
    }

    /// Lets a copy that is missing come from other nodes.
    #[must_use]
    pub fn restoring_from(self, sources: impl CopySources) -> Self {
        Partition { restore: Restore::new(sources), ..self }
    }

    /// Says what the node is to do with the partition.
    pub fn wish(&self, wish: Wish) {
        self.wish.send_if_modified(|before| std::mem::replace(before, wish) != wish);
    }

    /// Returns what the partition is doing, and its changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Returns the store that holds the copy, once it is open, and those that take its place. One that was replaced
    /// answers reads, but gets nothing more.
    pub fn store(&self) -> watch::Receiver<Option<Arc<Embedded>>> {
        self.store.subscribe()
    }

    /// Returns the name of this node.
    pub fn node(&self) -> &str {
        &self.names.owner.node
    }

    /// Closes the copy, so that it can be opened again. The partition must not run any more.
    pub fn close(&self) {
        self.release("the node stops".to_owned());
    }

    /// Runs until it is dropped.
    pub async fn run(&self) -> std::convert::Infallible {
        let (mut pause, mut fitness) = (FIRST_PAUSE, Fitness::default());
        loop {
            let began = self.time.now();
            let ended = self.live_on_probation(&mut fitness).await;
            let why = match &ended {
                Ended::Again(why) | Ended::Failed(why) | Ended::Unusable(why) => why.clone(),
            };
            tracing::warn!("the copy is opened again: {why}");
            self.release(why);
            if !matches!(ended, Ended::Again(_)) {
                fitness.note_failure(self.time.now());
                self.note_fitness(&fitness);
            }
            if let Ended::Unusable(_) = ended
                && let Err(error) = self.cache.delete()
            {
                self.note_failure(format!("deleting the copy: {error}"));
            }
            if self.time.now() - began > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            self.time.after(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Uses the copy as long as it is good. If it has failed before, its failures are forgotten once it has worked for
    /// long enough.
    async fn live_on_probation(&self, fitness: &mut Fitness) -> Ended {
        let (live, recovery) = (pin!(self.live()), pin!(self.recover(fitness)));
        match select(live, recovery).await {
            Either::Left((ended, _)) => ended,
            Either::Right(((), live)) => live.await,
        }
    }

    /// Waits until the copy has worked for its probation, if it is on any.
    async fn recover(&self, fitness: &mut Fitness) {
        let Some(probation) = fitness.probation() else { return };
        let mut status = self.status.subscribe();
        // The partition holds the other end as long as it runs.
        while status.wait_for(Status::works).await.is_ok() {
            let fails = pin!(status.wait_for(|status| !status.works()));
            if let Either::Left(_) = select(self.time.after(probation), fails).await {
                fitness.note_recovery(self.time.now());
                self.note_fitness(fitness);
                return;
            }
        }
    }

    /// Opens the copy and uses it as long as it is good.
    async fn live(&self) -> Ended {
        self.restore().await;
        let (link, commit) = Link::new();
        *self.link.lock() = Some(link.clone());
        let store = match self.cache.open(commit) {
            Ok(store) => store,
            Err(error) => return ended_of_open(&error),
        };
        let mut copy = match self.resume(&store).await {
            Ok(copy) => copy,
            Err(error) => {
                store.release();
                return error.into();
            }
        };
        self.store.send_replace(Some(store));
        let mut pause = FIRST_PAUSE;
        loop {
            if let Err(error) = self.follow(&mut copy).await {
                return error.into();
            }
            match self.claim(&mut copy).await {
                Ok(claimed) => {
                    pause = FIRST_PAUSE;
                    if let Err(given_up) = self.own(&mut copy, &link, claimed).await {
                        link.end(given_up.reason().to_owned());
                        return given_up.into();
                    }
                    self.note(Role::Standby, &copy);
                }
                Err(error) if error.may_pass() => {
                    self.note_failure(format!("claiming the partition: {error}"));
                    self.time.after(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(error) => return error.into(),
            }
        }
    }

    /// Finds where the copy ends in the log. Waits for Kafka as long as it takes.
    async fn resume(&self, store: &Arc<Embedded>) -> Result<Copy, CopyError> {
        let mut pause = FIRST_PAUSE;
        loop {
            match Copy::resume(&self.broker, store.clone()).await {
                Err(error) if error.may_pass() => self.note_failure(format!("reading: {error}")),
                done => return done,
            }
            self.time.after(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Applies what others write, until this node is to own the partition. Fetches the next records meanwhile.
    async fn follow(&self, copy: &mut Copy) -> Result<(), CopyError> {
        let mut wish = self.wish.subscribe();
        let mut pause = FIRST_PAUSE;
        let mut next = None;
        loop {
            if *wish.borrow_and_update() == Wish::Own {
                return Ok(());
            }
            let fetch = match next.take() {
                Some(fetch) => fetch,
                None => self.broker.fetch(copy.next(), FETCH_WAIT),
            };
            let fetched = match select(fetch, Box::pin(wish.changed())).await {
                Either::Left((fetched, _)) => fetched,
                Either::Right(_) => continue,
            };
            let taken = match fetched.map_err(CopyError::from).and_then(|found| copy.read(found)) {
                Ok(appends) => {
                    let fetch = self.broker.fetch(copy.next(), FETCH_WAIT);
                    let (applied, fetch) = finish_first(copy.apply(appends), fetch).await;
                    next = Some(fetch);
                    applied
                }
                Err(error) => Err(error),
            };
            match taken {
                Ok(()) => {
                    pause = FIRST_PAUSE;
                    self.restore.accept();
                    self.note(Role::Standby, copy);
                }
                Err(error) if !error.may_pass() => return Err(error),
                Err(error) => {
                    self.note_failure(format!("reading: {error}"));
                    self.time.after(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Lets others open the copy. Reads of it go on; all that waits for it fails.
    fn release(&self, why: String) {
        if let Some(link) = self.link.lock().take() {
            // Nobody sends what is in flight any more.
            link.end(why.clone());
        }
        let store = self.store.send_replace(None);
        self.status.send_modify(|status| status.end(why));
        if let Some(store) = store {
            store.release();
        }
    }

    fn note(&self, role: Role, copy: &Copy) {
        self.status.send_if_modified(|status| status.advance(role, copy));
    }

    /// Notes whether the node can serve the partition.
    fn note_fitness(&self, fitness: &Fitness) {
        let is_unfit = fitness.is_unfit();
        self.status.send_if_modified(|status| {
            let is_new = status.is_unfit != is_unfit;
            status.is_unfit = is_unfit;
            is_new
        });
    }

    fn note_failure(&self, failure: String) {
        self.status.send_modify(|status| status.failure = Some(failure));
    }
}

/// Runs two futures until the first one is done. Returns its output, and the second one.
async fn finish_first<'a, T, F>(
    first: impl Future<Output = T>,
    second: BoxFuture<'a, F>,
) -> (T, BoxFuture<'a, F>)
where
    F: Send + 'a,
{
    match select(pin!(first), second).await {
        Either::Left((done, second)) => (done, second),
        Either::Right((found, first)) => (first.await, Box::pin(ready(found))),
    }
}

impl From<CopyError> for Ended {
    fn from(error: CopyError) -> Self {
        let why = error.to_string();
        match error {
            CopyError::Foreign(_) | CopyError::Diverged(_) => Ended::Unusable(why),
            CopyError::Kafka(_) | CopyError::Ahead { .. } => Ended::Again(why),
            // Another node's copy may be past it, or its release may be newer.
            CopyError::Trimmed { .. } | CopyError::Record(_) | CopyError::Store(_) => {
                Ended::Failed(why)
            }
        }
    }
}

impl From<GivenUp> for Ended {
    fn from(given_up: GivenUp) -> Self {
        match given_up {
            GivenUp::Log(why) => Ended::Again(why),
            GivenUp::Copy(why) => Ended::Failed(why),
        }
    }
}

fn ended_of_open(error: &OpenError) -> Ended {
    let why = format!("opening the copy: {error}");
    match error.code() {
        // It is open elsewhere, or the disk has a problem: what it holds is not in doubt.
        "store_locked" | "disk_failed" | "disk_full" | "descriptors_exhausted" => {
            Ended::Failed(why)
        }
        _ => Ended::Unusable(why),
    }
}
