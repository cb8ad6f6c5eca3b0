//! Calls the code of a view in Rust, within a transaction.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::io;
use std::iter::successors;
use std::task::Poll;
use std::time::Duration;

use leftfold_api::Recorded;
use leftfold_fold::view::{Batch, ViewError, catch_panic};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, Transaction};

use super::apply::{NotApplied, Place, note};
use super::error::{Failure, is_of_statement, is_timeout, message_of, no_answer};
use super::session::{ANSWER, COMMIT, execute};
use super::tables::{PATIENT, event, move_state};
use crate::definition::OnError;
use crate::postgres_view::PostgresCode;
use crate::sqlite::ApplyError;

/// How long the code may take for an event.
const EVENT: Duration = Duration::from_secs(5);

/// What the code did when the transaction is not there any more.
const ENDED: &str = "the code has ended the transaction, which is not its own";
/// What the code did when the transaction can only be rolled back.
const WENT_ON: &str = "a statement failed, and the code went on; return its error";

/// Writes a batch in a transaction of its own; returns whether the tables were where the batch begins.
pub(super) async fn write(
    client: &mut Client,
    batch: &Batch,
    code: &dyn PostgresCode,
    on_error: OnError,
) -> Result<bool, Failure> {
    let (error, may_pass) = match attempt(client, batch, code, None).await {
        Ok(is_written) => return Ok(is_written),
        Err(NotApplied::Database(failure)) => return Err(failure),
        Err(NotApplied::Event { error, is_timeout }) => (error, is_timeout),
    };
    if on_error == OnError::Stop && !may_pass {
        return Err(event(&error));
    }
    attempt(client, batch, code, Some(on_error)).await.map_err(|failed| match failed {
        NotApplied::Database(failure) => failure,
        NotApplied::Event { error, .. } => event(&error),
    })
}

/// Tries to write a batch. With `one_by_one`, each event has a savepoint, and what fails is treated so.
async fn attempt(
    client: &mut Client,
    batch: &Batch,
    code: &dyn PostgresCode,
    one_by_one: Option<OnError>,
) -> Result<bool, NotApplied> {
    let begun = timeout(ANSWER, client.transaction()).await.map_err(|_| no_answer())?;
    let run = CodeRun { transaction: begun?, code, has_savepoints: one_by_one.is_some() };
    if one_by_one.is_some() {
        execute(run.transaction.client(), PATIENT).await?;
    }
    if !move_state(run.transaction.client(), batch).await? {
        return Ok(false);
    }
    execute(run.transaction.client(), "insert into _open values (1, 2)").await?;
    let applied = match one_by_one {
        None => run.apply(&batch.events).await,
        Some(on_error) => run.apply_one_by_one(&batch.events, on_error).await,
    };
    let ended = match &applied {
        Ok(()) => timeout(COMMIT, run.transaction.commit()).await,
        Err(NotApplied::Event { .. }) => timeout(ANSWER, run.transaction.rollback()).await,
        // The connection is closed.
        Err(NotApplied::Database(_)) => return applied.map(|()| true),
    };
    ended.map_err(|_| no_answer())??;
    applied.map(|()| true)
}

/// The code of a view, and the transaction that it gets.
struct CodeRun<'a> {
    transaction: Transaction<'a>,
    code: &'a dyn PostgresCode,
    /// Whether each event has a savepoint.
    has_savepoints: bool,
}

