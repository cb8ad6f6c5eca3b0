use std::error::Error;
use std::time::Duration;

use leftfold_api::{AppendError, Failure, ReadError};
use leftfold_wire::{from_status, v1};
use tonic::{Code, ConnectError, Status};

/// Why an attempt came to nothing.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The server has answered, and this is what it said.
    Said(Box<v1::Problem>),
    /// There is no connection: nothing has reached the server.
    Unsent(String),
    /// The connection was lost: the call may have been done, and may yet be.
    Lost(String),
    /// There was no answer in time.
    Late(Duration),
    /// The other side does not speak as it should.
    Strange(String),
}

/// Answers that say that the server is about to be another.
const PASSING: [&str; 3] = ["server_closing", "server_overloaded", "rate_limited"];

impl From<Status> for Fault {
    fn from(status: Status) -> Self {
        if let Some(problem) = from_status(&status) {
            return Fault::Said(Box::new(problem));
        }
        let words = words(&status);
        match status.code() {
            _ if is_unsent(&status) => Fault::Unsent(words),
            Code::Unauthenticated => Fault::Said(denied("unauthenticated", words)),
            Code::PermissionDenied => Fault::Said(denied("forbidden", words)),
            Code::Unavailable | Code::Cancelled | Code::Unknown | Code::Internal => {
                Fault::Lost(words)
            }
            Code::Aborted | Code::DeadlineExceeded => Fault::Lost(words),
            _ => Fault::Strange(words),
        }
    }
}

fn denied(code: &str, message: String) -> Box<v1::Problem> {
    let kind = v1::Kind::Denied as i32;
    Box::new(v1::Problem { kind, code: code.to_owned(), message, ..v1::Problem::default() })
}

/// What went wrong, down to its cause.
fn words(status: &Status) -> String {
    let mut words = status.message().to_owned();
    let mut cause = status.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        cause = error.source();
    }
    if words.is_empty() { status.code().description().to_owned() } else { words }
}

fn is_unsent(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

impl Fault {
    /// Whether it may go away by itself; `is_safe` says whether it does no harm if the call is done
    /// twice.
    pub(crate) fn may_pass(&self, is_safe: bool) -> bool {
        match self {
            Fault::Said(problem) if PASSING.contains(&problem.code.as_str()) => true,
            Fault::Said(problem) if problem.code == "store_closed" => is_safe,
            Fault::Said(problem) => problem.can_retry,
            Fault::Unsent(_) => true,
            Fault::Lost(_) => is_safe,
            Fault::Late(_) | Fault::Strange(_) => false,
        }
    }

    /// Whether the call may have been done nevertheless.
    pub(crate) fn leaves_doubt(&self) -> bool {
        match self {
            Fault::Said(problem) => problem.code == "store_closed",
            Fault::Lost(_) | Fault::Late(_) => true,
            Fault::Unsent(_) | Fault::Strange(_) => false,
        }
    }

    /// The failure of a call that changes something.
    fn of_change(self) -> Failure {
        match self {
            Fault::Lost(words) => unknown(&words, false),
            Fault::Late(time) => unknown(&late(time), false),
            other => other.of_question(),
        }
    }

    /// The failure of a call that only asks.
    fn of_question(self) -> Failure {
        let (code, message, can_retry) = match self {
            Fault::Said(problem) => return said(*problem),
            Fault::Unsent(words) | Fault::Lost(words) => {
                ("server_unreachable", format!("the server can't be reached: {words}"), true)
            }
            Fault::Late(time) => ("timed_out", late(time), true),
            Fault::Strange(words) => {
                let message = format!("the server's answer can't be understood: {words}");
                ("protocol_error", message, false)
            }
        };
        Failure::Remote { code, message, can_retry }
    }
}

fn late(time: Duration) -> String {
    format!("the server has not answered within {time:?}")
}

/// It is not known whether something was done.
pub(crate) fn unknown(words: &str, can_retry: bool) -> Failure {
    let message = format!("it may have been done or not: {words}");
    Failure::Remote { code: "outcome_unknown", message, can_retry }
}

fn said(problem: v1::Problem) -> Failure {
    let code = leftfold_api::code(&problem.code);
    Failure::Remote { code, message: problem.message, can_retry: problem.can_retry }
}

impl From<Fault> for ReadError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Said(problem) => (*problem).into(),
            other => other.of_question().into(),
        }
    }
}

impl From<Fault> for AppendError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Said(problem) => (*problem).into(),
            other => other.of_change().into(),
        }
    }
}
