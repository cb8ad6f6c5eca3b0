//! Checks a view in PostgreSQL: its statements and its tests, in a transaction that is never committed.

use leftfold_api::Origin;
use leftfold_fold::view::ViewError;
use tokio::time::timeout;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::apply::{NotApplied, Prepared};
use super::error::{Failure, no_answer};
use super::schema::{Owner, make, of_statement, prepare_all};
use super::session::{ANSWER, connect, execute};
use super::url::Url;
use super::worker::Worker;
use crate::check::{TestReport, given_events, report_difference};
use crate::definition::{Case, Definition, Expected, Target};
use crate::error::DefinitionError;

/// Checks a view, in the database that it names unless there is a URL. `origin` is that of the store whose view it will
/// be. Nothing of it stays.
///
/// # Errors
/// The line of the file and what is wrong with it; the database can't be used, or has a schema of the view's name that
/// is not the store's.
pub(crate) async fn check(
    definition: &Definition,
    url: Option<Url>,
    origin: Option<Origin>,
) -> Result<Vec<TestReport>, Failure> {
    let url = match (url, &definition.target) {
        (Some(url), _) => url,
        (None, Target::Postgres(source)) => Url::of(source)?,
        (None, Target::Sqlite) => {
            return Err(
                ViewError::Target { message: "the view names no PostgreSQL".to_owned() }.into()
            );
        }
    };
    let definition = definition.clone();
    let check = async move || {
        let client = connect(&url).await?;
        if let Some(origin) = origin {
            let owner = Owner { view: definition.name().to_owned(), number: 0, origin };
            owner.check_free(&client).await?;
        }
        execute(&client, "begin").await?;
        // Two checks at the same time have two connections.
        let schema = client.query_one("select 'leftfold.check.' || pg_backend_pid()", &[]).await?;
        make(&client, &definition, schema.try_get(0)?).await?;
        let statements = prepare_all(&client, &definition).await?;
        let prepared =
            Prepared { client: &client, definition: &definition, statements: &statements };
        let mut reports = Vec::with_capacity(definition.cases.len());
        for case in &definition.cases {
            execute(&client, "savepoint test").await?;
            reports.push(run(prepared, case).await?);
            execute(&client, "rollback to test").await?;
        }
        Ok(reports)
    };
    Worker::default().call(check).await
}

async fn run(prepared: Prepared<'_>, case: &Case) -> Result<TestReport, Failure> {
    let mut differences = Vec::new();
    let events = given_events(prepared.definition, case);
    match prepared.apply_one_by_one(&events, prepared.definition.on_error).await {
        Ok(()) => {
            // Questions can change nothing, and the savepoint ends this.
            execute(prepared.client, "set transaction read only").await?;
            for expected in &case.expected {
                let found = ask(prepared.client, expected).await?;
                report_difference(expected, &found, &mut differences);
            }
        }
        Err(NotApplied::Event { error, .. }) => {
            differences.push(format!("the events can't be applied: {error}"));
        }
        Err(NotApplied::Database(failure)) => return Err(failure),
    }
    Ok(TestReport { title: case.title.clone(), line: case.line, differences })
}

/// Returns the rows of a question of a test, as a test writes them.
async fn ask(
    client: &Client,
    Expected { sql, line, .. }: &Expected,
) -> Result<Vec<String>, Failure> {
    let verb: String = sql.trim().chars().take_while(char::is_ascii_alphabetic).collect();
    if !["select", "with", "values"].iter().any(|known| verb.eq_ignore_ascii_case(known)) {
        let message = "a test expects the rows of one select";
        return Err(DefinitionError::forbidden(*line, message).into());
    }
    // It refuses several statements, which the next call would run.
    client.prepare(sql).await.map_err(|error| of_statement(error, *line))?;
    let answer = timeout(ANSWER, client.simple_query(sql)).await.map_err(|_| no_answer())?;
    let answer = answer.map_err(|error| of_statement(error, *line))?;
    let rows = answer.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let line = |row: &tokio_postgres::SimpleQueryRow| {
        let cells: Vec<_> = (0..row.len()).map(|at| row.get(at).unwrap_or("null")).collect();
        cells.join(" | ")
    };
    Ok(rows.map(line).collect())
}
