//! The tables of a view in Rust that are in PostgreSQL: a definition without statements for events.

use leftfold_api::Query;

use super::statement::split;
use super::{Definition, OnError, Statement, Target, postgres};
use crate::error::DefinitionError;

/// A view in Rust whose tables are in PostgreSQL.
pub(crate) struct CodeTables<'a> {
    pub(crate) name: &'a str,
    pub(crate) query: &'a Query,
    /// Where the URL of the database is, as behind `@target postgres`.
    pub(crate) source: &'a str,
    /// The statements that make the tables.
    pub(crate) sql: &'a str,
    pub(crate) logic: u32,
    pub(crate) on_error: OnError,
}

impl CodeTables<'_> {
    /// Returns the definition.
    ///
    /// # Errors
    /// The line of the SQL and what is wrong with it.
    pub(crate) fn definition(&self) -> Result<Definition, DefinitionError> {
        let of_view = |message| DefinitionError::new(1, message);
        let target = Target::parse(&format!("postgres {}", self.source)).map_err(of_view)?;
        target.check_name(self.name).map_err(of_view)?;
        if self.on_error == OnError::Park {
            let message = "events are parked in SQLite alone; a view in PostgreSQL stops or skips";
            return Err(of_view(message.to_owned()));
        }
        let tables = split(target.dialect(), self.sql, 1)?;
        tables.iter().try_for_each(Statement::refuse_parameters)?;
        tables.iter().try_for_each(postgres::check_create)?;
        if tables.is_empty() {
            return Err(of_view("the view makes no table: create table NAME (...)".to_owned()));
        }
        Ok(Definition {
            text: self.sql.to_owned(),
            name: self.name.to_owned(),
            query: self.query.clone(),
            target,
            on_error: self.on_error,
            logic: Some(self.logic),
            history: None,
            window: None,
            tables,
            handlers: Vec::new(),
            cases: Vec::new(),
        })
    }
}
