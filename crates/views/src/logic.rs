//! What makes the rows of a view: the statements of a file, or code.

use std::sync::Arc;

use leftfold_api::Query;
use leftfold_fold::view::ViewError;
use serde::{Deserialize, Serialize};

use crate::definition::{CodeTables, Definition, OnError, Target, UrlSource};
#[cfg(feature = "postgres")]
use crate::postgres_view::PostgresCode;
use crate::sqlite::ApplyError;
use crate::table_view::TableView;

/// What makes the rows of a view.
#[derive(Clone)]
pub(crate) enum Logic {
    /// The statements of a file.
    Sql(Definition),
    /// Code of a program.
    Rust(RustLogic),
}

/// The code of a view in Rust.
#[derive(Clone)]
pub(crate) enum Code {
    Sqlite(Arc<dyn TableView>),
    #[cfg(feature = "postgres")]
    Postgres(Arc<dyn PostgresCode>),
}

impl Code {
    fn on_error(&self) -> OnError {
        match self {
            Code::Sqlite(view) => view.on_error(),
            #[cfg(feature = "postgres")]
            Code::Postgres(view) => view.on_error(),
        }
    }
}

/// What is known of a view in Rust without its code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CodeVersion {
    /// The version of the code.
    pub(crate) logic: u32,
    /// The query of its events.
    pub(crate) query: String,
    /// The names of its tables and SQL views.
    pub(crate) tables: Vec<String>,
    /// Where they are, unless they are in SQLite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) postgres: Option<InPostgres>,
}

/// The tables of a view in Rust that are in PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InPostgres {
    /// Where the URL of the database is.
    pub(crate) source: String,
    /// The statements that make the tables.
    pub(crate) sql: String,
}

impl CodeVersion {
    /// Returns a comment that says what a view is, in the place of a file.
    pub(crate) fn text(&self, name: &str) -> String {
        let CodeVersion { logic, query, tables, postgres } = self;
        let tables = tables.join(", ");
        let target = postgres.as_ref().map(|it| format!("-- @target postgres {}\n", it.source));
        let target = target.unwrap_or_default();
        format!(
            "-- @view {name}\n{target}-- @query {query}\n-- In Rust, logic {logic}. Tables: {tables}\n"
        )
    }
}

/// A view in Rust.
#[derive(Clone)]
pub(crate) struct RustLogic {
    name: String,
    query: Query,
    version: CodeVersion,
    /// Its tables, if they are in PostgreSQL.
    in_postgres: Option<Box<Definition>>,
    /// Its code, if this process has it.
    pub(crate) code: Option<Code>,
}

impl RustLogic {
    /// Returns the view of a version. The error is that of its query, or of its tables in PostgreSQL.
    pub(crate) fn new(
        name: &str,
        version: CodeVersion,
        code: Option<Code>,
    ) -> Result<Self, ViewError> {
        let query = version.query.parse::<Query>();
        let query = query.map_err(|error| {
            ViewError::event(format!("this release can't read the query of the view: {error}"))
        })?;
        let on_error = code.as_ref().map_or(OnError::Stop, Code::on_error);
        let tables = |InPostgres { source, sql }: &InPostgres| {
            let logic = version.logic;
            let tables = CodeTables { name, query: &query, source, sql, logic, on_error };
            tables.definition().map(Box::new)
        };
        let in_postgres = version.postgres.as_ref().map(tables).transpose();
        let in_postgres = in_postgres.map_err(|error| {
            ViewError::event(format!("this release can't read the tables of the view: {error}"))
        })?;
        Ok(RustLogic { name: name.to_owned(), query, version, in_postgres, code })
    }

    /// Returns the error for code that is not there.
    pub(crate) fn missing(&self) -> ApplyError {
        ApplyError::CodeMissing { view: self.name.clone(), logic: self.version.logic }
    }
}

impl Logic {
    pub(crate) fn name(&self) -> &str {
        match self {
            Logic::Sql(definition) => definition.name(),
            Logic::Rust(view) => &view.name,
        }
    }

    /// Returns the query of its events.
    pub(crate) fn query(&self) -> &Query {
        match self {
            Logic::Sql(definition) => definition.query(),
            Logic::Rust(view) => &view.query,
        }
    }

    /// Returns where its tables are.
    pub(crate) fn target(&self) -> &Target {
        match self {
            Logic::Sql(definition) => definition.target(),
            Logic::Rust(view) => view.in_postgres.as_ref().map_or(&Target::Sqlite, |it| &it.target),
        }
    }

    /// Returns the tables, and where the URL of their database is, of a view in PostgreSQL.
    pub(crate) fn in_postgres(&self) -> Option<(&Definition, &UrlSource)> {
        let definition = match self {
            Logic::Sql(definition) => definition,
            Logic::Rust(view) => view.in_postgres.as_deref()?,
        };
        match definition.target() {
            Target::Postgres(source) => Some((definition, source)),
            Target::Sqlite => None,
        }
    }

    /// Returns the code that fills tables in PostgreSQL.
    #[cfg(feature = "postgres")]
    pub(crate) fn postgres_code(&self) -> Option<Arc<dyn PostgresCode>> {
        match self {
            Logic::Rust(RustLogic { code: Some(Code::Postgres(code)), .. }) => Some(code.clone()),
            _ => None,
        }
    }

    /// Returns what happens if an event can't be applied. Without its code, that is not known of a view in Rust, and
    /// no event is applied.
    pub(crate) fn on_error(&self) -> OnError {
        match self {
            Logic::Sql(definition) => definition.on_error(),
            Logic::Rust(view) => view.code.as_ref().map_or(OnError::Stop, Code::on_error),
        }
    }

    /// Returns a text that differs if the rows may differ.
    pub(crate) fn digest(&self) -> String {
        match self {
            Logic::Sql(definition) => definition.digest(),
            Logic::Rust(view) => {
                let CodeVersion { logic, query, tables, .. } = &view.version;
                format!("rust {logic} {} {query}", tables.join(","))
            }
        }
    }

    /// Returns the names of its tables and SQL views.
    pub(crate) fn table_names(&self) -> Vec<&str> {
        match self {
            Logic::Sql(definition) => definition.table_names(),
            Logic::Rust(view) => view.version.tables.iter().map(String::as_str).collect(),
        }
    }

    /// Returns the names of the tables with the history of its tables.
    pub(crate) fn history_names(&self) -> Vec<String> {
        match self {
            Logic::Sql(definition) => definition.history_names(),
            Logic::Rust(_) => Vec::new(),
        }
    }

    /// Whether its tables keep their history.
    pub(crate) fn has_history(&self) -> bool {
        matches!(self, Logic::Sql(definition) if definition.has_history())
    }

    /// Whether its events are put into windows.
    pub(crate) fn has_windows(&self) -> bool {
        matches!(self, Logic::Sql(definition) if definition.window.is_some())
    }

    /// Returns the error of a view in Rust whose code this process does not have.
    pub(crate) fn missing_code(&self) -> Option<ApplyError> {
        match self {
            Logic::Rust(view) if view.code.is_none() => Some(view.missing()),
            _ => None,
        }
    }
}
