use std::error::Error;
use std::time::Duration;

use leftfold_api::{AppendError, Failure, ReadError};
use leftfold_wire::{from_status, v1};
use tonic::{Code, ConnectError, Status};

/// Why an attempt failed.
#[derive(Debug, Clone)]
pub(crate) enum CallError {
    /// The server answered with this problem.
    Refused(Box<v1::Problem>),
    /// There was no connection: nothing reached the server.
    NotSent(String),
    /// The connection was lost: the server may have executed the call, or may still do so.
    ConnectionLost(String),
    /// There was no answer in time.
    TimedOut(Duration),
    /// The answer is not one of the protocol.
    Protocol(String),
}

/// Codes of a server that stops or is overloaded: another attempt may succeed.
const TRANSIENT: [&str; 4] =
    ["server_closing", "server_overloaded", "rate_limited", "descriptors_exhausted"];

impl From<Status> for CallError {
    fn from(status: Status) -> Self {
        if let Some(problem) = from_status(&status) {
            return CallError::Refused(Box::new(problem));
        }
        let message = full_message(&status);
        match status.code() {
            _ if is_unsent(&status) => CallError::NotSent(message),
            Code::Unauthenticated => CallError::Refused(denied("unauthenticated", message)),
            Code::PermissionDenied => CallError::Refused(denied("forbidden", message)),
            Code::Unavailable | Code::Cancelled | Code::Unknown | Code::Internal => {
                CallError::ConnectionLost(message)
            }
            Code::Aborted | Code::DeadlineExceeded => CallError::ConnectionLost(message),
            _ => CallError::Protocol(message),
        }
    }
}

fn denied(code: &str, message: String) -> Box<v1::Problem> {
    let kind = v1::Kind::Denied as i32;
    Box::new(v1::Problem { kind, code: code.to_owned(), message, ..v1::Problem::default() })
}

/// Returns the message of a status with the messages of its causes.
fn full_message(status: &Status) -> String {
    let mut message = status.message().to_owned();
    let mut cause = status.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !message.contains(&reason) {
            message = format!("{message}: {reason}");
        }
        cause = error.source();
    }
    if message.is_empty() { status.code().description().to_owned() } else { message }
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

impl CallError {
    /// Whether another attempt may succeed; `is_safe` says whether the call may be executed twice.
    pub(crate) fn can_retry_call(&self, is_safe: bool) -> bool {
        match self {
            CallError::Refused(problem) if TRANSIENT.contains(&problem.code.as_str()) => true,
            CallError::Refused(problem) if problem.code == "store_closed" => is_safe,
            CallError::Refused(problem) => problem.can_retry,
            CallError::NotSent(_) => true,
            CallError::ConnectionLost(_) => is_safe,
            CallError::TimedOut(_) | CallError::Protocol(_) => false,
        }
    }

    /// Whether the server may have executed the call.
    pub(crate) fn is_outcome_unknown(&self) -> bool {
        match self {
            CallError::Refused(problem) => problem.code == "store_closed",
            CallError::ConnectionLost(_) | CallError::TimedOut(_) => true,
            CallError::NotSent(_) | CallError::Protocol(_) => false,
        }
    }

    /// Returns the failure of a call that changes the store.
    fn into_change_failure(self) -> Failure {
        match self {
            CallError::ConnectionLost(message) => outcome_unknown(&message, false),
            CallError::TimedOut(time) => outcome_unknown(&timeout_message(time), false),
            other => other.into_read_failure(),
        }
    }

    /// Returns the failure of a call that only reads.
    fn into_read_failure(self) -> Failure {
        let (code, message, can_retry) = match self {
            CallError::Refused(problem) => return refusal(*problem),
            CallError::NotSent(message) | CallError::ConnectionLost(message) => {
                ("server_unreachable", format!("the server can't be reached: {message}"), true)
            }
            CallError::TimedOut(time) => ("timed_out", timeout_message(time), true),
            CallError::Protocol(message) => {
                let message = format!("the server's answer can't be understood: {message}");
                ("protocol_error", message, false)
            }
        };
        Failure::Remote { code, message, can_retry }
    }
}

fn timeout_message(time: Duration) -> String {
    format!("expected an answer within {time:?}, found none")
}

/// Makes the failure of a call that the server may have executed.
pub(crate) fn outcome_unknown(reason: &str, can_retry: bool) -> Failure {
    let message = format!("the server may or may not have executed the call: {reason}");
    Failure::Remote { code: "outcome_unknown", message, can_retry }
}

fn refusal(problem: v1::Problem) -> Failure {
    let code = leftfold_api::code(&problem.code);
    Failure::Remote { code, message: problem.message, can_retry: problem.can_retry }
}

impl From<CallError> for ReadError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(problem) => (*problem).into(),
            other => other.into_read_failure().into(),
        }
    }
}

impl From<CallError> for AppendError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(problem) => (*problem).into(),
            other => other.into_change_failure().into(),
        }
    }
}
