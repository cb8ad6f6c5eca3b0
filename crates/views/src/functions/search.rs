//! `instr` and `replace` in linear time: those of SQLite compare at every place, and nothing ends them meanwhile.

use rusqlite::functions::Context;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Result};

use super::{PURE, too_big};

pub(super) fn add_to(connection: &Connection, longest: usize) -> Result<()> {
    connection.create_scalar_function("instr", 2, PURE, |context| {
        Ok(match (context.get_raw(0), context.get_raw(1)) {
            (ValueRef::Null, _) | (_, ValueRef::Null) => Value::Null,
            (ValueRef::Blob(within), ValueRef::Blob(what)) => {
                place(memchr::memmem::find(within, what))
            }
            _ => {
                let (within, what) = (text(context, 0), text(context, 1));
                place(within.find(&what).map(|at| within[..at].chars().count()))
            }
        })
    })?;
    connection.create_scalar_function("replace", 3, PURE, move |context| {
        if (0..3).any(|at| context.get_raw(at) == ValueRef::Null) {
            return Ok(Value::Null);
        }
        let (within, what) = (text(context, 0), text(context, 1));
        // As in SQLite, an empty text is nowhere.
        if what.is_empty() {
            return Ok(Value::Text(within));
        }
        let with = text(context, 2);
        // SQLite looks at the length of a result only once it is there.
        let places = within.matches(&what).count();
        let grown = places.saturating_mul(with.len().saturating_sub(what.len()));
        if within.len().saturating_add(grown) > longest {
            return Err(too_big());
        }
        Ok(Value::Text(within.replace(&what, &with)))
    })
}

/// Returns a place counted from 1, or 0 if there is none.
fn place(found: Option<usize>) -> Value {
    Value::Integer(found.map_or(0, |at| i64::try_from(at + 1).unwrap_or(i64::MAX)))
}

/// Returns an argument as SQLite turns it into a text.
pub(super) fn text(context: &Context<'_>, at: usize) -> String {
    match context.get_raw(at) {
        ValueRef::Null => String::new(),
        ValueRef::Integer(integer) => integer.to_string(),
        ValueRef::Real(real) => format!("{real:?}"),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            String::from_utf8_lossy(bytes).into_owned()
        }
    }
}
