use leftfold_api::{
    Append, AppendError, Appended, CheckpointMove, Cursor, Failure, Invalid, Versions, names,
};

use crate::invalid::{answer as wrong_answer, missing};
use crate::point::{self, bytes, cursor, optional_cursor};
use crate::v1::{self, numbered_answer::Is};
use crate::{event, query};

impl From<&Append> for v1::AppendRequest {
    fn from(append: &Append) -> Self {
        let mut before = None;
        let events = append.events().iter().map(|(stream, event)| {
            let sent = event::new_event(stream, event, before);
            before = Some(stream);
            sent
        });
        let expectation = |(stream, expected): &(String, _)| v1::Expectation {
            stream: stream.clone(),
            expected: Some(v1::Expected::from(*expected)),
        };
        let condition = |(query, cursor): &(_, Cursor)| v1::NoneAfter {
            query: Some(v1::Query::from(query)),
            cursor: bytes(cursor.clone()),
        };
        v1::AppendRequest {
            events: events.collect(),
            expectations: append.expectations().iter().map(expectation).collect(),
            none_after: append.conditions().iter().map(condition).collect(),
            moves: append.moves().iter().map(v1::CheckpointMove::from).collect(),
            ordinals_in: append.index_of_ordinals().map(str::to_owned),
        }
    }
}

impl TryFrom<v1::AppendRequest> for Append {
    type Error = Invalid;

    fn try_from(request: v1::AppendRequest) -> Result<Self, Invalid> {
        let mut append = Append::with_capacity(request.events.len());
        let mut before: Option<String> = None;
        let mut events = request.events.into_iter().peekable();
        while let Some(sent) = events.next() {
            let (stream, event) = event::received(sent)?;
            let stream = stream.or(before.take()).ok_or_else(|| missing("stream of an event"))?;
            if events.peek().is_some_and(|next| next.stream.is_none()) {
                // Before it is copied: a long name in many events would take much memory.
                names::check("stream", &stream)?;
                before = Some(stream.clone());
            }
            append = append.event(stream, event);
        }
        for expectation in request.expectations {
            append = append.expect(expectation.stream, point::expected(expectation.expected));
        }
        for v1::NoneAfter { query: wanted, cursor } in request.none_after {
            append = append.none_after(query::query(wanted)?, start_if_empty(&cursor)?);
        }
        for to in request.moves {
            append = append.checkpoint(to.try_into()?);
        }
        Ok(match request.ordinals_in {
            Some(index) => append.ordinals_in(index),
            None => append,
        })
    }
}

fn start_if_empty(bytes: &[u8]) -> Result<Cursor, Invalid> {
    if bytes.is_empty() { Ok(Cursor::START) } else { cursor(bytes) }
}

impl From<&CheckpointMove> for v1::CheckpointMove {
    fn from(to: &CheckpointMove) -> Self {
        let expected = to.expected.clone().map(bytes);
        v1::CheckpointMove { name: to.name.clone(), expected, to: bytes(to.to.clone()) }
    }
}

impl TryFrom<v1::CheckpointMove> for CheckpointMove {
    type Error = Invalid;

    fn try_from(sent: v1::CheckpointMove) -> Result<Self, Invalid> {
        let (expected, to) = (optional_cursor(sent.expected)?, start_if_empty(&sent.to)?);
        Ok(CheckpointMove { name: sent.name, expected, to })
    }
}

impl From<Appended> for v1::AppendResponse {
    fn from(appended: Appended) -> Self {
        let versions = |versions: Versions| v1::Versions {
            stream: versions.stream,
            first: versions.first,
            last: versions.last,
        };
        v1::AppendResponse {
            cursor: bytes(appended.cursor),
            first_position: appended.positions.map(|(first, _)| first),
            last_position: appended.positions.map(|(_, last)| last),
            streams: appended.streams.into_iter().map(versions).collect(),
            repeated: appended.repeated,
            ordinals: appended.ordinals.into_iter().map(v1::IndexOrdinal::from).collect(),
        }
    }
}

impl TryFrom<v1::AppendResponse> for Appended {
    type Error = Failure;

    fn try_from(response: v1::AppendResponse) -> Result<Self, Failure> {
        let versions = |versions: v1::Versions| Versions {
            stream: versions.stream,
            first: versions.first,
            last: versions.last,
        };
        Ok(Appended {
            cursor: cursor(&response.cursor).map_err(|invalid| wrong_answer(&invalid.message))?,
            positions: response.first_position.zip(response.last_position),
            streams: response.streams.into_iter().map(versions).collect(),
            repeated: response.repeated,
            ordinals: response.ordinals.into_iter().map(Option::from).collect(),
        })
    }
}

/// Makes the answer to one of many appends.
pub fn answer(number: u64, outcome: Result<Appended, AppendError>) -> v1::NumberedAnswer {
    let is = match outcome {
        Ok(appended) => Is::Appended(appended.into()),
        Err(error) => Is::Problem(v1::Problem::from(&error)),
    };
    v1::NumberedAnswer { number, is: Some(is) }
}

/// Returns the result of one of many appends.
///
/// # Errors
/// Those of the append; `protocol_error`.
pub fn result(answer: v1::NumberedAnswer) -> Result<Appended, AppendError> {
    match answer.is {
        Some(Is::Appended(response)) => Ok(response.try_into()?),
        Some(Is::Problem(problem)) => Err(problem.into()),
        None => Err(wrong_answer("it has neither a result nor a problem").into()),
    }
}