impl CodeRun<'_> {
    async fn apply(&self, events: &[Recorded]) -> Result<(), NotApplied> {
        for (before, event) in events.iter().enumerate() {
            self.apply_event(Place { before, event, line: 0 }).await?;
        }
        self.close(events).await
    }

    /// Applies events one by one. What fails is noted in `_errors` if the view skips it; what takes too long stops it.
    async fn apply_one_by_one(
        &self,
        events: &[Recorded],
        on_error: OnError,
    ) -> Result<(), NotApplied> {
        let client = self.transaction.client();
        for (before, event) in events.iter().enumerate() {
            execute(client, "savepoint _event").await?;
            match self.apply_and_release(Place { before, event, line: 0 }).await {
                Err(NotApplied::Event {
                    error: ApplyError::Event { reason, .. },
                    is_timeout: false,
                }) if on_error == OnError::Skip => {
                    execute(client, "rollback to _event; release _event").await?;
                    note(client, event, &reason).await?;
                }
                done => done?,
            }
        }
        self.close(events).await
    }

    async fn apply_and_release(&self, of: Place<'_>) -> Result<(), NotApplied> {
        self.apply_event(of).await?;
        let release = self.transaction.batch_execute("release _event");
        match timeout(ANSWER, release).await.map_err(|_| no_answer())? {
            Ok(()) => Ok(()),
            Err(error) if error.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION) => {
                Err(of.failed(WENT_ON.to_owned(), false))
            }
            Err(error) if error.code().is_some() => Err(of.failed(ENDED.to_owned(), true)),
            Err(error) => Err(error.into()),
        }
    }

    /// Lets the transaction commit. If the code has ended it, or has gone on after an error, each event has to be looked
    /// at to know which one it was.
    async fn close(&self, events: &[Recorded]) -> Result<(), NotApplied> {
        let close = self.transaction.execute("delete from _open", &[]);
        let closed = timeout(ANSWER, close).await.map_err(|_| no_answer())?;
        let reason = match closed {
            Ok(1) => return Ok(()),
            Ok(_) => ENDED,
            Err(error) if error.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION) => WENT_ON,
            Err(error) => return Err(error.into()),
        };
        match events.last() {
            Some(event) => {
                let of = Place { before: events.len() - 1, event, line: 0 };
                Err(of.failed(reason.to_owned(), true))
            }
            None => Err(Failure::View(ViewError::rows(reason)).into()),
        }
    }

    async fn apply_event(&self, of: Place<'_>) -> Result<(), NotApplied> {
        let called = catch_panic(|| self.code.apply(&self.transaction, of.event));
        let ended = match called {
            Err(panic) => Ok(Err(panic)),
            Ok(mut running) => {
                let polled = poll_fn(|context| {
                    let polled = catch_panic(|| running.as_mut().poll(context));
                    polled.map_or_else(|panic| Poll::Ready(Err(panic)), |poll| poll.map(Ok))
                });
                timeout(EVENT, polled).await
            }
        };
        let failed = match ended {
            Ok(Ok(Ok(()))) => return Ok(()),
            Ok(Ok(Err(error))) => self.of_error(of, &*error),
            Ok(Err(panic)) => of.failed(panic.to_string(), false),
            Err(_) => of.failed("the code does not come to an end".to_owned(), true),
        };
        // If PostgreSQL is away, that is why.
        execute(self.transaction.client(), "").await?;
        Err(failed)
    }

    /// Returns the failure for an error of code, by the error of PostgreSQL that it has, or is made from.
    fn of_error(&self, of: Place<'_>, error: &(dyn StdError + 'static)) -> NotApplied {
        let mut causes = successors(Some(error), |&error| error.source());
        let Some(cause) = causes.find_map(|cause| cause.downcast_ref::<Error>()) else {
            return of.failed(error.to_string(), false);
        };
        if is_timeout(cause) {
            return of
                .failed("a statement does not come to an end; make it smaller".to_owned(), true);
        }
        let Some(code) = cause.code() else { return of_client(of, error, cause) };
        if *code == SqlState::IN_FAILED_SQL_TRANSACTION {
            // Without savepoints, an event before may have gone on after it.
            return of.failed(WENT_ON.to_owned(), !self.has_savepoints);
        }
        if !is_of_statement(cause) {
            return Failure::from(ViewError::rows(message_of(cause))).into();
        }
        let is_commit = cause.as_db_error().is_some_and(|error| error.table() == Some("_open"));
        let is_whole = error.downcast_ref::<Error>().is_some();
        let reason = match (is_commit, is_whole) {
            (true, _) => ENDED.to_owned(),
            (false, true) => message_of(cause),
            (false, false) => format!("{error}: {}", message_of(cause)),
        };
        of.failed(reason, is_commit)
    }
}

/// Returns the failure for an error that PostgreSQL did not send: of the connection, or of a value that does not fit.
fn of_client(of: Place<'_>, error: &(dyn StdError + 'static), cause: &Error) -> NotApplied {
    let source = cause.source();
    if cause.is_closed() || source.is_some_and(|source| source.is::<io::Error>()) {
        return Failure::from(ViewError::rows(message_of(cause))).into();
    }
    let source = source.map(|source| format!(": {source}")).unwrap_or_default();
    of.failed(format!("{error}{source}"), false)
}
