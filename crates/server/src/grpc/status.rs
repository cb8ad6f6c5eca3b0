use leftfold_api::{AdministrationError, AppendError, Invalid, ReadError};
use leftfold_wire::{from_status, to_status, v1};
use tonic::{Code, Status};

use crate::access::{ChangeError, Denial, Refusal};
use crate::administration::WorkError;
use crate::codes;
use crate::limits::PageError;

/// Returns the status of a problem.
pub(super) fn problem(problem: v1::Problem) -> Status {
    let code = codes::find(&problem.code).grpc;
    to_status(Code::from(code as i32), problem)
}

pub(super) fn append(error: AppendError) -> Status {
    problem(v1::Problem::from(&error))
}

pub(super) fn read(error: ReadError) -> Status {
    problem(v1::Problem::from(&error))
}

pub(super) fn page(error: PageError) -> Status {
    match error {
        PageError::Read(error) => read(error),
        error => failure(error.code(), error.to_string(), true),
    }
}

pub(super) fn invalid(invalid: Invalid) -> Status {
    read(invalid.into())
}

pub(super) fn denied(denied: Denial) -> Status {
    problem(v1::Problem {
        kind: v1::Kind::Denied as i32,
        code: denied.code().to_owned(),
        message: denied.to_string(),
        can_retry: denied.can_retry(),
        ..v1::Problem::default()
    })
}

pub(super) fn refused(refusal: Refusal) -> Status {
    match refusal {
        Refusal::Denial(denied) => self::denied(denied),
        Refusal::Invalid(invalid) => self::invalid(invalid),
    }
}

/// Work on the store as a whole was not done.
pub(super) fn work(error: WorkError) -> Status {
    failure(error.code(), error.message().to_owned(), error.can_retry())
}

/// There is no directory for a backup of this name.
pub(super) fn backup(error: Invalid) -> Status {
    match error.code {
        // It lies at the server and not at the request.
        "backups_off" => failure(error.code, error.message, false),
        _ => invalid(error),
    }
}

pub(super) fn administration(error: &AdministrationError) -> Status {
    failure(error.code(), error.to_string(), error.can_retry())
}

/// Returns the status of a request that exceeds a limit of the server.
pub(super) fn overloaded(what: &str) -> Status {
    failure("server_overloaded", format!("{what}; try again later"), true)
}

/// This many subscriptions are running, which is the limit.
pub(super) fn too_many_subscriptions(most: usize) -> Status {
    overloaded(&format!("{most} subscriptions are running, which is the limit"))
}

/// Returns the status of a request that ends because the server is shutting down.
pub(super) fn closing() -> Status {
    failure("server_closing", "the server is shutting down; connect again".to_owned(), true)
}

pub(super) fn failure(code: &str, message: String, can_retry: bool) -> Status {
    problem(v1::Problem {
        kind: v1::Kind::Failure as i32,
        code: code.to_owned(),
        message,
        can_retry,
        found: None,
    })
}

impl ChangeError for Status {
    fn audited_code(&self) -> String {
        from_status(self).map_or_else(|| self.code().description().to_owned(), |found| found.code)
    }
}
