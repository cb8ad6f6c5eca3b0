//! Asks views: one reading statement, within limits.

use std::fmt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use leftfold_api::{Coded, Cursor};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, ErrorCode, OptionalExtension};
use serde::Serialize;
use serde::ser::Serializer;
use thiserror::Error as ThisError;

use crate::functions;
use crate::sqlite::guard::{self, Purpose};
use crate::sqlite::quoted;

/// How many steps of SQLite's machine a question may take between two looks at the clock. A step may make a value of
/// megabytes.
const STEPS: i32 = 100;

/// The KiB of pages that each table of a connection that asks keeps in memory, also a temporary one.
const CACHE: i64 = 2_000;

/// A value of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// No value.
    Null,
    /// An integer.
    Integer(i64),
    /// A number that is no integer.
    Real(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Null => f.write_str("null"),
            Cell::Integer(integer) => integer.fmt(f),
            Cell::Real(real) => real.fmt(f),
            Cell::Text(text) => f.write_str(text),
            Cell::Bytes(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Cell::Null => serializer.serialize_unit(),
            Cell::Integer(integer) => serializer.serialize_i64(*integer),
            Cell::Real(real) => serializer.serialize_f64(*real),
            Cell::Text(text) => serializer.serialize_str(text),
            // JSON has no bytes.
            bytes @ Cell::Bytes(_) => serializer.collect_str(bytes),
        }
    }
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct Answer {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Cell>>,
    /// Up to where each view was brought when it was asked; `None` if it has no event yet.
    #[serde(serialize_with = "as_texts")]
    pub cursors: Cursors,
}

/// The limits of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AskLimits {
    /// The most rows of the answer.
    pub rows: usize,
    /// The most bytes of the answer.
    pub bytes: usize,
    /// The most events that it reads from the log.
    pub events: usize,
    /// The longest time that it may take.
    pub time: Duration,
}

impl Default for AskLimits {
    /// 10,000 rows, 16 MiB, 10 million events of the log, 10 seconds.
    fn default() -> Self {
        AskLimits {
            rows: 10_000,
            bytes: 16 << 20,
            events: 10_000_000,
            time: Duration::from_secs(10),
        }
    }
}

/// Why a question has no answer. No view has changed.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum AskError {
    /// It asks for more than reading.
    #[error("the query is refused: {0}")]
    Refused(String),
    /// SQL does not understand it.
    #[error("the query is wrong: {0}")]
    Invalid(String),
    /// It takes too long.
    #[error("the query took longer than {0:?}; ask for less, or add an index to the view")]
    TimedOut(Duration),
    /// The answer is too large.
    #[error("the answer has more than {0}; add a limit to the query")]
    TooLarge(String),
    /// It reads too much of the log.
    #[error(
        "the query reads more than {0} of the log; ask by stream, category, type, tag, correlation, position or \
             commit_time (explain query plan says which conditions help), or add a view"
    )]
    ReadsTooMuch(String),
    /// The tables can't be read.
    #[error("the tables can't be read: {0}")]
    File(String),
}

impl Coded for AskError {
    fn code(&self) -> &'static str {
        match self {
            AskError::Refused(_) => "view_query_refused",
            AskError::Invalid(_) => "view_query_invalid",
            AskError::TimedOut(_) => "view_query_timed_out",
            AskError::TooLarge(_) => "view_answer_too_large",
            AskError::ReadsTooMuch(_) => "view_query_reads_too_much",
            AskError::File(_) => "view_rows_failed",
        }
    }

    fn can_retry(&self) -> bool {
        false
    }
}

/// Asks views whose tables are in files. Each view's tables are in a schema of its name; a name that only one
/// view has needs no schema.
///
/// # Errors
/// The query is refused or wrong, or exceeds the limits.
pub fn ask(views: &[(String, PathBuf)], sql: &str, limits: AskLimits) -> Result<Answer, AskError> {
    let end = Instant::now() + limits.time;
    answer(&mut attach(views, str::to_owned)?, views, sql, limits, end)
}

