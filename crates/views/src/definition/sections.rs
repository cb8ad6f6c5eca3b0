//! Reads the directives of a view's file, and the SQL between them.

use std::collections::HashSet;

use leftfold_api::Query;

use super::case::{Case, Expected};
use super::lexer::Dialect;
use super::statement::split;
use super::window::{self, Window};
use super::{Definition, Handler, OnError, Target};
use crate::error::DefinitionError;
use crate::parameter::Inputs;

/// The longest name of a view: it is the name of a file too.
const MAX_NAME: usize = 64;
/// The directives, for messages.
const DIRECTIVES: &str =
    "@view, @query, @target, @history, @window, @on_error, @on, @test, @given and @expect";

/// What the lines belong to.
enum Section {
    /// Directives of the view, and its tables.
    Head,
    /// Statements for events of these types.
    On(Vec<String>),
    /// A test.
    Test(Case),
}

/// A file while it is read.
#[derive(Default)]
struct Reader {
    name: Option<String>,
    query: Vec<(String, usize)>,
    target: Option<Target>,
    /// With its line.
    on_error: Option<(OnError, usize)>,
    history: Option<usize>,
    window: Option<Window>,
    tables: Vec<super::Statement>,
    handlers: Vec<Handler>,
    cases: Vec<Case>,
    /// The SQL since the last directive, and the line of its start.
    sql: String,
    first_line: usize,
}

pub(super) fn parse(text: &str) -> Result<Definition, DefinitionError> {
    let mut reader = Reader { first_line: 1, ..Reader::default() };
    let (mut section, mut began) = (Section::Head, 1);
    for (number, line) in (1..).zip(text.split('\n')) {
        let comment = line.trim().strip_prefix("--").map(str::trim);
        if let (Section::Test(case), Some(row)) = (&mut section, comment)
            && !row.starts_with('@')
        {
            add_row(case, row, number)?;
            continue;
        }
        let directive = comment.and_then(|comment| comment.strip_prefix('@'));
        let Some(directive) = directive else {
            reader.sql.push_str(line);
            reader.sql.push('\n');
            continue;
        };
        let (word, value) = directive.split_once(char::is_whitespace).unwrap_or((directive, ""));
        let value = value.trim();
        let next = match (word, &mut section) {
            ("given", Section::Test(case)) => {
                case.add_given(value, number)?;
                None
            }
            ("expect", Section::Test(case)) => {
                let expected = Expected { sql: value.to_owned(), rows: Vec::new(), line: number };
                case.expected.push(expected);
                None
            }
            ("given" | "expect", _) => {
                let message = format!("@{word} stands behind @test TITLE");
                return Err(DefinitionError::new(number, message));
            }
            ("on", _) => Some(Section::On(types(value, number)?)),
            ("test", _) => Some(Section::Test(Case {
                title: value.to_owned(),
                line: number,
                given: Vec::new(),
                expected: Vec::new(),
            })),
            (_, Section::Head) => {
                reader.add_setting(word, value, number)?;
                None
            }
            _ => {
                let message = format!(
                    "@{word} is unknown here; the head of the file has the settings, and there are {DIRECTIVES}"
                );
                return Err(DefinitionError::new(number, message));
            }
        };
        match next {
            Some(next) => {
                let ended = std::mem::replace(&mut section, next);
                reader.end_section(ended, began)?;
                (reader.first_line, began) = (number + 1, number);
            }
            // A directive within a section takes a line of its SQL.
            None => reader.sql.push('\n'),
        }
    }
    reader.end_section(section, began)?;
    reader.finish(text)
}

fn types(value: &str, line: usize) -> Result<Vec<String>, DefinitionError> {
    let types: Vec<_> = value.split(',').map(|name| name.trim().to_owned()).collect();
    match types.as_slice() {
        [all] if all == "*" => Ok(Vec::new()),
        _ if types.iter().any(String::is_empty) => {
            let message =
                "@on names event types, such as OrderPlaced, OrderPaid; or * for all of the query";
            Err(DefinitionError::new(line, message))
        }
        _ => Ok(types),
    }
}

fn add_row(case: &mut Case, row: &str, line: usize) -> Result<(), DefinitionError> {
    match case.expected.last_mut() {
        Some(expected) => {
            expected.rows.push(row.to_owned());
            Ok(())
        }
        None if row.is_empty() => Ok(()),
        None => Err(DefinitionError::new(line, "a row stands behind @expect SELECT")),
    }
}

