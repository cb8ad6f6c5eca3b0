//! Errors: into problems and back.

use bytes::Bytes;
use leftfold_api::{
    AppendError, Coded, Conflict, Failure, Invalid, Overlap, ReadError, code as known,
};
use prost::Message;
use tonic::metadata::MetadataMap;

use crate::point::{bytes, expected, optional_cursor};
use crate::v1::{self, Kind, problem::Found};
use crate::{CODE_TRAILER, event, rpc};

/// The type of the message in the details.
const TYPE_URL: &str = "type.googleapis.com/leftfold.v1.Problem";
/// The largest number of characters of each text in a status: headers carry it, and their size is
/// limited.
const MAX_CHARS: usize = 1024;

impl From<&AppendError> for v1::Problem {
    fn from(error: &AppendError) -> Self {
        let (kind, found) = match error {
            AppendError::Invalid(_) => (Kind::Invalid, None),
            AppendError::Conflict(conflict) => (Kind::Conflict, found_in(conflict)),
            AppendError::Overlap(overlap) => (Kind::Overlap, known_in(overlap)),
            _ => (Kind::Failure, None),
        };
        problem(kind, error, found)
    }
}

impl From<&ReadError> for v1::Problem {
    fn from(error: &ReadError) -> Self {
        let invalid = matches!(error, ReadError::Invalid(_));
        problem(if invalid { Kind::Invalid } else { Kind::Failure }, error, None)
    }
}

fn problem(kind: Kind, error: &impl Coded, found: Option<Found>) -> v1::Problem {
    v1::Problem {
        kind: kind as i32,
        code: error.code().to_owned(),
        message: error.to_string(),
        can_retry: error.can_retry(),
        found,
    }
}

fn found_in(conflict: &Conflict) -> Option<Found> {
    Some(match conflict.clone() {
        Conflict::Version { stream, expected, actual } => {
            let expected = Some(expected.into());
            Found::Version(v1::FoundVersion { stream, expected, actual })
        }
        Conflict::Query { query, position, stream, event_type } => {
            Found::Event(v1::FoundEvent { query, position, stream, r#type: event_type })
        }
        Conflict::Checkpoint { name, expected, actual } => {
            let (expected, actual) = (expected.map(bytes), actual.map(bytes));
            Found::Checkpoint(v1::FoundCheckpoint { name, expected, actual })
        }
        Conflict::Tombstoned { stream } => Found::Tombstoned(stream),
        _ => return None,
    })
}

fn known_in(overlap: &Overlap) -> Option<Found> {
    match overlap.clone() {
        Overlap::Partial { stream, id, version } | Overlap::Content { stream, id, version } => {
            let id = event::id_bytes(id);
            Some(Found::Known(v1::KnownEvent { stream, id, version }))
        }
        _ => None,
    }
}

impl From<v1::Problem> for AppendError {
    fn from(problem: v1::Problem) -> Self {
        let error = match (problem.kind(), problem.found.clone()) {
            (Kind::Invalid, _) => return invalid(problem).into(),
            (Kind::Conflict, Some(found)) => conflict(found).map(AppendError::from),
            (Kind::Overlap, Some(Found::Known(found))) => {
                overlap(&problem.code, found).map(AppendError::from)
            }
            _ => None,
        };
        error.unwrap_or_else(|| failure(problem).into())
    }
}

impl From<v1::Problem> for ReadError {
    fn from(problem: v1::Problem) -> Self {
        match problem.kind() {
            Kind::Invalid => invalid(problem).into(),
            _ => failure(problem).into(),
        }
    }
}

fn invalid(problem: v1::Problem) -> Invalid {
    Invalid::new(known(&problem.code), problem.message)
}

fn failure(problem: v1::Problem) -> Failure {
    let (code, can_retry) = (known(&problem.code), problem.can_retry);
    Failure::Remote { code, message: problem.message, can_retry }
}

fn conflict(found: Found) -> Option<Conflict> {
    Some(match found {
        Found::Version(found) => {
            let (stream, actual) = (found.stream, found.actual);
            Conflict::Version { stream, expected: expected(found.expected), actual }
        }
        Found::Event(found) => {
            let (query, position, stream) = (found.query, found.position, found.stream);
            Conflict::Query { query, position, stream, event_type: found.r#type }
        }
        Found::Checkpoint(found) => {
            let expected = optional_cursor(found.expected).ok()?;
            let actual = optional_cursor(found.actual).ok()?;
            Conflict::Checkpoint { name: found.name, expected, actual }
        }
        Found::Tombstoned(stream) => Conflict::Tombstoned { stream },
        Found::Known(_) => return None,
    })
}

fn overlap(code: &str, found: v1::KnownEvent) -> Option<Overlap> {
    let (stream, id, version) = (found.stream, event::id(&found.id).ok()?, found.version);
    match code {
        "partial_repeat" => Some(Overlap::Partial { stream, id, version }),
        "event_id_reused" => Some(Overlap::Content { stream, id, version }),
        _ => None,
    }
}

/// Makes the status of a call that failed, with the problem in its details.
pub fn to_status(code: tonic::Code, problem: v1::Problem) -> tonic::Status {
    let problem = shortened(problem);
    let mut trailers = MetadataMap::new();
    if let Ok(code) = problem.code.parse() {
        trailers.insert(CODE_TRAILER, code);
    }
    let value = problem.encode_to_vec();
    let any = prost_types::Any { type_url: TYPE_URL.to_owned(), value };
    let message = problem.message;
    let details = rpc::Status { code: code as i32, message: message.clone(), details: vec![any] };
    let details = Bytes::from(details.encode_to_vec());
    tonic::Status::with_details_and_metadata(code, message, details, trailers)
}

/// Returns the problem in the details of a status, if there is one.
pub fn from_status(status: &tonic::Status) -> Option<v1::Problem> {
    let details = rpc::Status::decode(status.details()).ok()?;
    let any = details.details.into_iter().find(|any| any.type_url == TYPE_URL)?;
    v1::Problem::decode(&any.value[..]).ok()
}

fn shortened(mut problem: v1::Problem) -> v1::Problem {
    shorten(&mut problem.message);
    if let Some(Found::Event(found)) = &mut problem.found {
        shorten(&mut found.query);
    }
    problem
}

fn shorten(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(MAX_CHARS) {
        text.truncate(end);
        text.push('\u{2026}');
    }
}
