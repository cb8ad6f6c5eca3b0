//! The database that has the tables of a definition: a SQLite file, or PostgreSQL.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::lock::Mutex as AsyncMutex;
use leftfold_api::Origin;
use leftfold_fold::view::{Batch, Saved, Sink, ViewError, WriterThread};
use parking_lot::Mutex;

use crate::check::TestReport;
use crate::definition::{Definition, Target};
use crate::logic::Logic;
#[cfg(feature = "postgres")]
use crate::postgres::{self, Failure, Filled, Owner, PostgresSink, PostgresTables, Worker};
use crate::sqlite::{Requests, Rows, SqliteSink};

use super::ViewsError;
use super::standby::Standby;

/// What the runs of a view share: the tables of one run are written before those of the next are opened.
#[derive(Clone, Default)]
pub(crate) struct Connections {
    pub(super) files: FileThread,
    #[cfg(feature = "postgres")]
    worker: Worker,
    /// Of the session that holds the lease.
    #[cfg(feature = "postgres")]
    lease: Worker,
}

/// A thread on which the files of a view are opened, read and removed: each may wait for the disk, or for another
/// process that has locked a file. It does one call after the other, also those of a run that has ended.
#[derive(Clone, Default)]
pub(crate) struct FileThread(Arc<AsyncMutex<WriterThread>>);

impl FileThread {
    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ViewError> + Send + 'static,
    ) -> Result<T, ViewError> {
        self.0.lock().await.call(work).await
    }
}

/// How new tables begin, and what those of SQLite follow beside the events.
pub(super) struct Beginning {
    /// The state of new tables; `None` for that before the first event.
    pub(super) start: Option<Saved>,
    pub(super) requests: Requests,
}

/// The tables of a definition.
#[derive(Clone)]
pub(crate) enum Backing {
    Sqlite {
        path: PathBuf,
        rows: Arc<Mutex<Rows>>,
        files: FileThread,
        /// How many of their events are parked, or wait behind parked ones.
        waiting: Arc<AtomicU64>,
        /// How many windows their events have missed, if there are windows.
        late: Option<Arc<AtomicU64>>,
    },
    #[cfg(feature = "postgres")]
    Postgres(PostgresTables),
}

/// What brings events to them.
pub(crate) enum BackingSink {
    Sqlite(SqliteSink),
    #[cfg(feature = "postgres")]
    Postgres(PostgresSink),
}

impl Backing {
    /// Opens the tables of a definition, or makes them.
    ///
    /// # Errors
    /// The file or the database can't be used.
    pub(super) async fn open(
        logic: &Logic,
        path: PathBuf,
        number: u64,
        origin: Origin,
        beginning: Beginning,
        connections: Connections,
    ) -> Result<(Self, BackingSink), ViewError> {
        let Beginning { start, requests } = beginning;
        if let Some((definition, source)) = logic.in_postgres() {
            #[cfg(feature = "postgres")]
            {
                let worker = connections.worker;
                let owner = Owner { view: definition.name().to_owned(), number, origin };
                let filled = Filled { definition: definition.clone(), code: logic.postgres_code() };
                let tables = PostgresTables::open(owner, filled, source, start, worker).await?;
                let sink = BackingSink::Postgres(PostgresSink(tables.clone()));
                return Ok((Backing::Postgres(tables), sink));
            }
            #[cfg(not(feature = "postgres"))]
            {
                _ = (definition, source, number, origin, connections);
                return Err(no_postgres());
            }
        }
        let (files, logic) = (connections.files, logic.clone());
        let open = move || {
            let mut rows = Rows::open_for(&path, &logic)?;
            rows.follow_requests(requests);
            if let Some(start) = &start {
                rows.begin_at(start)?;
            }
            Ok((path, rows))
        };
        let (path, rows) = files.call(open).await?;
        let (waiting, late) = (rows.waiting(), rows.late());
        let sink = SqliteSink::new(rows);
        let rows = sink.rows();
        Ok((Backing::Sqlite { path, rows, files, waiting, late }, BackingSink::Sqlite(sink)))
    }

