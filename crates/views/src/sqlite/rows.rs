//! Applies events to the tables: rows and cursor in one transaction.

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fs, io};

use leftfold_api::{Query, Recorded};
use leftfold_fold::view::Saved;
use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior};
use thiserror::Error;

use super::applier::Applier;
use super::code::CodeError;
use super::guard::{STEPS_OF_EVENT, StepLimit};
use super::history::Moment;
use super::parked::{self, BatchApplier, Interrupted, Refusal, Requests};
use super::tables;
use crate::definition::{Definition, OnError};
use crate::logic::Logic;
use crate::windows::late;

/// The KiB of pages that tables keep in memory while they are built: what a batch changes is written once, when it is
/// committed, and not before as well.
const CACHE_OF_BUILDING: i64 = 8_192;
/// The same once they have caught up, when commits are small; SQLite's default.
const CACHE_OF_FOLLOWING: i64 = 2_000;

/// The tables of a view, and up to where they have been brought.
pub struct Rows {
    connection: Connection,
    applier: Applier,
    /// The query of the view's events.
    query: Query,
    on_error: OnError,
    steps: StepLimit,
    /// For the triggers of a view that keeps its history.
    moment: Option<Moment>,
    /// What operators request of parked events.
    requests: Option<Requests>,
    /// How many events were parked, or waited behind parked ones, after the last commit.
    waiting: Arc<AtomicU64>,
    /// The same of its late events, if it has windows.
    late: Option<Arc<AtomicU64>>,
}

/// Why events could not be applied. The tables are as they were.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The statements fail on an event.
    #[error(
        "{reason} (event {event_type} at position {position} in stream {stream}{})", of_line(*line)
    )]
    Event {
        /// How many events of the batch come before it.
        before: usize,
        /// Its position.
        position: u64,
        /// Its stream.
        stream: String,
        /// Its type.
        event_type: String,
        /// The line of the statement; 0 in a view in Rust.
        line: usize,
        /// What SQL says.
        reason: String,
    },
    /// More events of the batch would have to wait than may be parked.
    #[error(
        "{most} events are parked or wait behind parked ones already, which is the most; correct the file and \
         replace the view"
    )]
    TooManyParked {
        /// The most events that may wait.
        most: u64,
    },
    /// Somebody else has brought the tables forward.
    #[error("another process writes the tables; stop one of the two")]
    Overtaken,
    /// The tables were made by another definition.
    #[error(
        "the tables were made by another definition of the view; replace the view, which builds them anew"
    )]
    OtherDefinition,
    /// The view is in Rust, and its code is not there.
    #[error("the code of the view {view} (logic {logic}) is not there")]
    CodeMissing {
        /// The view.
        view: String,
        /// The version of the code.
        logic: u32,
    },
    /// The file can't be read or written.
    #[error("the tables can't be read or written: {0}")]
    File(String),
}

impl From<rusqlite::Error> for ApplyError {
    fn from(error: rusqlite::Error) -> Self {
        ApplyError::File(tables::message_of(&error))
    }
}

/// Creates the file if it is missing, for its owner alone. SQLite gives the files beside it the same mode.
fn create_private(path: &Path) -> io::Result<()> {
    fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path).map(drop)
}

impl Rows {
    /// Opens the tables of a view, or makes them if the file is new.
    ///
    /// # Errors
    /// The file can't be used, or belongs to another definition.
    pub fn open(path: impl AsRef<Path>, definition: &Definition) -> Result<Self, ApplyError> {
        Self::open_for(path, &Logic::Sql(definition.clone()))
    }