impl Reader {
    fn add_setting(&mut self, word: &str, value: &str, line: usize) -> Result<(), DefinitionError> {
        let again = || DefinitionError::new(line, format!("@{word} stands there twice"));
        match word {
            "view" => {
                if self.name.is_some() {
                    return Err(again());
                }
                check_name(value).map_err(|message| DefinitionError::new(line, message))?;
                self.name = Some(value.to_owned());
            }
            "query" => self.query.push((value.to_owned(), line)),
            "target" => {
                let target = Target::parse(value);
                let target = target.map_err(|message| DefinitionError::new(line, message))?;
                if self.target.replace(target).is_some() {
                    return Err(again());
                }
            }
            "history" if !value.is_empty() => {
                let message = format!("@history stands alone, not with '{value}'");
                return Err(DefinitionError::new(line, message));
            }
            "history" => {
                if self.history.replace(line).is_some() {
                    return Err(again());
                }
            }
            "window" => {
                if self.window.replace(window::parse(value, line)?).is_some() {
                    return Err(again());
                }
            }
            "on_error" => {
                let what = match value {
                    "stop" => OnError::Stop,
                    "skip" => OnError::Skip,
                    "park" => OnError::Park,
                    _ => {
                        let message = format!("@on_error is stop, skip or park, not '{value}'");
                        return Err(DefinitionError::new(line, message));
                    }
                };
                if self.on_error.replace((what, line)).is_some() {
                    return Err(again());
                }
            }
            _ => {
                let message = format!("@{word} is unknown; there are {DIRECTIVES}");
                return Err(DefinitionError::new(line, message));
            }
        }
        Ok(())
    }

    fn end_section(&mut self, section: Section, began: usize) -> Result<(), DefinitionError> {
        let dialect = self.target.as_ref().map_or(Dialect::Sqlite, Target::dialect);
        let statements = split(dialect, &std::mem::take(&mut self.sql), self.first_line)?;
        match section {
            Section::Head => {
                statements.iter().try_for_each(super::Statement::refuse_parameters)?;
                if dialect == Dialect::Postgres {
                    statements.iter().try_for_each(super::postgres::check_create)?;
                }
                self.tables = statements;
            }
            Section::On(types) => {
                let mut inputs = Inputs::default();
                let bound: Result<Vec<_>, _> =
                    statements.iter().map(|statement| statement.bind(&mut inputs)).collect();
                let statements = bound?;
                if statements.is_empty() {
                    return Err(DefinitionError::new(began, "no statement stands behind @on"));
                }
                self.handlers.push(Handler { types, statements, inputs, line: began });
            }
            Section::Test(case) => {
                if let Some(statement) = statements.first() {
                    let message = "a test has no statements of its own, only @given and @expect";
                    return Err(DefinitionError::new(statement.line, message));
                }
                if case.expected.is_empty() {
                    return Err(DefinitionError::new(
                        began,
                        "a test expects something: @expect SELECT",
                    ));
                }
                self.cases.push(case);
            }
        }
        Ok(())
    }

    fn finish(self, text: &str) -> Result<Definition, DefinitionError> {
        let missing = |what: &str| DefinitionError::new(1, format!("the file has no {what}"));
        let name = self.name.ok_or_else(|| missing("-- @view NAME"))?;
        let (text_of_query, line) = match self.query.as_slice() {
            [] => return Err(missing("-- @query QUERY")),
            [(_, line), ..] => {
                let parts: Vec<_> = self.query.iter().map(|(part, _)| part.as_str()).collect();
                (parts.join(" "), *line)
            }
        };
        let query: Query = text_of_query.parse().map_err(|invalid| {
            DefinitionError::new(line, format!("the query is wrong: {invalid}"))
        })?;
        let target = self.target.unwrap_or_default();
        target.check_name(&name).map_err(|message| DefinitionError::new(1, message))?;
        let of_sqlite = [
            self.history.map(|line| ("@history", line)),
            self.window.as_ref().map(|window| ("@window", window.line)),
            self.on_error.filter(|it| it.0 == OnError::Park).map(|it| ("@on_error park", it.1)),
        ];
        if let (Target::Postgres(_), Some((what, line))) =
            (&target, of_sqlite.into_iter().flatten().next())
        {
            let message = format!("{what} needs SQLite; views in PostgreSQL do not have it");
            return Err(DefinitionError::new(line, message));
        }
        if self.tables.is_empty() {
            return Err(missing("table: create table NAME (...)"));
        }
        if self.handlers.is_empty() {
            return Err(missing("-- @on TYPE with statements behind it"));
        }
        let mut known = HashSet::new();
        for handler in &self.handlers {
            if let Some(twice) = handler.types.iter().find(|one| !known.insert(one.as_str())) {
                let message = format!("{twice} has statements already; one @on has all of a type");
                return Err(DefinitionError::new(handler.line, message));
            }
        }
        window::check_parameters(self.window.as_ref(), &self.handlers)?;
        Ok(Definition {
            text: text.to_owned(),
            name,
            query,
            target,
            on_error: self.on_error.map(|it| it.0).unwrap_or_default(),
            logic: None,
            history: self.history,
            window: self.window,
            tables: self.tables,
            handlers: self.handlers,
            cases: self.cases,
        })
    }
}

/// Checks the name of a view: it is part of file names, streams and SQL.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let fits = |byte: u8| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if matches!(name, "main" | "temp") {
        return Err(format!("'{name}' can't be the name of a view: SQLite has it for itself"));
    }
    if begins && name.len() <= MAX_NAME && name.bytes().all(fits) {
        return Ok(());
    }
    Err(format!(
        "'{name}' can't be the name of a view: small letters, digits and _, a letter first, at most {MAX_NAME}"
    ))
}
