//! Checks a view without a store: its statements against its tables, and its tests.

use leftfold_api::{Cursor, Origin, Recorded, Timestamp};
use leftfold_fold::view::{Saved, ViewError};
use serde::Serialize;

use crate::ask::{self, Cell};
use crate::definition::{Case, Definition, Expected, Given, Target};
use crate::error::DefinitionError;
use crate::parameter::{Inputs, Parameter, Value};
use crate::sqlite::{self, Rows};

/// The result of the tests of a view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TestReport {
    /// The test's title.
    pub title: String,
    /// Its line in the file.
    pub line: usize,
    /// What differs; empty if the test passed. Lines begin with `-` for what was expected and is not there,
    /// with `+` for what is there and was not expected.
    pub differences: Vec<String>,
}

impl TestReport {
    /// Whether the test passed.
    pub fn passed(&self) -> bool {
        self.differences.is_empty()
    }
}

/// The events of a test begin at this time, one a second, unless they say when they happened.
const FIRST: i64 = 1_704_067_200_000_000;

impl Definition {
    /// Checks the view: makes its tables in memory, prepares every statement, and runs its tests. A test that
    /// fails is no error; see [`TestReport::passed`]. Of a view in PostgreSQL nothing is run: see
    /// [`Definition::check_in_postgres`].
    ///
    /// # Errors
    /// The line of the file and what is wrong with it.
    pub fn check(&self) -> Result<Vec<TestReport>, DefinitionError> {
        if self.target != Target::Sqlite {
            return Ok(Vec::new());
        }
        drop(sqlite::in_memory(self)?);
        self.cases.iter().map(|case| self.run(case)).collect()
    }

    /// Checks a view in a PostgreSQL: in a schema of its own, of which nothing stays. Blocks its thread.
    ///
    /// # Errors
    /// The line of the file and what is wrong with it; or the database can't be used. No error has the URL.
    #[cfg(feature = "postgres")]
    pub fn check_in_postgres(&self, url: &str) -> Result<Vec<TestReport>, crate::ViewsError> {
        let url = crate::postgres::Url::parse(url, &"the URL of --postgres")?;
        Ok(pollster::block_on(crate::postgres::check(self, Some(url), None))?)
    }

    /// Returns the parameters that no event of the tests has, which may be misspelt.
    pub fn unused_paths(&self) -> Vec<String> {
        let of_handlers = self.handlers.iter().flat_map(|handler| {
            let unused = self.unused_of(&handler.inputs, |event_type| handler.handles(event_type));
            let place = format!("@on {}", handler.types.join(", "));
            unused.into_iter().map(move |parameter| format!("{parameter} in {place}"))
        });
        let of_window = self.window.iter().flat_map(|window| {
            let unused = self.unused_of(&window.key(), |event_type| self.is_handled(event_type));
            unused.into_iter().map(|parameter| format!("{parameter} in @window"))
        });
        of_handlers.chain(of_window).collect()
    }

    /// Returns the inputs that no event of the tests has, of some types. If no event has such a type, there are none.
    fn unused_of(&self, inputs: &Inputs, handles: impl Fn(&str) -> bool) -> Vec<String> {
        let mut is_found: Vec<_> = inputs.parameters().map(Parameter::is_of_windows).collect();
        let events = self.cases.iter().flat_map(|case| recorded(&case.given));
        let mut events = events.filter(|event| handles(event.event_type())).peekable();
        if events.peek().is_none() {
            return Vec::new();
        }
        for event in events {
            let (data, metadata) = (event.data(), event.metadata());
            let values = inputs.values(&event, &data, &metadata).unwrap_or_default();
            let set = values.iter().map(|value| *value != Value::Null);
            is_found.iter_mut().zip(set).for_each(|(found, set)| *found |= set);
        }
        let missing = inputs.parameters().zip(is_found).filter(|(_, found)| !found);
        missing.map(|(parameter, _)| parameter.to_string()).collect()
    }