    /// Opens the tables of a view by SQL or in Rust.
    pub(crate) fn open_for(path: impl AsRef<Path>, logic: &Logic) -> Result<Self, ApplyError> {
        super::check_version().map_err(ApplyError::File)?;
        create_private(path.as_ref()).map_err(|error| ApplyError::File(error.to_string()))?;
        let connection = Connection::open(path)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        // A crash may lose the last transactions, but never a part of one, and the cursor is in them.
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "normal")?;
        Self::on(connection, logic)
    }

    /// Makes the tables in memory.
    ///
    /// # Errors
    /// As [`Rows::open`].
    pub fn in_memory(definition: &Definition) -> Result<Self, ApplyError> {
        Self::on(Connection::open_in_memory()?, &Logic::Sql(definition.clone()))
    }

    fn on(mut connection: Connection, logic: &Logic) -> Result<Self, ApplyError> {
        let applier = Applier::new(&mut connection, logic)?;
        connection.execute_batch("begin immediate")?;
        // If this fails, the connection is dropped, and the transaction with it.
        if !connection.table_exists(None, "_view")? {
            applier.make(&mut connection)?;
            set(&connection, "digest", &logic.digest())?;
        } else if get(&connection, "digest")? != Some(logic.digest()) {
            return Err(ApplyError::OtherDefinition);
        }
        connection.execute_batch("commit")?;
        let is_building = get(&connection, "caught_up")?.is_none();
        keep_in_memory(
            &connection,
            if is_building { CACHE_OF_BUILDING } else { CACHE_OF_FOLLOWING },
        )?;
        let moment = tables::equip(&connection, logic.has_history())?;
        let steps = StepLimit::new(&mut connection, STEPS_OF_EVENT)?;
        let waiting = Arc::new(AtomicU64::new(parked::count_waiting(&connection)?));
        let (query, on_error) = (logic.query().clone(), applier.on_error());
        let late = match logic.has_windows() {
            true => Some(Arc::new(AtomicU64::new(late::count(&connection)?))),
            false => None,
        };
        let requests = None;
        Ok(Rows { connection, applier, query, on_error, steps, moment, requests, waiting, late })
    }

    /// Follows the requests of operators about parked events.
    pub(crate) fn follow_requests(&mut self, requests: Requests) {
        self.requests = Some(requests);
    }

    /// Returns how many events are parked, or wait behind parked ones. It is brought up to date by each commit.
    pub(crate) fn waiting(&self) -> Arc<AtomicU64> {
        self.waiting.clone()
    }

    /// Returns how many windows events have missed, if the view has windows. It is brought up to date by each commit.
    pub(crate) fn late(&self) -> Option<Arc<AtomicU64>> {
        self.late.clone()
    }

    /// Returns up to where the tables have been brought, or `None` if nothing was applied yet.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn saved(&self) -> Result<Option<Saved>, ApplyError> {
        let parse = |text: String| {
            text.parse().map_err(|error| ApplyError::File(format!("its state is damaged: {error}")))
        };
        get(&self.connection, "state")?.map(parse).transpose()
    }

    /// Begins after a cursor in place of the first event, unless something was applied already.
    ///
    /// # Errors
    /// The file can't be written.
    pub(crate) fn begin_at(&self, state: &Saved) -> Result<(), ApplyError> {
        if get(&self.connection, "state")?.is_none() {
            self.set_state(state)?;
        }
        Ok(())
    }

    /// Returns whether the tables have once caught up with the store.
    pub(crate) fn has_caught_up(&self) -> Result<bool, ApplyError> {
        Ok(get(&self.connection, "caught_up")?.is_some())
    }

    /// Lets an event that fails stop the tables, whatever the definition says.
    pub(crate) fn stop_on_error(&mut self) {
        self.on_error = OnError::Stop;
    }

    /// Notes that the tables have caught up with the store: they may be asked, and go on after an event that fails
    /// if the definition says so.
    pub(crate) fn note_caught_up(&mut self) -> Result<(), ApplyError> {
        set(&self.connection, "caught_up", "1")?;
        keep_in_memory(&self.connection, CACHE_OF_FOLLOWING)?;
        self.on_error = self.applier.on_error();
        Ok(())
    }

    fn set_state(&self, state: &Saved) -> Result<(), ApplyError> {
        set(&self.connection, "state", &state.to_string())?;
        Ok(set(&self.connection, "cursor", &state.cursor().to_string())?)
    }

    /// Applies events, in one transaction with the state behind them. `from` is the state before.
    ///
    /// # Errors
    /// An event fails, or somebody else has brought the tables forward.
    pub fn apply(
        &mut self,
        events: &[Recorded],
        from: Option<&Saved>,
        to: &Saved,
    ) -> Result<(), ApplyError> {
        if !events.is_empty() {
            self.applier.check()?;
        }
        let mut interrupted = Interrupted::default();
        // Each round but the last finds one more event whose statements end the transaction.
        while !self.try_apply(events, from, to, &mut interrupted)? {}
        Ok(())
    }

    /// Applies events unless the statements of one end the transaction; then returns false.
    fn try_apply(
        &mut self,
        events: &[Recorded],
        from: Option<&Saved>,
        to: &Saved,
        interrupted: &mut Interrupted,
    ) -> Result<bool, ApplyError> {
        self.steps.renew();
        let behavior = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(behavior)?;
        if get(&transaction, "state")? != from.map(ToString::to_string) {
            return Err(ApplyError::Overtaken);
        }
        let mut batch = BatchApplier {
            transaction: &transaction,
            run: self.applier.begin(&transaction)?,
            query: &self.query,
            on_error: self.on_error,
            steps: &self.steps,
            moment: self.moment.as_ref(),
            requests: self.requests.as_ref(),
            interrupted,
            waiting: parked::count_waiting(&transaction)?,
            number: 0,
        };
        for (before, event) in events.iter().enumerate() {
            match batch.apply(before, event) {
                Ok(()) => {}
                Err(Refusal::Interrupted) => return Ok(false),
                Err(Refusal::Failed(failed)) => return Err(failed.of_event(before, event)),
                Err(Refusal::TooManyParked) => {
                    return Err(ApplyError::TooManyParked { most: parked::MAX_WAITING });
                }
            }
        }
        let waiting = batch.end()?;
        set(&transaction, "state", &to.to_string())?;
        set(&transaction, "cursor", &to.cursor().to_string())?;
        let late = self.late.as_ref().map(|_| late::count(&transaction)).transpose()?;
        transaction.commit()?;
        self.waiting.store(waiting, Ordering::Relaxed);
        if let (Some(late), Some(counted)) = (&self.late, late) {
            late.store(counted, Ordering::Relaxed);
        }
        Ok(true)
    }

    /// Returns the connection, for tests and questions.
    pub(crate) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

