//! The file of a view: directives in comments, tables, statements by event type, and tests.

mod case;
mod code;
mod lexer;
mod postgres;
mod sections;
mod statement;
mod target;
mod window;

use std::fmt;

use leftfold_api::Query;
use sha2::{Digest, Sha256};

pub(crate) use case::{Case, Expected, Given};
pub(crate) use code::CodeTables;
pub(crate) use lexer::{Token, tokens};
#[cfg(feature = "postgres")]
pub(crate) use postgres::qualifiers;
pub(crate) use sections::check_name;
pub(crate) use statement::{BoundStatement, MAX_SQL, Statement};
pub use target::{Target, UrlSource};
pub(crate) use window::{Shape, Window};

use crate::error::DefinitionError;
use crate::parameter::Inputs;

/// A view as its file says it.
///
/// Parsing it does not ask SQL whether the statements are right; [`Definition::check`] does.
///
/// ```
/// use leftfold_views::Definition;
///
/// let view = Definition::parse("
/// -- @view orders
/// -- @query category:order
/// create table orders (id text primary key, state text);
///
/// -- @on OrderPlaced
/// insert into orders values (:stream_id, 'placed');
///
/// -- @test a placed order
/// -- @given order-7 OrderPlaced {}
/// -- @expect select * from orders
/// -- 7 | placed
/// ")?;
/// assert_eq!(view.name(), "orders");
/// assert!(view.check().is_ok());
/// # Ok::<(), leftfold_views::DefinitionError>(())
/// ```
#[derive(Clone)]
pub struct Definition {
    text: String,
    pub(crate) name: String,
    pub(crate) query: Query,
    pub(crate) target: Target,
    pub(crate) on_error: OnError,
    /// The version of the code that makes the rows, if no statements do.
    pub(crate) logic: Option<u32>,
    /// The line of `@history`, if its tables keep their history.
    pub(crate) history: Option<usize>,
    /// The windows that its events are put into.
    pub(crate) window: Option<Window>,
    pub(crate) tables: Vec<Statement>,
    pub(crate) handlers: Vec<Handler>,
    pub(crate) cases: Vec<Case>,
}

/// What a view does with an event that its statements fail on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum OnError {
    /// Stops before it.
    #[default]
    Stop,
    /// Notes it in the table `_errors` and goes on. New tables that are built beside old ones stop all the same.
    Skip,
    /// Parks it: later events of its stream wait behind it until it is retried or skipped. New tables that are built
    /// beside old ones stop all the same.
    Park,
}

/// Returns the names and keywords of a question.
pub(crate) fn words(sql: &str) -> Vec<String> {
    let tokens = lexer::tokens(sql).unwrap_or_default();
    let names = tokens
        .into_iter()
        .filter(|token| matches!(token.token, lexer::Token::Word | lexer::Token::Quoted));
    names
        .filter_map(|token| sql.get(token.span))
        .map(|name| name.trim_matches(['"', '`', '[', ']']).to_owned())
        .collect()
}

/// Returns a question with tables named without their schemas, where that is for sure the name of a table: behind
/// `from` or `join`, or in front of a column. `is_table` is asked for a schema and a table.
pub(crate) fn without_schemas(sql: &str, is_table: impl Fn(&str, &str) -> bool) -> String {
    let tokens = lexer::tokens(sql).unwrap_or_default();
    let text = |at: Option<usize>| {
        at.and_then(|at| sql.get(tokens.get(at)?.span.clone())).unwrap_or_default()
    };
    let name = |at: usize| text(Some(at)).trim_matches(['"', '`', '[', ']']);
    let is_word = |at: Option<usize>, word: &str| text(at).eq_ignore_ascii_case(word);
    let (mut short, mut end) = (String::new(), 0);
    for (at, token) in tokens.iter().enumerate() {
        let (one, two) = (at.checked_sub(1), at.checked_sub(2));
        let is_source = (is_word(one, "from") && !is_word(two, "distinct")) || is_word(one, "join");
        let is_qualified = text(Some(at + 1)) == "." && is_table(name(at), name(at + 2));
        let is_of_column = text(Some(at + 3)) == "." && text(one) != ".";
        if is_qualified && (is_source || is_of_column) {
            short.push_str(sql.get(end..token.span.start).unwrap_or_default());
            end = tokens.get(at + 2).map_or(end, |table| table.span.start);
        }
    }
    short.push_str(sql.get(end..).unwrap_or_default());
    short
}

