//! The clocks of a view and of its keys. Those that a batch uses are in memory, and are written at its end.

use std::collections::BTreeMap;

use leftfold_api::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, Error, OptionalExtension, Result, Row};

use crate::parameter::Value;

/// The most clocks of keys in memory.
const MAX_CLOCKS: usize = 10_000;

/// A clock as its table has it, and as it is.
#[derive(Debug, Clone, Copy, Default)]
struct Clock {
    saved: Option<Timestamp>,
    now: Option<Timestamp>,
}

impl Clock {
    fn advance(&mut self, time: Timestamp) {
        self.now = self.now.max(Some(time));
    }
}

pub(super) struct Clocks {
    of_view: Clock,
    of_keys: BTreeMap<Value<'static>, Clock>,
    has_keys: bool,
    idle: Option<i64>,
}

impl Clocks {
    pub(super) fn read(connection: &Connection, has_keys: bool, idle: Option<i64>) -> Result<Self> {
        let mut select =
            connection.prepare_cached("select value from _view where name = 'window_clock'")?;
        let saved = select.query_row([], time).optional()?;
        let of_view = Clock { saved, now: saved };
        Ok(Clocks { of_view, of_keys: BTreeMap::new(), has_keys, idle })
    }

    /// Returns the clock of a key.
    pub(super) fn clock(
        &mut self,
        connection: &Connection,
        key: &Value<'static>,
    ) -> Result<Option<Timestamp>> {
        let of_view = self.of_view.now;
        if !self.has_keys {
            return Ok(of_view);
        }
        let own = match self.of_keys.get(key) {
            Some(clock) => clock.now,
            None => {
                let mut select =
                    connection.prepare_cached("select clock from _clocks where key is ?1")?;
                let saved = select.query_row([key], time).optional()?;
                self.of_keys.insert(key.clone(), Clock { saved, now: saved });
                saved
            }
        };
        let idle = self.idle.zip(of_view).map(|(idle, clock)| super::before(clock, idle));
        Ok(own.max(idle))
    }

    /// Lets the clocks of the view and of a key show at least a time.
    pub(super) fn advance(&mut self, key: &Value<'static>, time: Timestamp) {
        self.of_view.advance(time);
        if let Some(clock) = self.of_keys.get_mut(key) {
            clock.advance(time);
        }
    }

    /// Writes the clocks if they take more memory than is allowed.
    pub(super) fn make_room(&mut self, connection: &Connection) -> Result<()> {
        match self.of_keys.len() < MAX_CLOCKS {
            true => Ok(()),
            false => self.write(connection),
        }
    }

    /// Writes the clocks that have advanced, and forgets those of keys.
    pub(super) fn write(&mut self, connection: &Connection) -> Result<()> {
        let text = |time: Timestamp| time.to_string();
        if self.of_view.now != self.of_view.saved {
            let sql = "insert or replace into _view values ('window_clock', ?1)";
            connection.prepare_cached(sql)?.execute([self.of_view.now.map(text)])?;
            self.of_view.saved = self.of_view.now;
        }
        for (key, clock) in std::mem::take(&mut self.of_keys) {
            let sql = match clock.saved {
                _ if clock.now == clock.saved => continue,
                None => "insert into _clocks (key, clock) values (?1, ?2)",
                Some(_) => "update _clocks set clock = ?2 where key is ?1",
            };
            connection.prepare_cached(sql)?.execute((key, clock.now.map(text)))?;
        }
        Ok(())
    }
}

/// Reads a time from the first column.
fn time(row: &Row<'_>) -> Result<Timestamp> {
    time_of(row, 0)
}

/// Reads a time from a column.
pub(super) fn time_of(row: &Row<'_>, column: usize) -> Result<Timestamp> {
    let text: String = row.get(column)?;
    text.parse().map_err(|invalid: leftfold_api::Invalid| {
        Error::FromSqlConversionFailure(column, Type::Text, invalid.to_string().into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_in_memory_are_bounded_and_none_is_lost() -> Result<()> {
        let connection = Connection::open_in_memory()?;
        connection.execute_batch(
            "create table _view (name text primary key, value text);
             create table _clocks (key primary key, clock text);",
        )?;
        let mut clocks = Clocks::read(&connection, true, None)?;
        let time = |key: i64| Timestamp(key * 1_000_000);
        let last = MAX_CLOCKS as i64 + 10;
        for key in 0..=last {
            clocks.make_room(&connection)?;
            assert_eq!(clocks.clock(&connection, &Value::Integer(key))?, None);
            clocks.advance(&Value::Integer(key), time(key));
            assert!(clocks.of_keys.len() <= MAX_CLOCKS);
        }
        clocks.write(&connection)?;
        let mut clocks = Clocks::read(&connection, true, None)?;
        for key in 0..=last {
            assert_eq!(clocks.clock(&connection, &Value::Integer(key))?, Some(time(key)));
        }
        Ok(())
    }
}
