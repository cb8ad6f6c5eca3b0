//! Values of events as parameters of SQLite.

use rusqlite::Result;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

use crate::parameter::Value;

impl ToSql for Value<'_> {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Integer(integer) => ValueRef::Integer(*integer),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}
