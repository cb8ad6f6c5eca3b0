//! Events that a view can't apply: they are noted in `_errors`, and a parked one holds back the later events of its
//! stream.
//!
//! Requests to retry and to skip are events of the view's own stream, which the view reads along with its other
//! events. So each takes effect once, at its place in the log, and tables that are built again come out the same.

use std::collections::{HashMap, VecDeque};

use leftfold_api::{Query, Recorded};
use rusqlite::{Connection, OptionalExtension, Params, Row, Transaction};

use super::applier::BatchRun;
use super::guard::StepLimit;
use super::history::Moment;
use super::rows::Failed;
use crate::definition::OnError;

/// The most events of a view that are parked, or wait behind parked ones.
pub(crate) const MAX_WAITING: u64 = 100_000;
/// The longest reason that is noted, in bytes.
const LONGEST_REASON: usize = 1_000;
/// Makes the table of the events that could not be applied, and the index of those that wait.
pub(super) fn make(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "create table _errors (
            position integer not null, stream text not null, version integer not null, type text not null,
            reason text not null, state text not null, primary key (stream, version)
        ) without rowid;
        create index _errors_waiting on _errors (stream, version) where state <> 'skipped';",
    )
}

/// Returns how many events are parked, or wait behind parked ones.
pub(super) fn count_waiting(connection: &Connection) -> rusqlite::Result<u64> {
    let count = "select count(*) from _errors where state <> 'skipped'";
    connection.prepare_cached(count)?.query_row([], |row| number(row, 0))
}

/// What an operator asks of parked events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// To try them again: those of a stream, or all.
    Retry(Option<String>),
    /// To leave out the parked event of a stream that has this version.
    Skip(String, u64),
}

/// Reads events of a stream from a version on, and blocks meanwhile.
type ReadStream = dyn Fn(&str, u64) -> Result<Vec<Recorded>, String> + Send;

/// Where a view finds the requests of operators, and the events that they are about.
pub(crate) struct Requests {
    /// The view's own stream.
    pub(crate) stream: String,
    /// The version of the definition in it: earlier requests were about other tables.
    pub(crate) after: u64,
    pub(crate) decode: fn(&Recorded) -> Option<Request>,
    pub(crate) read: Box<ReadStream>,
}

/// Events of a batch whose statements ended the transaction, with the reasons. They are known by the number of the
/// event in the batch that led to them, their stream and their version.
#[derive(Default)]
pub(super) struct Interrupted(HashMap<(usize, String, u64), String>);

/// Why a batch is not applied.
pub(super) enum Refusal {
    Failed(Failed),
    /// The transaction was ended; do the batch again, with what is known now.
    Interrupted,
    /// Too many events wait.
    TooManyParked,
}

impl From<rusqlite::Error> for Refusal {
    /// A statement of the runner's own fails only if the file does.
    fn from(error: rusqlite::Error) -> Self {
        Refusal::Failed(Failed { is_of_file: true, ..Failed::new(&error, 0) })
    }
}

/// Applies the events of a batch, within its transaction.
pub(super) struct BatchApplier<'a> {
    pub(super) transaction: &'a Transaction<'a>,
    pub(super) run: BatchRun<'a>,
    /// The query of the view's events.
    pub(super) query: &'a Query,
    pub(super) on_error: OnError,
    pub(super) steps: &'a StepLimit,
    pub(super) moment: Option<&'a Moment>,
    pub(super) requests: Option<&'a Requests>,
    pub(super) interrupted: &'a mut Interrupted,
    /// How many events are parked or wait.
    pub(super) waiting: u64,
    /// The number of the event in the batch.
    pub(super) number: usize,
}

