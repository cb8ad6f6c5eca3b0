//! Passes items from the readers to the caller's sink and counts them.

use crate::item::{Draft, GroupEnd, Item, Occurrence, ReadError, ReadSummary, Reject};
use crate::reason::{Problem, Reason};
use std::collections::HashMap;
use std::io;
use uuid::Uuid;

/// Why a reader stops early.
#[derive(Debug)]
pub(crate) enum Halt<E> {
    Io(io::Error),
    Sink(E),
    Malformed {
        line: u64,
        message: String,
    },
    /// The rest is malformed, and the last reject says so.
    Reported,
}

impl<E> From<io::Error> for Halt<E> {
    fn from(error: io::Error) -> Self {
        Halt::Io(error)
    }
}

pub(crate) struct Output<'a, E> {
    sink: &'a mut dyn FnMut(Item) -> Result<(), E>,
    /// How many records of each kind the statement had so far.
    numbers: HashMap<Uuid, u64>,
    /// The most kinds of a statement.
    most_kinds: usize,
    /// How the document begins, for a file that holds nothing of what was looked for.
    pub(crate) outline: String,
    pub(crate) summary: ReadSummary,
}

/// The most different kinds of records in a statement: about 200 MB.
const MAX_KINDS: usize = 4 << 20;
/// The most kinds whose memory is kept for the next statement.
const MAX_KEPT: usize = 1 << 16;

impl<'a, E> Output<'a, E> {
    pub(crate) fn new(sink: &'a mut dyn FnMut(Item) -> Result<(), E>) -> Self {
        Output {
            sink,
            numbers: HashMap::new(),
            most_kinds: MAX_KINDS,
            outline: String::new(),
            summary: ReadSummary::default(),
        }
    }

    /// Begins a statement, in which equal records are counted from 1.
    pub(crate) fn begin_group(&mut self) {
        if self.numbers.capacity() > MAX_KEPT {
            self.numbers = HashMap::new();
        }
        self.numbers.clear();
    }

    /// Passes the end of a statement on.
    pub(crate) fn end_group(&mut self, balance_holds: Option<bool>) -> Result<(), Halt<E>> {
        (self.sink)(Item::GroupEnd(GroupEnd { balance_holds })).map_err(Halt::Sink)
    }

    pub(crate) fn record(&mut self, mut draft: Draft) -> Result<(), Halt<E>> {
        if let Some(occurrence) = &mut draft.occurrence {
            if self.numbers.len() == self.most_kinds && !self.numbers.contains_key(&occurrence.kind)
            {
                let message = format!(
                    "The statement has more than {} different records; split the file.",
                    self.most_kinds
                );
                let problem = Problem::new(Reason::StatementTooLarge, message);
                return self.reject(draft.line, problem, draft.raw.to_string());
            }
            let number = self.numbers.entry(occurrence.kind).or_default();
            *number += 1;
            (occurrence.number, occurrence.ordinal) = (*number, *number);
            draft.id = Occurrence::id(occurrence.kind, *number);
        }
        self.summary.records += 1;
        (self.sink)(Item::Record(draft)).map_err(Halt::Sink)
    }

    /// Passes a reject on, or counts a record that is skipped; `record` is the text to show, already cut.
    pub(crate) fn reject(
        &mut self,
        line: u64,
        problem: Problem,
        record: String,
    ) -> Result<(), Halt<E>> {
        if problem.is_skip() {
            self.summary.skipped += 1;
            return Ok(());
        }
        self.summary.rejects += 1;
        let Problem { reason, message, .. } = problem;
        (self.sink)(Item::Reject(Reject { line, reason, message, record })).map_err(Halt::Sink)
    }

    /// Turns the end of a reader into the caller's answer.
    ///
    /// Malformed content becomes one more reject; everything else is an error.
    pub(crate) fn finish(
        mut self,
        ended: Result<(), Halt<E>>,
    ) -> Result<ReadSummary, ReadError<E>> {
        let ended = match ended {
            Err(Halt::Malformed { line, message }) => {
                let problem = Problem::new(Reason::MalformedInput, message);
                self.reject(line, problem, String::new())
            }
            Err(Halt::Reported) => Ok(()),
            other => other.map(|()| self.summary.complete = true),
        };
        let ReadSummary { records, rejects, skipped, groups, .. } = self.summary;
        let ended = match records + rejects + skipped + groups {
            0 => ended.and_then(|()| {
                let begins = match self.outline.as_str() {
                    "" => String::new(),
                    outline => format!(" It begins with {outline}."),
                };
                let message = format!(
                    "The file holds nothing of what the mapping looks for: it is of another kind, or \
                     empty.{begins} Choose another mapping, or allow empty files."
                );
                self.reject(1, Problem::new(Reason::NothingFound, message), String::new())
            }),
            _ => ended,
        };
        match ended {
            Ok(()) => Ok(self.summary),
            Err(Halt::Sink(error)) => Err(ReadError::Sink(error)),
            Err(Halt::Io(error)) => Err(ReadError::Io(error)),
            Err(Halt::Malformed { message, .. }) => Err(ReadError::Io(io::Error::other(message))),
            // Handled above.
            Err(Halt::Reported) => Ok(self.summary),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mapping, read::read_into};

    #[test]
    fn a_statement_with_too_many_kinds_is_refused_from_there_on() {
        let mapping = "name = 'a'\nformat = 'ndjson'\nstream = 's'\ndata = ['n']\n\
                       event = { type = 'E', time = 't' }\nid = { kinds = [['n']] }\n[field]\n\
                       n = { path = '/n' }\nt = { path = '/t', type = 'date' }";
        let mapping = Mapping::parse(mapping).unwrap();
        let lines = [1, 2, 1, 3, 2].map(|n| format!("{{\"n\": {n}, \"t\": \"2026-01-01\"}}\n"));
        let mut found = Vec::new();
        let mut sink = |item| {
            found.push(match item {
                Item::Record(draft) => draft.occurrence.map_or(0, |o| o.number).to_string(),
                Item::Reject(reject) => reject.reason.code().to_owned(),
                Item::GroupEnd(_) => String::new(),
            });
            Ok::<(), std::convert::Infallible>(())
        };
        let output = Output { most_kinds: 2, ..Output::new(&mut sink) };
        read_into(&mapping, lines.concat().as_bytes(), output).unwrap();
        assert_eq!(found, ["1", "1", "2", "statement_too_large", "2"]);
    }
}