/// Up to where each view was brought.
pub(crate) type Cursors = Vec<(String, Option<Cursor>)>;

/// Writes cursors as an object of their texts.
pub(crate) fn as_texts<S: Serializer>(cursors: &Cursors, serializer: S) -> Result<S::Ok, S::Error> {
    let text = |cursor: &Option<Cursor>| cursor.as_ref().map(Cursor::to_string);
    serializer.collect_map(cursors.iter().map(|(view, cursor)| (view, text(cursor))))
}

/// Attaches views, each under a name made from its own. What the connection has of its own is temporary, and on disk
/// if it is large.
pub(crate) fn attach(
    views: &[(String, PathBuf)],
    schema: impl Fn(&str) -> String,
) -> Result<Connection, AskError> {
    let connection = Connection::open("").map_err(of_file)?;
    // What is sorted, grouped or copied is on disk beyond these.
    connection.pragma_update(None, "temp_store", "file").map_err(of_file)?;
    connection.pragma_update(None, "cache_size", -CACHE).map_err(of_file)?;
    for (name, path) in views {
        let uri = format!("file:{}?mode=ro", encoded(&path.to_string_lossy()));
        let attach = format!("attach database ?1 as {}", quoted(&schema(name)));
        connection.execute(&attach, [uri]).map_err(of_file)?;
    }
    Ok(connection)
}

/// Asks attached views.
pub(crate) fn answer(
    connection: &mut Connection,
    views: &[(String, PathBuf)],
    sql: &str,
    limits: AskLimits,
    end: Instant,
) -> Result<Answer, AskError> {
    let cursors = begin(connection, views, str::to_owned)?;
    Ok(Answer { cursors, ..run(connection, sql, limits, end, Purpose::Asking)? })
}

/// Begins to read attached views; returns up to where each was brought.
pub(crate) fn begin(
    connection: &Connection,
    views: &[(String, PathBuf)],
    schema: impl Fn(&str) -> String,
) -> Result<Cursors, AskError> {
    connection.execute_batch("begin").map_err(of_file)?;
    let mut cursors = Vec::with_capacity(views.len());
    for (name, _) in views {
        let select =
            format!("select value from {}._view where name = 'cursor'", quoted(&schema(name)));
        let cursor: Option<String> =
            connection.query_row(&select, [], |row| row.get(0)).optional().map_err(of_file)?;
        cursors.push((name.clone(), cursor.and_then(|cursor| cursor.parse().ok())));
    }
    Ok(cursors)
}

/// Asks on a thread; if the receiver is dropped, the thread ends with its answer.
pub(crate) fn on_thread<T: Send + 'static>(
    ask: impl FnOnce() -> T + Send + 'static,
) -> Result<oneshot::Receiver<T>, AskError> {
    let (answer, answered) = oneshot::channel();
    // The caller may be gone.
    let ask = move || _ = answer.send(ask());
    let thread = thread::Builder::new().name("leftfold-ask".to_owned()).spawn(ask);
    thread.map_err(|error| AskError::File(format!("no thread can be started: {error}")))?;
    Ok(answered)
}

/// Returns the error for a thread that has ended without an answer.
pub(crate) fn no_answer() -> AskError {
    AskError::File("the thread that asks has ended".to_owned())
}

/// Returns the whole answer to a question of a test.
pub(crate) fn all(connection: &mut Connection, sql: &str) -> Result<Answer, AskError> {
    let limits = AskLimits::default();
    run(connection, sql, limits, Instant::now() + limits.time, Purpose::Asking)
}

