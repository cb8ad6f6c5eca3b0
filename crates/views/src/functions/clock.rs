//! The time functions of SQLite, without the clock: a view is a function of the facts.

use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::functions::Context;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Result, params_from_iter};

use super::{PURE, failure};

const FUNCTIONS: [&str; 7] =
    ["date", "time", "datetime", "julianday", "unixepoch", "strftime", "timediff"];

/// Replaces the functions by such that refuse `now`. They are computed by a connection of their own.
pub(super) fn take_from(connection: &Connection) -> Result<()> {
    let plain = Arc::new(Mutex::new(Connection::open_in_memory()?));
    for name in FUNCTIONS {
        let plain = plain.clone();
        connection.create_scalar_function(name, -1, PURE, move |context| {
            compute(&plain.lock(), name, context)
        })?;
    }
    Ok(())
}

fn compute(plain: &Connection, name: &str, context: &Context<'_>) -> Result<Value> {
    let first_time = usize::from(name == "strftime");
    let is_now = |at: usize| matches!(context.get_raw(at), ValueRef::Text(text) if text.trim_ascii().eq_ignore_ascii_case(b"now"));
    if context.len() <= first_time || (0..context.len()).any(is_now) {
        let message =
            format!("{name} would take the time of day; a view is a function of its events");
        return Err(failure(message));
    }
    let marks = vec!["?"; context.len()].join(",");
    let arguments = (0..context.len()).map(|at| ToSqlOutput::Borrowed(context.get_raw(at)));
    let mut statement = plain.prepare_cached(&format!("select {name}({marks})"))?;
    statement.query_row(params_from_iter(arguments), |row| {
        Ok(match row.get_ref(0)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(integer) => Value::Integer(integer),
            ValueRef::Real(real) => Value::Real(real),
            // The format of strftime may hold any bytes.
            ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
        })
    })
}
