//! The history of tables: for each table `T` of a view with `@history`, the table `T_history` has every version of
//! its rows, and from when to when it was there.
//!
//! Triggers write it. They close the version of a row that is changed or gone, and open one for a row that is new or
//! changed. A version that the same event opened is removed in place of being closed: nobody can ask for what was there
//! within an event. A row is known by its row id, or by its primary key if the table has no row ids.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use leftfold_api::Recorded;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::{Connection, Result};

use super::quoted;

/// What the names of the triggers, and of the functions for them, begin with.
pub(super) const PREFIX: &str = "_history_";

/// The names by which SQLite knows the row id, unless a column has the name.
const ROW_IDS: [&str; 3] = ["rowid", "_rowid_", "oid"];

/// The event that is being applied, as the triggers ask for it.
#[derive(Debug, Clone, Default)]
pub(super) struct Moment(Arc<(AtomicI64, AtomicI64)>);

impl Moment {
    /// Adds the functions that the triggers call, and lets triggers see the rows that `or replace` removes.
    pub(super) fn add_to(connection: &Connection) -> Result<Self> {
        connection.pragma_update(None, "recursive_triggers", true)?;
        let moment = Moment::default();
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS;
        let of = moment.0.clone();
        let position = move |_: &mut Context<'_>| Ok(of.0.load(Ordering::Relaxed));
        connection.create_scalar_function("_history_position", 0, flags, position)?;
        let of = moment.0.clone();
        let time = move |_: &mut Context<'_>| Ok(of.1.load(Ordering::Relaxed));
        connection.create_scalar_function("_history_time", 0, flags, time)?;
        Ok(moment)
    }

    /// Says which event is applied.
    pub(super) fn set(&self, event: &Recorded) {
        let position = i64::try_from(event.position()).unwrap_or(i64::MAX);
        self.0.0.store(position, Ordering::Relaxed);
        self.0.1.store(event.commit_time().micros(), Ordering::Relaxed);
    }
}

/// A table of the user's, as its history needs to know it.
struct Table {
    name: String,
    columns: Vec<Column>,
    /// The names by which a row is known, in the table and in its history.
    key: Vec<(String, String)>,
}

struct Column {
    name: String,
    /// Its type and collation, without constraints.
    declared: String,
}

/// Makes the histories of all tables; the error has the name of the table.
pub(super) fn make(connection: &Connection) -> Result<(), (String, rusqlite::Error)> {
    let tables = tables(connection).map_err(|error| (String::new(), error))?;
    for (name, has_no_rowid, is_strict) in tables {
        let made = Table::read(connection, &name, has_no_rowid, is_strict)
            .and_then(|table| connection.execute_batch(&table.history()));
        made.map_err(|error| (name, error))?;
    }
    Ok(())
}

/// Returns the names of all histories.
pub(super) fn names(connection: &Connection) -> Result<Vec<String>> {
    Ok(tables(connection)?.into_iter().map(|(name, ..)| format!("{name}_history")).collect())
}

/// Returns the tables of the user's, whether each has no row ids, and whether it is strict.
fn tables(connection: &Connection) -> Result<Vec<(String, bool, bool)>> {
    let mut select = connection.prepare(
        "select name, wr, strict from pragma_table_list where schema = 'main' and type = 'table'
         and substr(name, 1, 1) <> '_' and lower(substr(name, 1, 7)) <> 'sqlite_'",
    )?;
    let found = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    found.collect()
}

