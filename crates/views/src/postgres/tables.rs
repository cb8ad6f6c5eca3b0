//! The tables of one definition, and the connection that fills them.

use std::sync::Arc;

use futures_util::lock::Mutex as AsyncMutex;
use leftfold_api::Origin;
use leftfold_fold::view::{Batch, Saved, ViewError};
use parking_lot::Mutex;
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

use super::apply::{NotApplied, Prepared};
use super::code;
use super::error::{Failure, no_answer};
use super::lease::try_lease;
use super::schema::{Owner, prepare_all};
use super::session::{ANSWER, commit, connect, execute};
use super::url::Url;
use super::worker::Worker;
use crate::definition::{Definition, OnError, UrlSource};
use crate::postgres_view::PostgresCode;
use crate::sqlite::ApplyError;

/// The time of a statement when events are applied one by one: one that took too long may have waited for the machine.
pub(super) const PATIENT: &str = "set local statement_timeout = '5s'";

/// The tables of a definition in PostgreSQL.
#[derive(Clone)]
pub(crate) struct PostgresTables(Arc<Inner>);

/// The tables, and what fills them.
pub(crate) struct Filled {
    /// The tables, and the statements that fill them unless code does.
    pub(crate) definition: Definition,
    /// The code, if this process has it.
    pub(crate) code: Option<Arc<dyn PostgresCode>>,
}

struct Inner {
    owner: Owner,
    filled: Filled,
    source: UrlSource,
    /// The state of new tables.
    start: Option<Saved>,
    worker: Worker,
    session: AsyncMutex<Option<Session>>,
    progress: Mutex<Progress>,
}

/// What is known of the tables.
struct Progress {
    state: Option<Saved>,
    /// Whether that is what PostgreSQL has; after a failure it has to be read again.
    is_sure: bool,
    is_published: bool,
    on_error: OnError,
}

struct Session {
    client: Client,
    statements: Vec<Vec<Statement>>,
}

impl PostgresTables {
    /// Opens the tables of a definition, or makes them.
    ///
    /// # Errors
    /// PostgreSQL can't be reached, or has tables there that this store has not made.
    pub(crate) async fn open(
        owner: Owner,
        filled: Filled,
        source: &UrlSource,
        start: Option<Saved>,
        worker: Worker,
    ) -> Result<Self, ViewError> {
        let progress = Progress {
            state: None,
            is_sure: false,
            is_published: false,
            on_error: filled.definition.on_error,
        };
        let tables = PostgresTables(Arc::new(Inner {
            owner,
            filled,
            source: source.clone(),
            start,
            worker,
            session: AsyncMutex::default(),
            progress: Mutex::new(progress),
        }));
        tables.saved().await?;
        Ok(tables)
    }

    /// Returns up to where the tables have been brought.
    pub(crate) async fn saved(&self) -> Result<Option<Saved>, ViewError> {
        let inner = self.0.clone();
        let read = async move || {
            let mut session = inner.session.lock().await;
            match inner.sure_state() {
                Some(state) => Ok(state),
                None => {
                    *session = None;
                    *session = Some(inner.open().await?);
                    Ok(inner.progress.lock().state.clone())
                }
            }
        };
        Ok(self.0.worker.call(read).await?)
    }

    /// Returns up to where the tables had been brought when that was last known.
    pub(crate) fn known(&self) -> Option<Saved> {
        self.0.progress.lock().state.clone()
    }

    /// Whether these tables answer.
    pub(crate) fn is_published(&self) -> bool {
        self.0.progress.lock().is_published
    }

    /// Whether PostgreSQL was there when it was last asked.
    pub(crate) fn is_reached(&self) -> bool {
        self.0.progress.lock().is_sure
    }

    /// Lets an event that fails stop the tables, whatever the definition says.
    pub(crate) fn stop_on_error(&self) {
        self.0.progress.lock().on_error = OnError::Stop;
    }

