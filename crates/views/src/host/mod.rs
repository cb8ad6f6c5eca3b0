//! Runs the views of a store: definitions are facts, and each view has its tables in a file.
//!
//! A subscription to the definitions feeds the state of each view; a view whose state changes is stopped and begins
//! again with what it is to be. A view brings its events to its tables; if its definition makes other rows, new tables
//! are filled beside the old ones, which are kept up to date and answer until the new ones have caught up. A
//! question attaches the files of the views that it names, reads only, and waits for a cursor first if it is asked to.

mod backing;
mod facts;
mod follow;
mod live;
mod parked;
mod pass;
mod past;
mod question;
mod register;
mod removal;
mod requests;
#[cfg_attr(
    not(feature = "postgres"),
    expect(dead_code, reason = "tables in a file are those of one process")
)]
mod standby;
mod status;
mod wait;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use event_listener::Event;
use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use leftfold_api::{
    AppendError, Coded, Cursor, Delivery, EventStore, Field, Invalid, Query, ReadError, Subscribe,
    Subscription, Value,
};
use leftfold_fold::time::{SystemTime, Time};
use leftfold_fold::view::ViewError;
use parking_lot::{Mutex, RwLock};
use thiserror::Error;

pub use facts::ViewStart;
pub use live::{DEFAULT_PERIOD, LiveQuery, LiveUpdate};
pub use parked::{ListParked, ParkedEvent};
pub use question::{Question, QuestionText};
pub use requests::Plan;
#[cfg(feature = "postgres")]
pub(crate) use standby::{Published, Standby};
pub use status::{ViewPhase, ViewStatus};

use crate::ask::AskError;
use crate::definition::Definition;
use crate::error::DefinitionError;
use facts::{CATEGORY, Content, ViewFact, ViewState};
use follow::Follower;
use pass::Passes;
use register::Registry;

/// The most views of a store.
pub const MAX_VIEWS: usize = 200;

/// The views of a store, by SQL or in Rust.
pub struct Views<S> {
    inner: Arc<Inner<S>>,
}

impl<S> Clone for Views<S> {
    /// Returns a handle to the same views.
    fn clone(&self) -> Self {
        Views { inner: self.inner.clone() }
    }
}

struct Inner<S> {
    store: Arc<S>,
    /// Bring the events of the store to the views.
    passes: Arc<Passes<S>>,
    dir: PathBuf,
    time: Arc<dyn Time>,
    /// The views that the facts name, by name.
    views: RwLock<BTreeMap<String, Arc<Entry<S>>>>,
    /// The code of the views in Rust.
    registry: Arc<Registry>,
    /// Up to where the definitions were read; `None` before all that are in the store were.
    read: Mutex<Option<Cursor>>,
    /// Notified when a view, or what answers for it, has changed.
    changed: Arc<Event>,
}

/// A view of the store.
pub(crate) struct Entry<S> {
    name: String,
    state: ViewState,
    /// What its run has come to. A run of a later state begins with the same.
    run: Arc<Mutex<follow::RunState<S>>>,
}

/// Why views can't be changed or asked.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum ViewsError {
    /// The file of the view is wrong.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// There is no such view, or there is one already.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Its name is taken, or it is not there.
    #[error("{message}")]
    Name {
        /// A stable code.
        code: &'static str,
        /// What is wrong.
        message: String,
    },
    /// Its tables are being opened.
    #[error("the tables of the view {view} are being opened; retry")]
    Opening {
        /// The view.
        view: String,
    },
    /// The question has no answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The view has failed, or has not come so far in time.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The store can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store can't be written.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl Coded for ViewsError {
    fn code(&self) -> &'static str {
        match self {
            ViewsError::Definition(error) => error.code(),
            ViewsError::Invalid(error) => error.code,
            ViewsError::Name { code, .. } => code,
            ViewsError::Opening { .. } => "view_opening",
            ViewsError::Ask(error) => error.code(),
            ViewsError::View(error) => error.code(),
            ViewsError::Read(error) => error.code(),
            ViewsError::Append(error) => error.code(),
        }
    }

    fn can_retry(&self) -> bool {
        match self {
            ViewsError::Opening { .. } => true,
            ViewsError::View(error) => error.can_retry(),
            ViewsError::Read(error) => error.can_retry(),
            ViewsError::Append(error) => error.can_retry(),
            _ => false,
        }
    }
}

