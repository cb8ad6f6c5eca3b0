//! SQL functions of views: exact decimals, values of JSON, and windows of time.

mod clock;
mod decimal;
pub(crate) mod duration;
mod groups;
mod json;
mod patterns;
mod search;
pub(crate) mod windows;

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, Result, ffi};

/// The flags of a function whose result depends on its arguments alone.
pub(crate) const PURE: FunctionFlags = FunctionFlags::SQLITE_UTF8
    .union(FunctionFlags::SQLITE_DETERMINISTIC)
    .union(FunctionFlags::SQLITE_INNOCUOUS);

/// Adds the functions to a connection, whose limits are set before: none makes a value that is longer than they allow.
pub(crate) fn add_to(connection: &Connection) -> Result<()> {
    let longest = connection.limit(Limit::SQLITE_LIMIT_LENGTH)?;
    let longest = usize::try_from(longest).unwrap_or_default();
    decimal::add_to(connection)?;
    json::add_to(connection)?;
    patterns::add_to(connection)?;
    groups::add_to(connection, longest)?;
    search::add_to(connection, longest)?;
    windows::add_to(connection)?;
    crate::windows::add_to(connection)
}

/// Takes the clock from the functions of a connection.
pub(crate) fn take_clock_from(connection: &Connection) -> Result<()> {
    clock::take_from(connection)
}

/// Returns the error of a function.
fn failure(message: impl Into<String>) -> Error {
    Error::UserFunctionError(message.into().into())
}

/// Returns the error of a function whose result is longer than the limit of the connection.
fn too_big() -> Error {
    Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_TOOBIG), None)
}

/// Returns an argument as text, or `None` for NULL.
fn text(context: &Context<'_>, at: usize, function: &str) -> Result<Option<String>> {
    match context.get_raw(at) {
        ValueRef::Null => Ok(None),
        ValueRef::Integer(integer) => Ok(Some(integer.to_string())),
        ValueRef::Text(bytes) => Ok(Some(String::from_utf8_lossy(bytes).into_owned())),
        ValueRef::Real(_) => {
            let message =
                format!("{function} got a float, which is no exact value; keep it as text");
            Err(failure(message))
        }
        ValueRef::Blob(_) => Err(failure(format!("{function} got bytes; it takes a text"))),
    }
}