    /// Whether the tables of a definition have once caught up.
    ///
    /// # Errors
    /// The file or the database can't be read.
    pub(super) async fn has_caught_up_at(
        logic: &Logic,
        path: &Path,
        number: u64,
        origin: Origin,
        connections: &Connections,
    ) -> Result<bool, ViewError> {
        match logic.in_postgres() {
            None => {
                let (path, logic) = (path.to_owned(), logic.clone());
                let look = move || match path.exists() {
                    true => Ok(Rows::open_for(path, &logic)?.has_caught_up()?),
                    false => Ok(false),
                };
                connections.files.call(look).await
            }
            #[cfg(feature = "postgres")]
            Some((definition, source)) => {
                let worker = &connections.worker;
                postgres::is_published(definition.name(), source, number, origin, worker).await
            }
            #[cfg(not(feature = "postgres"))]
            Some(_) => {
                _ = (number, origin, connections);
                Err(no_postgres())
            }
        }
    }

    /// Returns the file, if it is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Backing::Sqlite { path, .. } => Some(path),
            #[cfg(feature = "postgres")]
            Backing::Postgres(_) => None,
        }
    }

    /// Whether the tables have once caught up.
    pub(super) async fn has_caught_up(&self) -> Result<bool, ViewError> {
        match self {
            Backing::Sqlite { rows, files, .. } => {
                let rows = rows.clone();
                files.call(move || Ok(rows.lock().has_caught_up()?)).await
            }
            #[cfg(feature = "postgres")]
            Backing::Postgres(tables) => Ok(tables.is_published()),
        }
    }

    /// Returns how many of their events are parked, or wait behind parked ones.
    pub(super) fn waiting(&self) -> u64 {
        match self {
            Backing::Sqlite { waiting, .. } => waiting.load(Ordering::Relaxed),
            #[cfg(feature = "postgres")]
            Backing::Postgres(_) => 0,
        }
    }

    /// Returns how many windows their events have missed, if there are windows.
    pub(super) fn late(&self) -> Option<u64> {
        match self {
            Backing::Sqlite { late, .. } => Some(late.as_ref()?.load(Ordering::Relaxed)),
            #[cfg(feature = "postgres")]
            Backing::Postgres(_) => None,
        }
    }

    /// Whether those who ask get these tables, from the view's name.
    pub(super) fn is_published(&self) -> bool {
        match self {
            Backing::Sqlite { .. } => true,
            #[cfg(feature = "postgres")]
            Backing::Postgres(tables) => tables.is_published(),
        }
    }

    /// Whether asking for their state takes no time: the database was there when it was last asked.
    pub(super) fn is_reached(&self) -> bool {
        match self {
            Backing::Sqlite { .. } => true,
            #[cfg(feature = "postgres")]
            Backing::Postgres(tables) => tables.is_reached(),
        }
    }

    /// Lets an event that fails stop the tables, whatever the definition says.
    pub(super) async fn stop_on_error(&self) -> Result<(), ViewError> {
        match self {
            Backing::Sqlite { rows, files, .. } => {
                let rows = rows.clone();
                let stop = move || {
                    rows.lock().stop_on_error();
                    Ok(())
                };
                files.call(stop).await
            }
            #[cfg(feature = "postgres")]
            Backing::Postgres(tables) => {
                tables.stop_on_error();
                Ok(())
            }
        }
    }

    /// Returns up to where the tables were brought, as far as it is known.
    pub(super) async fn saved(&self) -> Result<Option<Saved>, ViewError> {
        match self {
            Backing::Sqlite { rows, files, .. } => {
                let rows = rows.clone();
                files.call(move || Ok(rows.lock().saved()?)).await
            }
            #[cfg(feature = "postgres")]
            Backing::Postgres(tables) => Ok(tables.known()),
        }
    }

    /// Notes that the tables have caught up, so that they answer. If tables that answer now are not in the state
    /// `known`, which these cover, it returns their state and changes nothing.
    pub(super) async fn publish(&self, known: Option<Saved>) -> Result<Option<Saved>, ViewError> {
        match self {
            Backing::Sqlite { rows, files, .. } => {
                let rows = rows.clone();
                _ = known;
                files.call(move || Ok(rows.lock().note_caught_up()?)).await?;
                Ok(None)
            }
            #[cfg(feature = "postgres")]
            Backing::Postgres(tables) => tables.publish(known).await,
        }
    }
}