impl<S: EventStore + 'static> Views<S> {
    /// Makes the views of a store, with their tables in a folder, which is made with the first view. Nothing runs
    /// yet: see [`Views::run`].
    ///
    /// # Errors
    /// There is something else in place of the folder.
    pub fn open(store: Arc<S>, dir: impl Into<PathBuf>) -> std::io::Result<Self> {
        let dir = dir.into();
        if dir.exists() && !dir.is_dir() {
            return Err(std::io::ErrorKind::NotADirectory.into());
        }
        let time: Arc<dyn Time> = Arc::new(SystemTime);
        Ok(Views {
            inner: Arc::new(Inner {
                passes: Arc::new(Passes::new(store.clone(), time.clone())),
                store,
                dir,
                time,
                views: RwLock::default(),
                registry: Arc::default(),
                read: Mutex::default(),
                changed: Arc::default(),
            }),
        })
    }

    /// Runs all views until an error of the store.
    ///
    /// # Errors
    /// The definitions can't be read. A view that fails is no error: see [`Views::list`].
    pub async fn run(&self) -> Result<(), ViewsError> {
        let definitions = Query::Is(Field::Category, vec![Value::Exactly(CATEGORY.to_owned())]);
        let subscribe = Subscribe::after(definitions, Cursor::START);
        let mut definitions = self.inner.store.subscribe(subscribe).await?;
        let mut states = BTreeMap::<String, ViewState>::new();
        let mut running = FuturesUnordered::new();
        let mut is_caught_up = false;
        loop {
            let delivery = match select(pin!(definitions.next()), running.next()).await {
                Either::Left((delivery, _)) => delivery?,
                // No view is running: only a definition can change that.
                Either::Right((None, next)) => next.await?,
                Either::Right((Some(()), _)) => continue,
            };
            match delivery {
                Delivery::Event(event, at) => {
                    let name =
                        event.stream().get(CATEGORY.len() + 1..).unwrap_or_default().to_owned();
                    if let Some(fact) = ViewFact::of(&event) {
                        let state = states.entry(name.clone()).or_default();
                        // The run goes on at a request: it finds it in the log itself.
                        let is_request = fact.clone().request().is_some();
                        state.apply(event.version(), fact, has_same_rows);
                        if is_caught_up && !is_request {
                            running.extend(self.begin(&name, state.clone()));
                        }
                    }
                    if is_caught_up {
                        self.note_read(at);
                    }
                }
                Delivery::CaughtUp(at) => {
                    if !std::mem::replace(&mut is_caught_up, true) {
                        for (name, state) in &states {
                            running.extend(self.begin(name, state.clone()));
                        }
                    }
                    self.note_read(at);
                }
            }
        }
    }

    /// Runs all views until `stop` is ready.
    ///
    /// # Errors
    /// As [`Views::run`].
    pub async fn run_until(&self, stop: impl Future<Output = ()>) -> Result<(), ViewsError> {
        match select(pin!(self.run()), pin!(stop)).await {
            Either::Left((ended, _)) => ended,
            Either::Right(_) => Ok(()),
        }
    }

    /// Returns whether a run has read the definitions that were in the store when it began.
    pub fn is_ready(&self) -> bool {
        self.inner.read.lock().is_some()
    }

    /// Waits until a run has read the definitions that were in the store when it began.
    pub async fn ready(&self) {
        loop {
            let changed = self.inner.changed.listen();
            if self.is_ready() {
                return;
            }
            changed.await;
        }
    }

    /// Takes a view's state over, and returns its run, which ends when a later state comes.
    fn begin(&self, name: &str, state: ViewState) -> Option<impl Future<Output = ()> + use<S>> {
        let mut views = self.inner.views.write();
        let before = views.remove(name);
        let run = before.map(|before| before.run.clone()).unwrap_or_default();
        let stop = follow::RunState::begin(&run);
        let entry = Arc::new(Entry { name: name.to_owned(), state, run: run.clone() });
        let follower = entry.state.exists().then(|| {
            views.insert(entry.name.clone(), entry.clone());
            Follower::new(&self.inner, entry.clone())
        });
        drop(views);
        self.inner.changed.notify(usize::MAX);
        let inner = self.inner.clone();
        Some(async move {
            match follower {
                Some(follower) => {
                    // Once there is a later state, a run of this one brings no event more: a view that was paused
                    // stands still when the request is answered.
                    select(pin!(stop), pin!(follower.run())).await;
                }
                None => {
                    let (running, connections) = {
                        let run = run.lock();
                        (run.running(), run.connections.clone())
                    };
                    let _running = running.lock().await;
                    follow::remove_files(&connections, &inner.dir, &entry, Vec::new()).await;
                    select(pin!(removal::drop_removed(&inner, &entry)), pin!(stop)).await;
                }
            }
        })
    }

    fn note_read(&self, at: Cursor) {
        *self.inner.read.lock() = Some(at);
        self.inner.changed.notify(usize::MAX);
    }

    /// Waits until the definitions were read up to a cursor.
    async fn wait_for_definitions(&self, cursor: &Cursor) {
        loop {
            let changed = self.inner.changed.listen();
            if self.inner.read.lock().as_ref().is_some_and(|read| read.covers(cursor)) {
                return;
            }
            changed.await;
        }
    }

    /// Waits until the views that the store names are known, and each has tables that answer or has failed.
    /// [`Views::run`] must run meanwhile.
    pub async fn wait_until_known(&self) {
        loop {
            let changed = self.inner.changed.listen();
            if self.is_ready() && self.inner.views.read().values().all(|view| view.is_known()) {
                return;
            }
            changed.await;
        }
    }
}

/// Whether two definitions of a view make the same rows.
fn has_same_rows(one: &Content, two: &Content) -> bool {
    let (Content::File { text: of_one }, Content::File { text: of_two }) = (one, two) else {
        return one == two;
    };
    match (Definition::parse(of_one), Definition::parse(of_two)) {
        (Ok(one), Ok(two)) => one.digest() == two.digest(),
        _ => one == two,
    }
}