pub(crate) fn run(
    connection: &mut Connection,
    sql: &str,
    limits: AskLimits,
    end: Instant,
    purpose: Purpose,
) -> Result<Answer, AskError> {
    guard::limit(connection, i32::try_from(limits.bytes).unwrap_or(i32::MAX)).map_err(of_file)?;
    functions::add_to(connection).map_err(of_file)?;
    connection.progress_handler(STEPS, Some(move || Instant::now() >= end)).map_err(of_file)?;
    let refusals = guard::restrict(connection, purpose, &[]).map_err(of_file)?;
    let answer = read(connection, sql, limits);
    guard::release(connection).map_err(of_file)?;
    connection.progress_handler(0, None::<fn() -> bool>).map_err(of_file)?;
    answer.map_err(|error| match (error, refusals.take()) {
        (Failed::Sql(_), Some(reason)) => AskError::Refused(reason),
        (Failed::Sql(error), _) => of_sql(&error, limits),
        (Failed::Ask(error), _) => error,
    })
}

enum Failed {
    Sql(Error),
    Ask(AskError),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed::Sql(error)
    }
}

fn read(connection: &Connection, sql: &str, limits: AskLimits) -> Result<Answer, Failed> {
    let mut statement = connection.prepare(sql)?;
    if !statement.readonly() || statement.column_count() == 0 {
        let reason = "it is no select; a view is changed by events alone".to_owned();
        return Err(Failed::Ask(AskError::Refused(reason)));
    }
    let columns: Vec<_> = statement.column_names().map(str::to_owned).collect();
    let (mut rows, mut bytes) = (Vec::new(), 0);
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        if rows.len() >= limits.rows {
            return Err(Failed::Ask(AskError::TooLarge(format!("{} rows", limits.rows))));
        }
        let mut cells = Vec::with_capacity(columns.len());
        for at in 0..columns.len() {
            let value = row.get_ref(at)?;
            // Before it is copied: a row may have a thousand values of the greatest length.
            bytes += size(value);
            if bytes > limits.bytes {
                return Err(Failed::Ask(AskError::TooLarge(format!("{} bytes", limits.bytes))));
            }
            cells.push(cell(value));
        }
        rows.push(cells);
    }
    Ok(Answer { columns, rows, cursors: Vec::new() })
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(integer) => Cell::Integer(integer),
        ValueRef::Real(real) => Cell::Real(real),
        ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
    }
}

fn size(value: ValueRef<'_>) -> usize {
    size_of::<Cell>()
        + match value {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
            _ => 0,
        }
}

/// Bounds the memory that SQLite takes in this process, for all connections of all its users together. The caches of
/// tables do not grow beyond `caches`; what goes beyond `all` fails, and a question then answers
/// `view_answer_too_large`.
///
/// # Errors
/// SQLite can't be asked.
pub fn limit_memory(caches: u64, all: u64) -> Result<(), AskError> {
    let set = || {
        let connection = Connection::open_in_memory()?;
        for (name, bytes) in [("hard_heap_limit", all), ("soft_heap_limit", caches)] {
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            connection.pragma_update(None, name, bytes)?;
        }
        Ok(())
    };
    set().map_err(of_file)
}

pub(crate) fn of_file(error: Error) -> AskError {
    AskError::File(message_of(&error))
}

pub(crate) fn of_sql(error: &Error, limits: AskLimits) -> AskError {
    match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => AskError::TimedOut(limits.time),
        Some(ErrorCode::TooBig) => AskError::TooLarge(format!("{} bytes", limits.bytes)),
        Some(ErrorCode::OutOfMemory) => {
            AskError::TooLarge("the memory that queries have".to_owned())
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::SystemIoFailure) => {
            AskError::File(message_of(error))
        }
        _ => AskError::Invalid(message_of(error)),
    }
}

fn message_of(error: &Error) -> String {
    match error {
        Error::SqliteFailure(_, Some(message)) => message.clone(),
        Error::SqlInputError { msg, .. } => msg.clone(),
        other => other.to_string(),
    }
}

/// Returns a path for the name of a database.
fn encoded(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-~:".contains(&byte);
    path.bytes().fold(String::new(), |mut text, byte| {
        match plain(byte) {
            true => text.push(char::from(byte)),
            false => text.push_str(&format!("%{byte:02X}")),
        }
        text
    })
}