impl Sink for BackingSink {
    async fn saved(&mut self) -> Result<Option<Saved>, ViewError> {
        match self {
            BackingSink::Sqlite(sink) => sink.saved().await,
            #[cfg(feature = "postgres")]
            BackingSink::Postgres(sink) => sink.saved().await,
        }
    }

    async fn commit(&mut self, batch: &Batch) -> Result<bool, ViewError> {
        match self {
            BackingSink::Sqlite(sink) => sink.commit(batch).await,
            #[cfg(feature = "postgres")]
            BackingSink::Postgres(sink) => sink.commit(batch).await,
        }
    }
}

/// Why tables are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dropping {
    /// New ones of this process answer in their place.
    Replaced,
    /// The view was removed: another process may not know that yet.
    Removed,
}

/// Drops the tables in PostgreSQL that a store has made for definitions of a view before `number`.
///
/// # Errors
/// PostgreSQL can't be reached.
pub(super) async fn drop_before(
    view: &str,
    target: &Target,
    number: u64,
    origin: Origin,
    dropping: Dropping,
    connections: &Connections,
) -> Result<(), ViewError> {
    match target {
        Target::Sqlite => Ok(()),
        #[cfg(feature = "postgres")]
        Target::Postgres(source) => {
            let worker = &connections.worker;
            match dropping {
                Dropping::Replaced => {
                    postgres::drop_before(view, source, number, origin, worker).await
                }
                Dropping::Removed => {
                    postgres::drop_removed(view, source, number, origin, worker).await
                }
            }
        }
        #[cfg(not(feature = "postgres"))]
        Target::Postgres(_) => {
            _ = (view, number, origin, dropping, connections);
            Err(no_postgres())
        }
    }
}

/// Waits for the lease of the tables of a definition, if they are where other processes may fill them too, and holds it
/// until the future is dropped.
///
/// # Errors
/// The database can't be reached, or the lease is lost.
pub(super) async fn hold_lease(
    logic: &Logic,
    number: u64,
    origin: Origin,
    standby: Arc<Standby>,
    connections: Connections,
) -> Result<(), ViewError> {
    match logic.in_postgres() {
        #[cfg(feature = "postgres")]
        Some((definition, source)) => {
            let owner = Owner { view: definition.name().to_owned(), number, origin };
            postgres::hold_lease(owner, source, &connections.lease, standby).await
        }
        _ => {
            _ = (number, origin, connections);
            standby.grant();
            std::future::pending().await
        }
    }
}

/// Checks a definition in the database that it names.
///
/// # Errors
/// A line of it is wrong, or the database can't be used.
pub(super) async fn check(
    definition: &Definition,
    origin: Origin,
) -> Result<Vec<TestReport>, ViewsError> {
    match &definition.target {
        Target::Sqlite => Ok(definition.check()?),
        #[cfg(feature = "postgres")]
        Target::Postgres(_) => Ok(postgres::check(definition, None, Some(origin)).await?),
        #[cfg(not(feature = "postgres"))]
        Target::Postgres(_) => {
            _ = origin;
            Err(no_postgres().into())
        }
    }
}

#[cfg(feature = "postgres")]
impl From<Failure> for ViewsError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Definition(error) => error.into(),
            Failure::View(error) => error.into(),
        }
    }
}

/// The file of a view of PostgreSQL is refused by a build without it; only a fact of another build leads here.
#[cfg(not(feature = "postgres"))]
fn no_postgres() -> ViewError {
    ViewError::Target { message: "this build has no PostgreSQL".to_owned() }
}