/// What happens for events of some types.
#[derive(Clone)]
pub(crate) struct Handler {
    /// The types; all of the query's if it is empty.
    pub(crate) types: Vec<String>,
    pub(crate) statements: Vec<BoundStatement>,
    pub(crate) inputs: Inputs,
    pub(crate) line: usize,
}

impl Handler {
    /// Whether an event of a type is one of the handler's.
    pub(crate) fn handles(&self, event_type: &str) -> bool {
        self.types.is_empty() || self.types.iter().any(|known| known == event_type)
    }
}

impl Definition {
    /// Parses the file of a view.
    ///
    /// # Errors
    /// The line and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, DefinitionError> {
        if text.len() > MAX_SQL {
            let message =
                format!("the file has {} bytes; at most {MAX_SQL} are allowed", text.len());
            return Err(DefinitionError::new(1, message));
        }
        sections::parse(text)
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the query of its events.
    pub fn query(&self) -> &Query {
        &self.query
    }

    /// Returns the database that has its tables.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Returns what it does with an event that its statements fail on.
    pub fn on_error(&self) -> OnError {
        self.on_error
    }

    /// Returns the file's text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether its tables keep their history, so that they can be asked as of a past moment. A change of a
    /// row then takes several times as long, and the file grows with the number of changes.
    pub fn has_history(&self) -> bool {
        self.history.is_some()
    }

    /// Whether statements run for events of a type.
    pub(crate) fn is_handled(&self, event_type: &str) -> bool {
        self.handlers.iter().any(|handler| handler.handles(event_type))
    }

    /// Returns the names of its tables and views.
    pub(crate) fn table_names(&self) -> Vec<&str> {
        self.tables.iter().filter_map(Statement::created).collect()
    }

    /// Returns the names of the tables with the history of its tables.
    pub(crate) fn history_names(&self) -> Vec<String> {
        let names = self.table_names();
        let names = names.iter().filter(|_| self.has_history());
        names.map(|name| format!("{name}_history")).collect()
    }

    /// Returns a digest of all that decides the rows: other rows come from another digest. Tests, comments and
    /// blanks do not count.
    pub fn digest(&self) -> String {
        let mut digest = Sha256::new();
        let mut part = |text: &str| {
            digest.update((text.len() as u64).to_le_bytes());
            digest.update(text.as_bytes());
        };
        part(&self.query.to_string());
        if let Target::Postgres(source) = &self.target {
            part(&format!("postgres {source}"));
        }
        if let Some(logic) = self.logic {
            part(&format!("rust {logic}"));
        }
        if self.has_history() {
            part("history");
        }
        if let Some(window) = &self.window {
            part("window");
            part(&window.to_string());
        }
        self.tables.iter().for_each(|table| part(&table.text));
        for handler in &self.handlers {
            part("on");
            handler.types.iter().for_each(|one| part(one));
            part("do");
            for statement in &handler.statements {
                part(statement.sql());
                for input in &statement.inputs {
                    part(
                        &handler
                            .inputs
                            .parameters()
                            .nth(*input)
                            .map(ToString::to_string)
                            .unwrap_or_default(),
                    );
                }
            }
        }
        let digest = digest.finalize();
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Definition").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_lose_their_schema_where_they_are_no_column() {
        let is_table = |schema: &str, table: &str| schema == "v" && ["t", "v"].contains(&table);
        for (sql, short) in [
            ("select v.t.a from v.t, v.v", "select t.a from t, v.v"),
            ("select v.v from v.v join \"v\".[t]", "select v.v from v join [t]"),
            ("select a is distinct from v.t from v . t", "select a is distinct from v.t from t"),
            ("select 'from v.t' from v.other", "select 'from v.t' from v.other"),
            ("select x.v.t.a from 'open", "select x.v.t.a from 'open"),
        ] {
            assert_eq!(without_schemas(sql, is_table), short);
        }
    }
}