    fn run(&self, case: &Case) -> Result<TestReport, DefinitionError> {
        let at = |line: usize, error: String| DefinitionError::sql(line, error);
        let mut rows = Rows::in_memory(self).map_err(|error| at(case.line, error.to_string()))?;
        let mut differences = Vec::new();
        let events = given_events(self, case);
        let last = events.last().map_or(0, Recorded::position);
        let to = Cursor::at(Origin { store: [0; 4], incarnation: [0; 4] }, last);
        let to = state_at(&self.name, &to).map_err(|error| at(case.line, error.to_string()))?;
        if let Err(error) = rows.apply(&events, None, &to) {
            differences.push(format!("the events can't be applied: {error}"));
            return Ok(TestReport { title: case.title.clone(), line: case.line, differences });
        }
        for expected in &case.expected {
            let answer = ask::all(rows.connection(), &expected.sql)
                .map_err(|error| at(expected.line, error.to_string()))?;
            let found: Vec<_> = answer.rows.iter().map(|row| line_of(row)).collect();
            report_difference(expected, &found, &mut differences);
        }
        Ok(TestReport { title: case.title.clone(), line: case.line, differences })
    }
}

/// Returns the events of a test that the view's query selects.
pub(crate) fn given_events(definition: &Definition, case: &Case) -> Vec<Recorded> {
    recorded(&case.given).filter(|event| definition.query.matches(event)).collect()
}

/// Adds how the rows of a question differ from those that are expected, if they do.
pub(crate) fn report_difference(
    expected: &Expected,
    found: &[String],
    differences: &mut Vec<String>,
) {
    let wanted: Vec<_> =
        expected.rows.iter().map(|row| normal(row)).filter(|row| !row.is_empty()).collect();
    if found != wanted {
        differences.push(format!("line {}: {}", expected.line, expected.sql));
        differences.extend(difference(&wanted, found));
    }
}

/// Returns the state of a view that begins after a cursor.
pub(crate) fn state_at(name: &str, cursor: &Cursor) -> Result<Saved, ViewError> {
    let made_by = format!("{name} {LOGIC}");
    serde_json::json!({ "made_by": made_by, "cursor": cursor.to_string(), "anchor": null })
        .to_string()
        .parse()
}

/// The version of the logic of all SQL views, as their runner knows it: the tables have the digest of their
/// definition.
pub(crate) const LOGIC: u32 = 1;

/// Returns the events of a test as a store would have them.
fn recorded(given: &[Given]) -> impl Iterator<Item = Recorded> {
    let mut versions = std::collections::HashMap::<&str, u64>::new();
    (1u64..).zip(given).filter_map(move |(position, given)| {
        let version = versions.entry(&given.stream).or_default();
        let micros = FIRST + i64::try_from(position).unwrap_or(0) * 1_000_000;
        let event = Recorded::from_parts(
            &given.stream,
            *version,
            position,
            Timestamp(micros),
            &given.event,
        );
        *version += 1;
        event.ok()
    })
}

/// Returns a row as the tests write it.
fn line_of(row: &[Cell]) -> String {
    let cells: Vec<_> = row.iter().map(ToString::to_string).collect();
    cells.join(" | ")
}

/// Returns an expected row without blanks around its cells.
fn normal(row: &str) -> String {
    let cells: Vec<_> = row.split('|').map(str::trim).collect();
    cells.join(" | ")
}

/// Returns the lines in which two lists differ, with what they share around them.
fn difference(wanted: &[String], found: &[String]) -> Vec<String> {
    let start = wanted.iter().zip(found).take_while(|(one, two)| one == two).count();
    let rest = |rows: &[String]| rows.get(start..).unwrap_or_default().to_vec();
    let (wanted_rest, found_rest) = (rest(wanted), rest(found));
    let end = wanted_rest
        .iter()
        .rev()
        .zip(found_rest.iter().rev())
        .take_while(|(one, two)| one == two)
        .count();
    let middle = |rows: &[String]| rows.get(..rows.len() - end).unwrap_or_default().to_vec();
    let shared = wanted.get(..start).unwrap_or_default().iter().map(|row| format!("  {row}"));
    let missing = middle(&wanted_rest).into_iter().map(|row| format!("- {row}"));
    let extra = middle(&found_rest).into_iter().map(|row| format!("+ {row}"));
    shared.chain(missing).chain(extra).collect()
}
