//! Cursors, points, and expected versions.

use bytes::Bytes;
use leftfold_api::{Cursor, Expected, Invalid, Point, Start, Timestamp};

use crate::invalid::missing;
use crate::v1;

/// Bytes of the shortest cursor.
const MIN_CURSOR: usize = 13;

/// Reads a cursor.
pub fn cursor(bytes: &[u8]) -> Result<Cursor, Invalid> {
    Cursor::from_bytes(bytes)
}

/// Reads a cursor that may be absent.
pub fn optional_cursor(bytes: Option<Bytes>) -> Result<Option<Cursor>, Invalid> {
    bytes.map(|bytes| cursor(&bytes)).transpose()
}

/// Reads cursors that lie side by side, one for each of `count` events.
pub fn cursors(mut bytes: &[u8], count: usize) -> Result<Vec<Cursor>, Invalid> {
    let wrong = || crate::invalid::request("there is not one cursor for each event");
    // The bytes that were received bound the reservation.
    let mut cursors = Vec::with_capacity(count.min(bytes.len() / MIN_CURSOR));
    while !bytes.is_empty() {
        let (cursor, rest) = Cursor::split_first(bytes).ok_or_else(wrong)?;
        cursors.push(cursor);
        bytes = rest;
    }
    if cursors.len() == count { Ok(cursors) } else { Err(wrong()) }
}

/// Returns the bytes of a cursor.
pub(crate) fn bytes(cursor: Cursor) -> Bytes {
    Bytes::copy_from_slice(&cursor.to_bytes())
}

impl From<Point> for v1::Point {
    fn from(point: Point) -> Self {
        use v1::point::Is;
        let is = match point {
            Point::Cursor(cursor) => Is::Cursor(bytes(cursor)),
            Point::Position(position) => Is::Position(position),
            Point::Version(version) => Is::Version(version),
            Point::Ordinal(ordinal) => Is::Ordinal(ordinal),
            Point::CommitTime(time) => Is::CommitTime(time.0),
        };
        v1::Point { is: Some(is) }
    }
}

impl TryFrom<v1::Point> for Point {
    type Error = Invalid;

    fn try_from(point: v1::Point) -> Result<Self, Invalid> {
        use v1::point::Is;
        Ok(match point.is.ok_or_else(|| missing("point to begin at"))? {
            Is::Cursor(bytes) => Point::Cursor(cursor(&bytes)?),
            Is::Position(position) => Point::Position(position),
            Is::Version(version) => Point::Version(version),
            Is::Ordinal(ordinal) => Point::Ordinal(ordinal),
            Is::CommitTime(time) => Point::CommitTime(Timestamp(time)),
        })
    }
}

/// Makes the message that says where a read begins; `None` is the outermost event.
pub(crate) fn begin(from: Start) -> Option<v1::Begin> {
    use v1::begin::At;
    let at = match from {
        Start::Outermost => return None,
        Start::Including(point) => At::Including(point.into()),
        Start::Excluding(point) => At::Excluding(point.into()),
    };
    Some(v1::Begin { at: Some(at) })
}

/// Reads where a read begins.
pub(crate) fn from(begin: Option<v1::Begin>) -> Result<Start, Invalid> {
    use v1::begin::At;
    Ok(match begin.and_then(|begin| begin.at) {
        None => Start::Outermost,
        Some(At::Including(point)) => Start::Including(point.try_into()?),
        Some(At::Excluding(point)) => Start::Excluding(point.try_into()?),
    })
}

impl From<Expected> for v1::Expected {
    fn from(expected: Expected) -> Self {
        use v1::expected::Is;
        let is = match expected {
            Expected::Any => Is::Any(v1::Everything {}),
            Expected::NoStream => Is::NoStream(v1::Everything {}),
            Expected::Exists => Is::Exists(v1::Everything {}),
            Expected::Exactly(version) => Is::Exactly(version),
        };
        v1::Expected { is: Some(is) }
    }
}

/// Reads the expected state of a stream; an absent message expects nothing.
pub(crate) fn expected(expected: Option<v1::Expected>) -> Expected {
    use v1::expected::Is;
    match expected.and_then(|expected| expected.is) {
        None | Some(Is::Any(_)) => Expected::Any,
        Some(Is::NoStream(_)) => Expected::NoStream,
        Some(Is::Exists(_)) => Expected::Exists,
        Some(Is::Exactly(version)) => Expected::Exactly(version),
    }
}