    /// Commits events; returns whether the tables were where the batch begins.
    pub(crate) async fn commit(&self, batch: &Batch) -> Result<bool, ViewError> {
        let (inner, batch) = (self.0.clone(), batch.clone());
        Ok(self.0.worker.call(async move || inner.commit(&batch).await).await?)
    }

    /// Lets these tables answer. If those that do have another state than `known`, up to which these are, it returns
    /// that state and changes nothing.
    pub(crate) async fn publish(&self, known: Option<Saved>) -> Result<Option<Saved>, ViewError> {
        let inner = self.0.clone();
        let publish = async move || {
            let mut slot = inner.session.lock().await;
            // Its search path names the schema of before, and an unknown result is looked up when it is opened.
            let session = match slot.take() {
                Some(session) => session,
                None => inner.open().await?,
            };
            let ahead = inner.owner.publish(&session.client, known.as_ref()).await;
            let mut progress = inner.progress.lock();
            match &ahead {
                Ok(None) => {
                    progress.is_published = true;
                    progress.on_error = inner.filled.definition.on_error;
                }
                Ok(Some(_)) => *slot = Some(session),
                Err(_) => progress.is_sure = false,
            }
            ahead
        };
        Ok(self.0.worker.call(publish).await?)
    }
}

impl Inner {
    fn sure_state(&self) -> Option<Option<Saved>> {
        let progress = self.progress.lock();
        progress.is_sure.then(|| progress.state.clone())
    }

    /// Connects, and opens the tables.
    async fn open(&self) -> Result<Session, Failure> {
        let client = connect(&Url::of(&self.source)?).await?;
        let definition = &self.filled.definition;
        let opened = self.owner.open(&client, definition, self.start.as_ref()).await?;
        let statements = prepare_all(&client, definition).await?;
        let mut progress = self.progress.lock();
        progress.state = opened.state;
        (progress.is_sure, progress.is_published) = (true, opened.is_published);
        Ok(Session { client, statements })
    }

    /// Returns the error of a batch for which there is no code.
    fn check_code(&self, batch: &Batch) -> Result<(), Failure> {
        let Filled { definition, code } = &self.filled;
        match definition.logic {
            Some(logic) if code.is_none() && !batch.events.is_empty() => {
                let view = definition.name().to_owned();
                Err(ViewError::CodeMissing { view, logic }.into())
            }
            _ => Ok(()),
        }
    }

    async fn commit(&self, batch: &Batch) -> Result<bool, Failure> {
        self.check_code(batch)?;
        let mut slot = self.session.lock().await;
        // A connection that broke while nothing was asked of it has lost nothing.
        if let Some(session) = &*slot
            && (session.client.is_closed() || self.begin(&session.client).await.is_err())
        {
            *slot = None;
        }
        let mut session = match slot.take() {
            Some(session) => session,
            None => {
                self.progress.lock().is_sure = false;
                let session = self.open().await?;
                if self.progress.lock().state != batch.from {
                    let message = "the tables were changed while the connection was lost";
                    return Err(ViewError::rows(message).into());
                }
                self.begin(&session.client).await?;
                session
            }
        };
        let written = match &self.filled.code {
            Some(code) => {
                let on_error = self.progress.lock().on_error;
                code::write(&mut session.client, batch, &**code, on_error).await
            }
            None => self.write(&session, batch).await,
        };
        let mut progress = self.progress.lock();
        match &written {
            Ok(true) => {
                progress.state = Some(batch.to.clone());
                *slot = Some(session);
            }
            // The transaction was rolled back.
            Err(Failure::View(ViewError::Event { .. })) => *slot = Some(session),
            // Whether it has committed is looked up when the tables are opened again.
            Ok(false) | Err(_) => progress.is_sure = false,
        }
        written
    }

    /// Begins a transaction. Code begins its own; then this only asks whether the connection is there.
    async fn begin(&self, client: &Client) -> Result<(), Failure> {
        execute(client, if self.filled.code.is_some() { "" } else { "begin" }).await
    }