impl BatchApplier<'_> {
    /// Applies the next event of the batch.
    pub(super) fn apply(&mut self, number: usize, event: &Recorded) -> Result<(), Refusal> {
        self.number = number;
        self.steps.renew();
        if let Some(moment) = self.moment {
            moment.set(event);
        }
        if let Some(requests) = self.requests.filter(|its| its.stream == event.stream()) {
            self.follow(requests, event)?;
            if !self.query.matches(event) {
                return Ok(());
            }
        }
        if self.waiting > 0
            && let Some(head) = self.head(event.stream())?
        {
            return self.note(event, "waiting", &behind(head.position));
        }
        let state = match self.on_error {
            OnError::Stop => {
                self.run.make_room()?;
                let applied = self.run.apply(event);
                return applied.map_err(Refusal::Failed);
            }
            OnError::Skip => "skipped",
            OnError::Park => "parked",
        };
        match self.attempt(event)? {
            None => Ok(()),
            Some(reason) => self.note(event, state, &reason),
        }
    }

    /// Writes what is left to write, and returns how many events are parked or wait.
    pub(super) fn end(self) -> rusqlite::Result<u64> {
        self.steps.renew();
        self.run.end()?;
        Ok(self.waiting)
    }

    /// Runs the statements of an event. If they fail, takes their changes back and returns the reason.
    fn attempt(&mut self, event: &Recorded) -> Result<Option<String>, Refusal> {
        let known = (self.number, event.stream().to_owned(), event.version());
        if let Some(reason) = self.interrupted.0.get(&known) {
            return Ok(Some(reason.clone()));
        }
        self.steps.renew();
        self.run.make_room()?;
        self.execute("savepoint event", [])?;
        let failed = self.run.apply(event).err();
        // What is left of the event's steps may be too little for the statements below.
        self.steps.renew();
        let reason = match failed {
            None => None,
            Some(failed) if failed.is_of_file => return Err(Refusal::Failed(failed)),
            Some(Failed { line, mut reason, .. }) => {
                reason.truncate(reason.floor_char_boundary(LONGEST_REASON));
                let reason = match line {
                    0 => reason,
                    line => format!("line {line}: {reason}"),
                };
                // A statement that is interrupted ends the whole transaction.
                if self.transaction.is_autocommit() {
                    self.interrupted.0.insert(known, reason);
                    return Err(Refusal::Interrupted);
                }
                self.execute("rollback to event", [])?;
                Some(reason)
            }
        };
        self.execute("release event", [])?;
        Ok(reason)
    }

    /// Notes an event that is not applied.
    fn note(&mut self, event: &Recorded, state: &str, reason: &str) -> Result<(), Refusal> {
        if state != "skipped" {
            if self.waiting >= MAX_WAITING {
                return Err(Refusal::TooManyParked);
            }
            self.waiting += 1;
        }
        let of_event = (integer(event.position()), event.stream(), integer(event.version()));
        let (position, stream, version) = of_event;
        self.execute(
            "insert or replace into _errors (position, stream, version, type, reason, state)
             values (?1, ?2, ?3, ?4, ?5, ?6)",
            (position, stream, version, event.event_type(), reason, state),
        )
    }

    /// Does what an operator requests. What is not parked any more is left alone.
    fn follow(&mut self, requests: &Requests, event: &Recorded) -> Result<(), Refusal> {
        if event.version() <= requests.after || self.waiting == 0 {
            return Ok(());
        }
        match (requests.decode)(event) {
            None => Ok(()),
            Some(Request::Retry(Some(stream))) => self.retry(requests, &stream),
            Some(Request::Retry(None)) => {
                for stream in self.parked_streams()? {
                    self.retry(requests, &stream)?;
                }
                Ok(())
            }
            Some(Request::Skip(stream, version)) => match self.head(&stream)? {
                Some(head) if head.version == version => {
                    self.skip(&stream, version, None)?;
                    self.retry(requests, &stream)
                }
                _ => Ok(()),
            },
        }
    }

    /// Applies the events of a stream that wait, in order, until one fails.
    fn retry(&mut self, requests: &Requests, stream: &str) -> Result<(), Refusal> {
        let mut events = VecDeque::new();
        let mut is_first = true;
        while let Some(head) = self.head(stream)? {
            let Some(event) = read_event(requests, &mut events, stream, head.version)? else {
                let reason = "the store does not have the event any more";
                self.skip(stream, head.version, Some(reason))?;
                continue;
            };
            if let Some(reason) = self.attempt(&event)? {
                return self.park(stream, &head, &reason, is_first);
            }
            let delete = "delete from _errors where stream = ?1 and version = ?2";
            self.execute(delete, (stream, integer(head.version)))?;
            self.waiting = self.waiting.saturating_sub(1);
            is_first = false;
        }
        Ok(())
    }

    /// Notes why the first event of a stream that waits can't be applied, and that the others wait behind it.
    fn park(&self, stream: &str, head: &Head, reason: &str, is_first: bool) -> Result<(), Refusal> {
        let park =
            "update _errors set state = 'parked', reason = ?3 where stream = ?1 and version = ?2";
        self.execute(park, (stream, integer(head.version), reason))?;
        if is_first && head.is_parked {
            return Ok(());
        }
        let others = "update _errors set reason = ?2 where stream = ?1 and state = 'waiting'";
        self.execute(others, (stream, behind(head.position)))
    }

    /// Leaves an event out that is parked or waits.
    fn skip(&mut self, stream: &str, version: u64, reason: Option<&str>) -> Result<(), Refusal> {
        let skip = "update _errors set state = 'skipped', reason = coalesce(?3, reason)
                    where stream = ?1 and version = ?2";
        self.execute(skip, (stream, integer(version), reason))?;
        self.waiting = self.waiting.saturating_sub(1);
        Ok(())
    }

    /// Returns the first event of a stream that is parked or waits.
    fn head(&self, stream: &str) -> Result<Option<Head>, Refusal> {
        let mut select = self.transaction.prepare_cached(
            "select position, version, state = 'parked' from _errors
             where stream = ?1 and state <> 'skipped' order by version limit 1",
        )?;
        let head = |row: &Row<'_>| {
            Ok(Head { position: number(row, 0)?, version: number(row, 1)?, is_parked: row.get(2)? })
        };
        Ok(select.query_row([stream], head).optional()?)
    }

    /// Returns the streams that have a parked event, in the order of these events.
    fn parked_streams(&self) -> Result<Vec<String>, Refusal> {
        let mut select = self.transaction.prepare_cached(
            "select stream from _errors where state = 'parked' order by position, stream",
        )?;
        let streams = select.query_map([], |row| row.get(0))?;
        Ok(streams.collect::<rusqlite::Result<_>>()?)
    }

    fn execute(&self, statement: &str, values: impl Params) -> Result<(), Refusal> {
        self.transaction.prepare_cached(statement)?.execute(values)?;
        Ok(())
    }
}

/// The first event of a stream that is parked or waits.
struct Head {
    position: u64,
    version: u64,
    is_parked: bool,
}

/// Returns the event of a stream that has a version, if the store still has it. `events` are those that were read.
fn read_event(
    requests: &Requests,
    events: &mut VecDeque<Recorded>,
    stream: &str,
    version: u64,
) -> Result<Option<Recorded>, Refusal> {
    while events.front().is_some_and(|event| event.version() < version) {
        events.pop_front();
    }
    if events.is_empty() {
        let failed = |error| {
            let reason = format!("the parked events of {stream} can't be read again: {error}");
            Refusal::Failed(Failed { line: 0, reason, is_of_file: true })
        };
        *events = (requests.read)(stream, version).map_err(failed)?.into();
    }
    let is_it = events.front().is_some_and(|event| event.version() == version);
    Ok(if is_it { events.pop_front() } else { None })
}

fn behind(position: u64) -> String {
    format!("waits behind position {position}")
}

/// Returns a number that is never negative.
fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(|number: i64| u64::try_from(number).unwrap_or_default())
}

fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
