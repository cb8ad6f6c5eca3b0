//! Passes items from the readers to the caller's sink and counts them.

use crate::item::{Draft, Item, ReadError, ReadSummary, Reject};
use crate::reason::{Problem, Reason};
use std::io;

/// Why a reader stops early.
#[derive(Debug)]
pub(crate) enum Halt<E> {
    Io(io::Error),
    Sink(E),
    Malformed { line: u64, message: String },
}

impl<E> From<io::Error> for Halt<E> {
    fn from(error: io::Error) -> Self {
        Halt::Io(error)
    }
}

pub(crate) struct Output<'a, E> {
    sink: &'a mut dyn FnMut(Item) -> Result<(), E>,
    pub(crate) summary: ReadSummary,
}

impl<'a, E> Output<'a, E> {
    pub(crate) fn new(sink: &'a mut dyn FnMut(Item) -> Result<(), E>) -> Self {
        Output { sink, summary: ReadSummary::default() }
    }

    pub(crate) fn record(&mut self, draft: Draft) -> Result<(), Halt<E>> {
        self.summary.records += 1;
        (self.sink)(Item::Record(draft)).map_err(Halt::Sink)
    }

    /// Passes a reject on; `record` is the text to show, already cut.
    pub(crate) fn reject(
        &mut self,
        line: u64,
        problem: Problem,
        record: String,
    ) -> Result<(), Halt<E>> {
        self.summary.rejects += 1;
        let Problem { reason, message } = problem;
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
            other => other.map(|()| self.summary.complete = true),
        };
        match ended {
            Ok(()) => Ok(self.summary),
            Err(Halt::Sink(error)) => Err(ReadError::Sink(error)),
            Err(Halt::Io(error)) => Err(ReadError::Io(error)),
            Err(Halt::Malformed { message, .. }) => Err(ReadError::Io(io::Error::other(message))),
        }
    }
}