    /// Writes a batch in the transaction that has begun.
    async fn write(&self, session: &Session, batch: &Batch) -> Result<bool, Failure> {
        let Session { client, statements } = session;
        let prepared = Prepared { client, definition: &self.filled.definition, statements };
        if !move_state(client, batch).await? {
            return Ok(false);
        }
        let on_error = self.progress.lock().on_error;
        let (error, is_timeout) = match prepared.apply(&batch.events).await {
            Ok(()) => return commit(client).await.map(|()| true),
            Err(NotApplied::Database(failure)) => return Err(failure),
            Err(NotApplied::Event { error, is_timeout }) => (error, is_timeout),
        };
        execute(client, "rollback").await?;
        if on_error == OnError::Stop && !is_timeout {
            return Err(event(&error));
        }
        execute(client, "begin").await?;
        execute(client, PATIENT).await?;
        if !move_state(client, batch).await? {
            return Ok(false);
        }
        match prepared.apply_one_by_one(&batch.events, on_error).await {
            Ok(()) => commit(client).await.map(|()| true),
            Err(NotApplied::Database(failure)) => Err(failure),
            Err(NotApplied::Event { error, .. }) => {
                execute(client, "rollback").await?;
                Err(event(&error))
            }
        }
    }
}

pub(super) fn event(error: &ApplyError) -> Failure {
    ViewError::event(error.to_string()).into()
}

/// Moves the state of the tables, if it is the one that the batch begins at. Others who write wait for the end of the
/// transaction.
pub(super) async fn move_state(client: &Client, batch: &Batch) -> Result<bool, Failure> {
    let update = "update _view set state = $1, cursor = $2 where state = $3";
    let from = batch.from.as_ref().map(ToString::to_string).unwrap_or_default();
    let (to, cursor) = (batch.to.to_string(), batch.to.cursor().to_string());
    let values: [&(dyn ToSql + Sync); 3] = [&to, &cursor, &from];
    Ok(timeout(ANSWER, client.execute(update, &values)).await.map_err(|_| no_answer())?? == 1)
}

/// Whether the tables of a definition answer.
///
/// # Errors
/// PostgreSQL can't be reached.
pub(crate) async fn is_published(
    view: &str,
    source: &UrlSource,
    number: u64,
    origin: Origin,
    worker: &Worker,
) -> Result<bool, ViewError> {
    let (url, owner) = (Url::of(source)?, Owner { view: view.to_owned(), number, origin });
    let look = async move || owner.is_published(&connect(&url).await?).await;
    Ok(worker.call(look).await?)
}

/// Drops the tables that a store has made for definitions of a view before `number`.
///
/// # Errors
/// PostgreSQL can't be reached, or readers hold the tables.
pub(crate) async fn drop_before(
    view: &str,
    source: &UrlSource,
    number: u64,
    origin: Origin,
    worker: &Worker,
) -> Result<(), ViewError> {
    let (url, owner) = (Url::of(source)?, Owner { view: view.to_owned(), number, origin });
    let drop = async move || owner.drop_before(&connect(&url).await?).await;
    Ok(worker.call(drop).await?)
}

/// Drops the tables that a store has made for definitions of a view that was removed with the fact `number`.
///
/// # Errors
/// As of [`drop_before`]; a process that has not seen yet that the view is removed still fills them.
pub(crate) async fn drop_removed(
    view: &str,
    source: &UrlSource,
    number: u64,
    origin: Origin,
    worker: &Worker,
) -> Result<(), ViewError> {
    let (url, owner) = (Url::of(source)?, Owner { view: view.to_owned(), number, origin });
    let drop = async move || {
        let client = connect(&url).await?;
        if !try_lease(&client, &owner).await? {
            return Err(
                ViewError::rows("another process still fills the tables of the view").into()
            );
        }
        owner.drop_before(&client).await
    };
    Ok(worker.call(drop).await?)
}
