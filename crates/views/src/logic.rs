//! What makes the rows of a view: the statements of a file, or code.

use std::sync::Arc;

use leftfold_api::Query;
use leftfold_fold::view::ViewError;
use serde::{Deserialize, Serialize};

use crate::definition::{Definition, OnError, Target, UrlSource};
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

/// What is known of a view in Rust without its code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CodeVersion {
    /// The version of the code.
    pub(crate) logic: u32,
    /// The query of its events.
    pub(crate) query: String,
    /// The names of its tables and SQL views.
    pub(crate) tables: Vec<String>,
}

impl CodeVersion {
    /// Returns a comment that says what a view is, in the place of a file.
    pub(crate) fn text(&self, name: &str) -> String {
        let CodeVersion { logic, query, tables } = self;
        let tables = tables.join(", ");
        format!("-- @view {name}\n-- @query {query}\n-- In Rust, logic {logic}. Tables: {tables}\n")
    }
}

/// A view in Rust.
#[derive(Clone)]
pub(crate) struct RustLogic {
    name: String,
    query: Query,
    version: CodeVersion,
    /// Its code, if this process has it.
    pub(crate) code: Option<Arc<dyn TableView>>,
}

impl RustLogic {
    /// Returns the view of a version. The error is that of its query.
    pub(crate) fn new(
        name: &str,
        version: CodeVersion,
        code: Option<Arc<dyn TableView>>,
    ) -> Result<Self, ViewError> {
        let query = version.query.parse();
        let query = query.map_err(|error| {
            ViewError::event(format!("this release can't read the query of the view: {error}"))
        })?;
        Ok(RustLogic { name: name.to_owned(), query, version, code })
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
            Logic::Rust(_) => &Target::Sqlite,
        }
    }

    /// Returns the file, and where the URL of its database is, of a view in PostgreSQL.
    pub(crate) fn in_postgres(&self) -> Option<(&Definition, &UrlSource)> {
        match self {
            Logic::Sql(definition) => match definition.target() {
                Target::Postgres(source) => Some((definition, source)),
                Target::Sqlite => None,
            },
            Logic::Rust(_) => None,
        }
    }

    /// Returns what happens if an event can't be applied. Without its code, that is not known of a view in Rust, and
    /// no event is applied.
    pub(crate) fn on_error(&self) -> OnError {
        match self {
            Logic::Sql(definition) => definition.on_error(),
            Logic::Rust(view) => view.code.as_ref().map_or(OnError::Stop, |code| code.on_error()),
        }
    }

    /// Returns a text that differs if the rows may differ.
    pub(crate) fn digest(&self) -> String {
        match self {
            Logic::Sql(definition) => definition.digest(),
            Logic::Rust(view) => {
                let CodeVersion { logic, query, tables } = &view.version;
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

    /// Returns the error of a view in Rust whose code this process does not have.
    pub(crate) fn missing_code(&self) -> Option<ApplyError> {
        match self {
            Logic::Rust(view) if view.code.is_none() => Some(view.missing()),
            _ => None,
        }
    }
}
