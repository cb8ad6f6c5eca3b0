//! Applies events to the tables, within a transaction.

use std::collections::VecDeque;
use std::error::Error as StdError;
use std::future::poll_fn;
use std::task::Poll;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use leftfold_api::Recorded;
use tokio::time::timeout;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Error, Statement};

use super::error::{Failure, is_of_statement, is_timeout, message_of, no_answer};
use super::session::{ANSWER, execute};
use crate::definition::{BoundStatement, Definition, OnError};
use crate::parameter::Value;
use crate::sqlite::ApplyError;

/// How many statements may be on their way at the same time.
const PIPELINE: usize = 256;

/// A value as text, which PostgreSQL converts to the type that the statement needs.
#[derive(Debug)]
struct Text(Option<String>);

impl From<Option<&Value<'_>>> for Text {
    fn from(value: Option<&Value<'_>>) -> Self {
        Text(match value {
            None | Some(Value::Null) => None,
            Some(Value::Integer(integer)) => Some(integer.to_string()),
            Some(Value::Text(text)) => Some(text.clone().into_owned()),
        })
    }
}

impl ToSql for Text {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match &self.0 {
            Some(text) => {
                out.extend_from_slice(text.as_bytes());
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// A connection whose statements are prepared, and the definition that they are of.
#[derive(Clone, Copy)]
pub(super) struct Prepared<'a> {
    pub(super) client: &'a Client,
    pub(super) definition: &'a Definition,
    /// By handler.
    pub(super) statements: &'a [Vec<Statement>],
}

/// Why events were not applied.
pub(super) enum NotApplied {
    /// A statement fails on an event.
    Event {
        error: ApplyError,
        /// Whether it took too long, or may be the fault of another event: events are tried one by one then.
        is_timeout: bool,
    },
    /// The database fails.
    Database(Failure),
}

impl From<Failure> for NotApplied {
    fn from(failure: Failure) -> Self {
        NotApplied::Database(failure)
    }
}

impl From<Error> for NotApplied {
    fn from(error: Error) -> Self {
        NotApplied::Database(error.into())
    }
}

/// A statement for an event.
struct Step<'a> {
    statement: &'a Statement,
    values: Vec<Text>,
    of: Place<'a>,
}

/// The event and the line of the file that a statement is for.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) before: usize,
    pub(super) event: &'a Recorded,
    /// 0 in a view in Rust.
    pub(super) line: usize,
}

impl Place<'_> {
    pub(super) fn failed(self, reason: String, is_timeout: bool) -> NotApplied {
        let error = ApplyError::Event {
            before: self.before,
            position: self.event.position(),
            stream: self.event.stream().to_owned(),
            event_type: self.event.event_type().to_owned(),
            line: self.line,
            reason,
        };
        NotApplied::Event { error, is_timeout }
    }

    fn of_error(self, error: Error) -> NotApplied {
        if !is_of_statement(&error) {
            return error.into();
        }
        let is_timeout = is_timeout(&error);
        let reason = match is_timeout {
            true => "the statement does not come to an end; make it smaller".to_owned(),
            false => message_of(&error),
        };
        self.failed(reason, is_timeout)
    }
}

