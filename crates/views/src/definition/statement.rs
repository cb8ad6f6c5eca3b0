//! Statements of a view, with numbered parameters.

use super::lexer::{Dialect, Spanned, Token, tokens_of};
use super::postgres;
use crate::error::DefinitionError;
use crate::parameter::{Inputs, Parameter};

/// A statement and where it begins in the file.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    /// The text as it stands in the file, without the semicolon.
    pub(crate) text: String,
    /// The first line, from 1.
    pub(crate) line: usize,
    pub(crate) dialect: Dialect,
}

/// A statement that runs for an event.
#[derive(Debug, Clone)]
pub(crate) struct BoundStatement {
    /// The statement with numbers in the places of its parameters: `?1`, `?2`, or `$1`, `$2` for PostgreSQL.
    sql: String,
    /// For each parameter, its number among the handler's inputs.
    pub(crate) inputs: Vec<usize>,
    pub(crate) line: usize,
}

/// The longest SQL of a view, in bytes.
pub(crate) const MAX_SQL: usize = 1 << 20;

/// Splits SQL into its statements; `line` is the line of its first byte.
pub(crate) fn split(
    dialect: Dialect,
    sql: &str,
    line: usize,
) -> Result<Vec<Statement>, DefinitionError> {
    let at_line = |at: usize| line + sql.get(..at).unwrap_or_default().matches('\n').count();
    let tokens = tokens_of(dialect, sql).map_err(|unclosed| {
        DefinitionError::sql(at_line(unclosed.at), format!("a {} is not closed", unclosed.what))
    })?;
    let (mut statements, mut start, mut end) = (Vec::new(), None, 0);
    let mut push = |start: &mut Option<usize>, end: usize| {
        if let Some(start) = start.take() {
            let text = sql.get(start..end).unwrap_or_default().to_owned();
            statements.push(Statement { text, line: at_line(start), dialect });
        }
    };
    for token in tokens {
        match token.token {
            Token::Semicolon => push(&mut start, end),
            _ => {
                start.get_or_insert(token.span.start);
                end = token.span.end;
            }
        }
    }
    push(&mut start, end);
    Ok(statements)
}

impl Statement {
    /// Returns its tokens.
    pub(crate) fn tokens(&self) -> Vec<Spanned> {
        // It was split from SQL that has tokens.
        tokens_of(self.dialect, &self.text).unwrap_or_default()
    }

    /// Returns the first word, in lower case.
    pub(crate) fn verb(&self) -> String {
        let word = |byte: &char| byte.is_ascii_alphabetic();
        self.text.chars().take_while(word).collect::<String>().to_ascii_lowercase()
    }

    /// Returns the name of the table or view that the statement makes.
    pub(crate) fn created(&self) -> Option<&str> {
        let tokens = self.tokens();
        let mut words =
            tokens.iter().filter(|token| matches!(token.token, Token::Word | Token::Quoted));
        let word = |token: Option<&Spanned>| self.text.get(token?.span.clone());
        let what = word(words.nth(1))?;
        if !what.eq_ignore_ascii_case("table") && !what.eq_ignore_ascii_case("view") {
            return None;
        }
        let mut name = word(words.next())?;
        if name.eq_ignore_ascii_case("if") {
            name = word(words.nth(2))?;
        }
        Some(name.trim_matches(['"', '`', '[', ']']))
    }

    /// Whether a statement that makes a table names a schema, or fills it from a select.
    pub(crate) fn takes_rows_or_schema(&self) -> bool {
        let Some(name) = self.created() else { return false };
        let tokens = self.tokens();
        let text = |token: &Spanned| self.text.get(token.span.clone()).unwrap_or("");
        let bare = |text: &str| text.trim_matches(['"', '`', '[', ']']).to_owned();
        let of_view =
            super::words(&self.text).get(1).is_some_and(|what| what.eq_ignore_ascii_case("view"));
        // Behind `create table`, so that the table may have one of these names.
        let behind = tokens.iter().skip(2).skip_while(|token| bare(text(token)) != name).nth(1);
        behind.is_some_and(|next| {
            text(next) == "." || (!of_view && text(next).eq_ignore_ascii_case("as"))
        })
    }

    /// Refuses statements that change no rows. The authorizer of SQLite does not see all of them.
    fn check_verb(&self) -> Result<(), DefinitionError> {
        match self.verb().as_str() {
            "replace" if self.dialect == Dialect::Postgres => {
                let message = "PostgreSQL has no replace; use insert ... on conflict ... do update";
                Err(DefinitionError::forbidden(self.line, message))
            }
            "insert" | "replace" | "update" | "delete" | "with" => Ok(()),
            verb => {
                let message = format!(
                    "a statement behind @on changes rows: insert, update or delete, not {verb}"
                );
                Err(DefinitionError::forbidden(self.line, message))
            }
        }
    }

    /// Replaces the parameters by numbers.
    pub(crate) fn bind(&self, inputs: &mut Inputs) -> Result<BoundStatement, DefinitionError> {
        self.check_verb()?;
        if self.dialect == Dialect::Postgres {
            postgres::check_change(self)?;
        }
        if super::words(&self.text).iter().any(|word| word.eq_ignore_ascii_case("rollback")) {
            let message =
                "rollback would undo the events before it; use abort, fail, ignore or replace";
            return Err(DefinitionError::forbidden(self.line, message));
        }
        let (mut sql, mut of_event, mut at) = (String::new(), Vec::new(), 0);
        for token in self.tokens() {
            match token.token {
                Token::Parameter(path) => {
                    let parameter = Parameter::of(&path)
                        .map_err(|problem| DefinitionError::sql(self.line, problem))?;
                    sql.push_str(self.text.get(at..token.span.start).unwrap_or_default());
                    of_event.push(inputs.add(&parameter));
                    let sign = if self.dialect == Dialect::Postgres { '$' } else { '?' };
                    sql.push_str(&format!("{sign}{}", of_event.len()));
                    at = token.span.end;
                }
                Token::OtherParameter => {
                    let message = "parameters have the form :data.PATH; a ?, @ or $ outside of quotes has no meaning";
                    return Err(DefinitionError::sql(self.line, message));
                }
                _ => {}
            }
        }
        sql.push_str(self.text.get(at..).unwrap_or_default());
        Ok(BoundStatement { sql, inputs: of_event, line: self.line })
    }

    /// Refuses parameters: a statement that makes tables has no event.
    pub(crate) fn refuse_parameters(&self) -> Result<(), DefinitionError> {
        let is_parameter =
            |token: &Token| matches!(token, Token::Parameter(_) | Token::OtherParameter);
        match self.tokens().iter().any(|token| is_parameter(&token.token)) {
            true => {
                Err(DefinitionError::sql(self.line, "only statements behind @on have parameters"))
            }
            false => Ok(()),
        }
    }
}

impl BoundStatement {
    /// Returns the statement with numbered parameters.
    pub(crate) fn sql(&self) -> &str {
        &self.sql
    }
}