impl Table {
    fn read(
        connection: &Connection,
        table: &str,
        has_no_rowid: bool,
        is_strict: bool,
    ) -> Result<Self> {
        let mut select =
            connection.prepare("select name, type, pk > 0 from pragma_table_xinfo(?1)")?;
        let found = select.query_map([table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let found: Vec<(String, String, bool)> = found.collect::<Result<_>>()?;
        let (mut columns, mut key) = (Vec::with_capacity(found.len()), Vec::new());
        let is_free = |id: &&str| !found.iter().any(|(name, ..)| name.eq_ignore_ascii_case(id));
        match ROW_IDS.iter().find(|id| is_free(id)) {
            Some(id) if !has_no_rowid => key.push(((*id).to_owned(), "_rowid".to_owned())),
            _ => {
                let of_key = found.iter().filter(|(_, _, is_of_key)| *is_of_key);
                key.extend(of_key.map(|(name, ..)| (quoted(name), quoted(name))));
            }
        }
        for (name, declared, _) in &found {
            let (_, collation, ..) = connection.column_metadata(Some("main"), table, &**name)?;
            let collation = collation.map(|name| name.to_string_lossy().into_owned());
            let collation = collation.unwrap_or_else(|| "binary".to_owned());
            let affinity = affinity(declared, is_strict);
            let declared = format!("{affinity} collate {}", quoted(&collation));
            columns.push(Column { name: quoted(name), declared });
        }
        Ok(Table { name: table.to_owned(), columns, key })
    }

    /// Returns the SQL that makes the history and its triggers.
    fn history(&self) -> String {
        let (table, history) = (quoted(&self.name), quoted(&format!("{}_history", self.name)));
        let list = |parts: Vec<String>| parts.join(", ");
        let of_columns = |part: &dyn Fn(&Column) -> String| self.columns.iter().map(part).collect();
        let has_row_id = self.key.iter().any(|(_, name)| name == "_rowid");
        let row_id = |text: &str| if has_row_id { text.to_owned() } else { String::new() };
        let declared: Vec<_> = of_columns(&|one| format!("{} {}", one.name, one.declared));
        let new: Vec<_> = of_columns(&|one| format!("new.{}", one.name));
        let names: Vec<_> = of_columns(&|one| one.name.clone());
        let (declared, names) = (list(declared), list(names));
        // Values that are the same byte by byte are those of one row, whatever the collation.
        let indexed =
            list(self.key.iter().map(|(_, name)| format!("{name} collate binary")).collect());
        let same = self.key.iter().map(|(of, name)| format!("{name} collate binary is old.{of}"));
        let is_open = format!("{} and valid_to is null", same.collect::<Vec<_>>().join(" and "));
        let id = self.key.first().map(|(of, _)| format!("new.{of}, ")).unwrap_or_default();
        let open = format!(
            "insert into {history} ({names}, {of_id}valid_from, valid_from_time)
             values ({new}, {id}_history_position(), _history_time());",
            of_id = row_id("_rowid, "),
            new = list(new),
            id = row_id(&id),
        );
        let close = format!(
            "delete from {history} where {is_open} and valid_from = _history_position();
             update {history} set valid_to = _history_position(), valid_to_time = _history_time()
             where {is_open};"
        );
        let trigger = |what: &str, body: &str| {
            let name = quoted(&format!("{PREFIX}{}_{what}", self.name));
            format!("create trigger {name} after {what} on {table} begin {body} end;")
        };
        let index = quoted(&format!("{PREFIX}{}_open", self.name));
        [
            format!(
                "create table {history} ({declared}, {id}valid_from integer not null, valid_to integer,
                 valid_from_time integer not null, valid_to_time integer);",
                id = row_id("_rowid integer, "),
            ),
            format!("create unique index {index} on {history} ({indexed}) where valid_to is null;"),
            trigger("insert", &open),
            trigger("update", &format!("{close} {open}")),
            trigger("delete", &close),
        ]
        .join("\n")
    }
}

/// Returns a type that converts values as a declared type does: <https://sqlite.org/datatype3.html>, 3.1.
fn affinity(declared: &str, is_strict: bool) -> &'static str {
    let declared = declared.to_ascii_uppercase();
    let has = |parts: &[&str]| parts.iter().any(|part| declared.contains(part));
    match () {
        () if is_strict && declared == "ANY" => "blob",
        () if has(&["INT"]) => "integer",
        () if has(&["CHAR", "CLOB", "TEXT"]) => "text",
        () if declared.is_empty() || has(&["BLOB"]) => "blob",
        () if has(&["REAL", "FLOA", "DOUB"]) => "real",
        () => "numeric",
    }
}