/// Returns what an error says about the line of a file.
fn of_line(line: usize) -> String {
    match line {
        0 => String::new(),
        line => format!(", line {line} of the view"),
    }
}

/// Why a statement, or code, failed.
pub(super) struct Failed {
    pub(super) line: usize,
    pub(super) reason: String,
    /// Whether the file failed, not the statement.
    pub(super) is_of_file: bool,
}

impl Failed {
    fn of_event(self, before: usize, event: &Recorded) -> ApplyError {
        match self.is_of_file {
            true => ApplyError::File(self.reason),
            false => ApplyError::Event {
                before,
                position: event.position(),
                stream: event.stream().to_owned(),
                event_type: event.event_type().to_owned(),
                line: self.line,
                reason: self.reason,
            },
        }
    }

    /// The failure of code, which has no line.
    pub(super) fn of_code(error: CodeError) -> Self {
        match error.sqlite {
            Some(sqlite) => Failed { reason: error.reason, ..Failed::new(&sqlite, 0) },
            None => Failed { line: 0, reason: error.reason, is_of_file: false },
        }
    }

    pub(super) fn new(error: &rusqlite::Error, line: usize) -> Self {
        let is_of_file = matches!(
            error.sqlite_error_code(),
            Some(
                ErrorCode::DiskFull
                    | ErrorCode::SystemIoFailure
                    | ErrorCode::DatabaseCorrupt
                    | ErrorCode::NotADatabase
                    | ErrorCode::ReadOnly
                    | ErrorCode::CannotOpen
                    | ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::OutOfMemory
            )
        );
        let reason = match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => {
                "the statement does not come to an end; make it smaller".to_owned()
            }
            _ => tables::message_of(error),
        };
        Failed { line, reason, is_of_file }
    }
}

fn keep_in_memory(connection: &Connection, kib: i64) -> rusqlite::Result<()> {
    connection.pragma_update(None, "cache_size", -kib)
}

fn get(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    let mut statement = connection.prepare_cached("select value from _view where name = ?1")?;
    statement.query_row([name], |row| row.get(0)).optional()
}

fn set(connection: &Connection, name: &str, value: &str) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("insert or replace into _view values (?1, ?2)")?;
    statement.execute((name, value)).map(drop)
}
