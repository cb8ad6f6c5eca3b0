//! The aggregates of JSON within bounds: those of SQLite look at the length of their result only once it is there.

use std::fmt::Write as _;

use parking_lot::Mutex;
use rusqlite::functions::{Aggregate, Context, FunctionFlags, SubType, WindowAggregate};
use rusqlite::limits::Limit;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Result};

use super::{PURE, too_big};

/// The subtype of a text that is JSON.
const JSON: std::ffi::c_uint = b'J' as std::ffi::c_uint;

/// Replaces the aggregates; none makes more than `longest` bytes.
pub(super) fn add_to(connection: &Connection, longest: usize) -> Result<()> {
    let flags =
        PURE.union(FunctionFlags::SQLITE_SUBTYPE).union(FunctionFlags::SQLITE_RESULT_SUBTYPE);
    for (name, shape, is_binary) in [
        ("json_group_array", Shape::Array, false),
        ("jsonb_group_array", Shape::Array, true),
        ("json_group_object", Shape::Object, false),
        ("jsonb_group_object", Shape::Object, true),
    ] {
        let arguments = if shape == Shape::Array { 1 } else { 2 };
        let group = Group { shape, is_binary, longest, writer: Mutex::default() };
        connection.create_window_function(name, arguments, flags, group)?;
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Array,
    Object,
}

/// One of the aggregates.
struct Group {
    shape: Shape,
    is_binary: bool,
    longest: usize,
    /// Writes values as JSON, as SQLite does. Opened with the first value that needs it.
    writer: Mutex<Option<Connection>>,
}

impl Group {
    /// Returns the JSON that an expression has for a value.
    fn evaluate<T: rusqlite::types::FromSql>(&self, sql: &str, value: ValueRef<'_>) -> Result<T> {
        let mut writer = self.writer.lock();
        let connection = match &*writer {
            Some(connection) => connection,
            None => {
                let opened = Connection::open_in_memory()?;
                let longest = i32::try_from(self.longest).unwrap_or(i32::MAX);
                opened.set_limit(Limit::SQLITE_LIMIT_LENGTH, longest)?;
                writer.insert(opened)
            }
        };
        let value = rusqlite::types::ToSqlOutput::Borrowed(value);
        connection.prepare_cached(sql)?.query_row([value], |row| row.get(0))
    }

    /// Returns a value as JSON.
    fn json(&self, context: &Context<'_>, at: usize) -> Result<String> {
        match context.get_raw(at) {
            ValueRef::Null => Ok("null".to_owned()),
            ValueRef::Integer(integer) => Ok(integer.to_string()),
            ValueRef::Text(text) if context.get_subtype(at) == JSON => {
                Ok(String::from_utf8_lossy(text).into_owned())
            }
            value => self.in_list("select json_array(?1)", value),
        }
    }

    /// Returns what a list of one value has between its brackets.
    fn in_list(&self, sql: &str, value: ValueRef<'_>) -> Result<String> {
        let mut list: String = self.evaluate(sql, value)?;
        list.pop();
        if !list.is_empty() {
            list.remove(0);
        }
        Ok(list)
    }

    /// Returns what a row adds, or `None` if it has no name.
    fn part(&self, context: &Context<'_>) -> Result<Option<String>> {
        if self.shape == Shape::Array {
            return self.json(context, 0).map(Some);
        }
        let name = context.get_raw(0);
        if name == ValueRef::Null {
            return Ok(None);
        }
        let mut part = self.in_list("select json_array(cast(?1 as text))", name)?;
        let value = self.json(context, 1)?;
        if part.len().saturating_add(value.len()) >= self.longest {
            return Err(too_big());
        }
        _ = write!(part, ":{value}");
        Ok(Some(part))
    }

    fn result(&self, parts: &str) -> Result<(Value, SubType)> {
        let (open, close) = if self.shape == Shape::Array { ('[', ']') } else { ('{', '}') };
        let json = format!("{open}{}{close}", parts.get(1..).unwrap_or_default());
        match self.is_binary {
            true => {
                let blob = self.evaluate("select jsonb(?1)", ValueRef::Text(json.as_bytes()))?;
                Ok((Value::Blob(blob), None))
            }
            false => Ok((Value::Text(json), Some(JSON))),
        }
    }
}

/// The parts are in one text, each behind a comma.
impl Aggregate<String, (Value, SubType)> for Group {
    fn init(&self, _: &mut Context<'_>) -> Result<String> {
        Ok(String::new())
    }

    fn step(&self, context: &mut Context<'_>, parts: &mut String) -> Result<()> {
        let Some(part) = self.part(context)? else { return Ok(()) };
        // The comma of the first one makes place for the brackets.
        if parts.len().saturating_add(part.len()).saturating_add(2) > self.longest {
            return Err(too_big());
        }
        parts.push(',');
        parts.push_str(&part);
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, parts: Option<String>) -> Result<(Value, SubType)> {
        self.result(&parts.unwrap_or_default())
    }
}

impl WindowAggregate<String, (Value, SubType)> for Group {
    fn value(&self, parts: Option<&mut String>) -> Result<(Value, SubType)> {
        self.result(parts.map(|parts| &**parts).unwrap_or_default())
    }

    fn inverse(&self, context: &mut Context<'_>, parts: &mut String) -> Result<()> {
        let Some(part) = self.part(context)? else { return Ok(()) };
        // Rows leave in the order in which they came.
        parts.drain(..(part.len() + 1).min(parts.len()));
        Ok(())
    }
}