impl<'a> Prepared<'a> {
    /// Returns the statements for an event.
    fn steps(self, before: usize, event: &'a Recorded) -> Result<Vec<Step<'a>>, NotApplied> {
        let mut steps = Vec::new();
        let mut content = None;
        for (handler, statements) in self.definition.handlers.iter().zip(self.statements) {
            if !handler.handles(event.event_type()) {
                continue;
            }
            let (data, metadata) = content.get_or_insert_with(|| (event.data(), event.metadata()));
            let of = Place { before, event, line: handler.line };
            let values = handler.inputs.values(event, data, metadata);
            let values = values.map_err(|reason| of.failed(reason, false))?;
            for (BoundStatement { inputs, line, .. }, statement) in
                handler.statements.iter().zip(statements)
            {
                let values = inputs.iter().map(|input| values.get(*input).into()).collect();
                steps.push(Step { statement, values, of: Place { line: *line, ..of } });
            }
        }
        Ok(steps)
    }

    fn run(self, step: Step<'a>) -> BoxFuture<'a, Result<(), NotApplied>> {
        async move {
            let Step { statement, values, of } = step;
            let done = timeout(ANSWER, self.client.execute_raw(statement, values)).await;
            done.map_err(|_| no_answer())?.map(drop).map_err(|error| of.of_error(error))
        }
        .boxed()
    }

    /// Applies events without waiting for one statement before the next is sent. The first that fails is the cause of
    /// what comes behind it.
    pub(super) async fn apply(self, events: &'a [Recorded]) -> Result<(), NotApplied> {
        let mut running = VecDeque::with_capacity(PIPELINE);
        for (before, event) in events.iter().enumerate() {
            let steps = match self.steps(before, event) {
                Ok(steps) => steps,
                Err(failed) => {
                    // A statement of an event before it may fail, and comes first.
                    wait_for_all(&mut running, 0).await?;
                    return Err(failed);
                }
            };
            for step in steps {
                wait_for_all(&mut running, PIPELINE - 1).await?;
                let mut run = self.run(step);
                // The first poll sends it.
                let first = poll_fn(|context| Poll::Ready(run.as_mut().poll(context)));
                match first.await {
                    Poll::Ready(done) => {
                        wait_for_all(&mut running, 0).await?;
                        done?;
                    }
                    Poll::Pending => running.push_back(run),
                }
            }
        }
        wait_for_all(&mut running, 0).await
    }

    /// Applies events one by one. What fails is noted in `_errors` if the view skips it; what takes too long stops it.
    pub(super) async fn apply_one_by_one(
        self,
        events: &'a [Recorded],
        on_error: OnError,
    ) -> Result<(), NotApplied> {
        for (before, event) in events.iter().enumerate() {
            if on_error == OnError::Stop {
                self.apply_event(before, event).await?;
                continue;
            }
            execute(self.client, "savepoint event").await?;
            match self.apply_event(before, event).await {
                Err(NotApplied::Event {
                    error: ApplyError::Event { line, reason, .. },
                    is_timeout: false,
                }) => {
                    execute(self.client, "rollback to event").await?;
                    note(self.client, event, &format!("line {line}: {reason}")).await?;
                }
                done => done?,
            }
            execute(self.client, "release event").await?;
        }
        Ok(())
    }

    async fn apply_event(self, before: usize, event: &'a Recorded) -> Result<(), NotApplied> {
        for step in self.steps(before, event)? {
            self.run(step).await?;
        }
        Ok(())
    }
}

/// Waits for the oldest statements until at most this many are on their way.
async fn wait_for_all(
    running: &mut VecDeque<BoxFuture<'_, Result<(), NotApplied>>>,
    left: usize,
) -> Result<(), NotApplied> {
    while running.len() > left {
        let Some(oldest) = running.pop_front() else { break };
        oldest.await?;
    }
    Ok(())
}

/// Notes in `_errors` that an event was skipped.
pub(super) async fn note(client: &Client, event: &Recorded, reason: &str) -> Result<(), Failure> {
    let integer = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let note =
        "insert into _errors values ($1, $2, $3, $4, $5) on conflict (position) do update set
                stream = excluded.stream, version = excluded.version, type = excluded.type,
                reason = excluded.reason";
    // PostgreSQL's texts have no zeros.
    let reason = reason.replace('\0', "\u{fffd}");
    let (position, version) = (integer(event.position()), integer(event.version()));
    let (stream, kind) = (event.stream(), event.event_type());
    let values: [&(dyn ToSql + Sync); 5] = [&position, &stream, &version, &kind, &reason];
    timeout(ANSWER, client.execute(note, &values)).await.map_err(|_| no_answer())??;
    Ok(())
}
