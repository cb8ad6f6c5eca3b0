//! The name of the outbox's table, and the SQL that makes one.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::super::ConnectorError;

/// The most bytes of a name in PostgreSQL, which cuts longer ones.
pub(super) const MOST_NAME: usize = 63;

/// The name of a table and its schema. Both are written with their case.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct TableName {
    schema: String,
    table: String,
}

impl TableName {
    /// Returns the name for SQL.
    pub(super) fn quoted(&self) -> String {
        // Neither part has a quote.
        format!("\"{}\".\"{}\"", self.schema, self.table)
    }

    /// Whether this is the name of the table of a schema.
    pub(super) fn is_of(&self, schema: &str, table: &str) -> bool {
        self.schema == schema && self.table == table
    }

    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// Returns the usual name of the table's publication. Publications have no schema.
    pub(super) fn publication(&self) -> String {
        match self.schema.as_str() {
            "public" => fitting(&self.table, "_leftfold"),
            schema => fitting(&format!("{schema}_{}", self.table), "_leftfold"),
        }
    }

    /// Returns the name of an index of the table, for SQL.
    fn index(&self, suffix: &str) -> String {
        format!("\"{}\"", fitting(&self.table, suffix))
    }
}

/// Returns a name with a suffix that PostgreSQL does not cut.
fn fitting(name: &str, suffix: &str) -> String {
    let mut base = name.to_owned();
    if base.len() + suffix.len() > MOST_NAME {
        // A cut name alone may be that of another table, which would then be taken for this one.
        let digest = Sha256::digest(base.as_bytes());
        base.truncate(30);
        base.extend(digest.iter().take(8).map(|byte| format!("{byte:02x}")));
    }
    base + suffix
}

impl Default for TableName {
    fn default() -> Self {
        TableName { schema: "public".to_owned(), table: "outbox".to_owned() }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

impl FromStr for TableName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (schema, table) = text.split_once('.').unwrap_or(("public", text));
        let is_name = |name: &str| {
            name.len() <= MOST_NAME
                && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
                && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        };
        match is_name(schema) && is_name(table) {
            true => Ok(TableName { schema: schema.to_owned(), table: table.to_owned() }),
            false => Err(format!(
                "{text:?} is no name of a table: expected TABLE or SCHEMA.TABLE, each of at most {MOST_NAME} letters, \
                 digits and _, without quotes"
            )),
        }
    }
}

impl TryFrom<String> for TableName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Returns the SQL that makes a table an outbox, and makes the table if it is missing. It may run again.
///
/// # Errors
/// The name is none of a table.
pub fn outbox_sql(table: &str) -> Result<String, ConnectorError> {
    let name: TableName = table.parse().map_err(ConnectorError::Definition)?;
    let (table, waiting, parked) =
        (name.quoted(), name.index("_leftfold"), name.index("_leftfold_parked"));
    // The default of event_time is a constant for the rows that are there; that of leftfold_xid writes the table anew.
    Ok(format!(
        "-- The outbox {name} for Leftfold. It may run again: what is there stays as it is.
create table if not exists {table} (
    id uuid primary key,
    aggregatetype text not null,
    aggregateid text not null,
    type text not null,
    payload jsonb not null
);
alter table {table} add column if not exists expected_version bigint;
alter table {table} add column if not exists event_time timestamptz default now();
alter table {table} add column if not exists relayed_at timestamptz;
alter table {table} add column if not exists leftfold_error text;
alter table {table} add column if not exists leftfold_xid xid8 not null default pg_current_xact_id();
alter table {table} add column if not exists leftfold_seq bigint generated always as identity;
create unique index if not exists {waiting} on {table} (leftfold_seq)
    where relayed_at is null;
create index if not exists {parked} on {table} (aggregatetype, aggregateid, leftfold_seq)
    where relayed_at is null and leftfold_error is not null;
"
    ))
}

/// Returns the SQL that publishes what is inserted into an outbox, for the mode `replication`. It may run again.
///
/// # Errors
/// The name is none of a table.
pub fn outbox_publication_sql(table: &str) -> Result<String, ConnectorError> {
    let name: TableName = table.parse().map_err(ConnectorError::Definition)?;
    let (table, publication) = (name.quoted(), name.publication());
    // The inserts into the partitions of a table are published as those into the table.
    Ok(format!(
        "-- The publication of the outbox {name}. The server needs wal_level = logical.
do $$ begin
    if not exists (select from pg_publication where pubname = '{publication}') then
        create publication \"{publication}\" for table {table}
            with (publish = 'insert', publish_via_partition_root = true);
    end if;
end $$;
"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_plain_name() {
        for (text, quoted) in [
            ("outbox", "\"public\".\"outbox\""),
            ("Shop.out_box2", "\"Shop\".\"out_box2\""),
            ("_", "\"public\".\"_\""),
        ] {
            assert_eq!(text.parse::<TableName>().unwrap().quoted(), quoted);
        }
        let long = "x".repeat(64);
        for wrong in
            ["", ".", "a.", ".b", "a.b.c", "a\"b", "a b", "1a", "a;drop table b", "ö", &long]
        {
            assert!(wrong.parse::<TableName>().is_err(), "{wrong}");
            assert!(outbox_sql(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_index_of_a_long_name_is_not_that_of_another_table() {
        let index = |last: &str| {
            let name = format!("{}{last}", "x".repeat(62));
            name.parse::<TableName>().unwrap().index("_leftfold_parked")
        };
        assert_ne!(index("a"), index("b"));
        assert!(index("a").len() <= MOST_NAME + 2);
        assert_eq!(TableName::default().index("_leftfold"), "\"outbox_leftfold\"");
    }
}
