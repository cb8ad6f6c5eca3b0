//! What a view's SQL for PostgreSQL may say, as far as its tokens tell it: PostgreSQL has no authorizer.

use super::lexer::{Dialect, Token, tokens_of};
use super::statement::Statement;
use crate::error::DefinitionError;

/// Functions whose result is no function of their arguments, or that reach beyond the tables.
const FUNCTIONS: [&str; 31] = [
    "clock_timestamp",
    "currval",
    "current_database",
    "current_query",
    "current_schemas",
    "current_setting",
    "cursor_to_xml",
    "database_to_xml",
    "gen_random_bytes",
    "gen_random_uuid",
    "inet_client_addr",
    "inet_client_port",
    "inet_server_addr",
    "inet_server_port",
    "lastval",
    "nextval",
    "now",
    "query_to_xml",
    "query_to_xml_and_xmlschema",
    "random",
    "random_normal",
    "schema_to_xml",
    "set_config",
    "setseed",
    "setval",
    "statement_timestamp",
    "table_to_xml",
    "timeofday",
    "transaction_timestamp",
    "ts_stat",
    "version",
];

/// The starts of the names of such functions.
const FAMILIES: [&str; 6] = ["dblink", "lo_", "loread", "lowrite", "txid_", "uuid"];

/// Words that are values of the moment or of the session.
const VALUES: [&str; 12] = [
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "localtime",
    "localtimestamp",
    "session_user",
    "system_user",
    "user",
];

/// Words of the head that take rows, or values of sequences, from elsewhere.
const OF_HEAD: [(&str, &str); 6] = [
    ("serial", "a sequence"),
    ("bigserial", "a sequence"),
    ("smallserial", "a sequence"),
    ("identity", "a sequence"),
    ("inherits", "rows of other tables"),
    ("tablespace", "a place outside of the schema"),
];

/// Schemas that every database has.
const SCHEMAS: [&str; 3] = ["public", "information_schema", "pg_catalog"];

/// A name or keyword of a statement.
struct Name {
    /// As PostgreSQL compares it.
    text: String,
    is_quoted: bool,
    /// What stands behind it.
    next: String,
    /// How many parentheses are open around it.
    depth: usize,
}

impl Name {
    fn is_word(&self, word: &str) -> bool {
        !self.is_quoted && self.text == word
    }
}

fn names(sql: &str) -> Vec<Name> {
    let tokens = tokens_of(Dialect::Postgres, sql).unwrap_or_default();
    let text = |at: usize| {
        let span = tokens.get(at).map(|token| token.span.clone());
        span.and_then(|span| sql.get(span)).unwrap_or_default()
    };
    let (mut names, mut depth) = (Vec::new(), 0usize);
    for (at, token) in tokens.iter().enumerate() {
        let name = match token.token {
            Token::Word => text(at).to_lowercase(),
            Token::Quoted => text(at).trim_matches('"').replace("\"\"", "\""),
            _ => {
                depth = match text(at) {
                    "(" => depth + 1,
                    ")" => depth.saturating_sub(1),
                    _ => depth,
                };
                continue;
            }
        };
        let is_quoted = token.token == Token::Quoted;
        names.push(Name { text: name, is_quoted, next: text(at + 1).to_owned(), depth });
    }
    names
}

/// Refuses names that lead out of the tables of the view, and values that no event decides.
fn check_names(statement: &Statement, names: &[Name]) -> Result<(), DefinitionError> {
    let refuse = |message: String| Err(DefinitionError::forbidden(statement.line, message));
    for name in names {
        let Name { text, is_quoted, next, .. } = name;
        if name.is_word("u") && next == "&" {
            return refuse(
                "names and texts with U& are not allowed; write them plainly".to_owned(),
            );
        }
        if matches!(&**text, "_view" | "_errors") {
            return refuse(format!("{text} belongs to the view's runner"));
        }
        if text.starts_with("pg_") {
            return refuse(format!(
                "{text} is not allowed: names with pg_ in front are PostgreSQL's own"
            ));
        }
        if next == "." && SCHEMAS.contains(&&**text) {
            return refuse(format!(
                "a statement uses the tables of its view alone, not those of {text}"
            ));
        }
        let is_function = next == "("
            && (FUNCTIONS.contains(&&**text)
                || FAMILIES.iter().any(|family| text.starts_with(family)));
        if is_function || (!is_quoted && VALUES.contains(&&**text)) {
            return refuse(format!(
                "{text} does not depend on the events alone; a view is a function of its events"
            ));
        }
    }
    Ok(())
}

/// Returns the names that stand in front of a dot: schemas, or tables.
#[cfg(feature = "postgres")]
pub(crate) fn qualifiers(sql: &str) -> impl Iterator<Item = String> {
    names(sql).into_iter().filter(|name| name.next == ".").map(|name| name.text)
}

/// Checks a statement behind `@on`.
pub(super) fn check_change(statement: &Statement) -> Result<(), DefinitionError> {
    check_names(statement, &names(&statement.text))
}

/// Checks a statement of the head: it makes a table, an index or a view.
pub(super) fn check_create(statement: &Statement) -> Result<(), DefinitionError> {
    let refuse = |message: &str| Err(DefinitionError::forbidden(statement.line, message));
    let names = names(&statement.text);
    let words: Vec<_> = names.iter().take(3).map(|name| &*name.text).collect();
    let is_table = matches!(words[..], ["create", "table", ..]);
    if !is_table
        && !matches!(words[..], ["create", "index" | "view", ..] | ["create", "unique", "index"])
    {
        return refuse(
            "the head of the file makes tables: create table, create index or create view",
        );
    }
    let has_select = is_table && names.iter().any(|name| name.is_word("as") && name.depth == 0);
    if statement.takes_rows_or_schema() || has_select {
        return refuse("a table has columns, and neither a schema nor the rows of a select");
    }
    if statement.created().is_some_and(|name| name.starts_with('_')) {
        return refuse("names with _ in front are reserved");
    }
    check_names(statement, &names)?;
    for (word, what) in OF_HEAD {
        // In quotes too: PostgreSQL makes no difference for serial.
        if is_table && names.iter().any(|name| name.text == word) {
            return refuse(&format!("{word} takes {what}, and is no name of a column here"));
        }
    }
    Ok(())
}
