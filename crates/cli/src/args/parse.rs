//! Values of flags, from their text.

use std::ops::RangeInclusive;
use std::time::Duration;

use leftfold::{Compression, Cursor, Expected, Point, Query, ReadLevel};
use uuid::Uuid;

use super::{StartPoint, ViewFrom};

pub(super) fn packing(text: &str) -> Result<Compression, String> {
    match text {
        "off" => Ok(Compression::Off),
        "fast" => Ok(Compression::Fast),
        "small" => Ok(Compression::Small),
        _ => Err("expected off, fast or small".to_owned()),
    }
}

pub(super) fn level(text: &str) -> Result<ReadLevel, String> {
    match text {
        "committed" => Ok(ReadLevel::Committed),
        "local" => Ok(ReadLevel::Local),
        "linearizable" => Ok(ReadLevel::Linearizable),
        _ => Err("expected committed, local or linearizable".to_owned()),
    }
}

/// Reads a whole number of at least one.
pub(super) fn count(text: &str) -> Result<u64, String> {
    within(text, 1..=u64::MAX, "expected a whole number from 1 on")
}

pub(super) fn number(text: &str) -> Result<u64, String> {
    within(text, 0..=u64::MAX, "expected a whole number")
}

pub(super) fn version(text: &str) -> Result<u64, String> {
    within(text, 0..=u64::MAX, "expected a version: a whole number from 0 on")
}

pub(super) fn partitions(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "expected a whole number from 1 to 1024".to_owned())
}

pub(super) fn entries(text: &str) -> Result<u64, String> {
    within(text, 2_000..=10_000_000, "expected a whole number from 2000 to 10000000")
}

pub(super) fn rejects(text: &str) -> Result<u64, String> {
    within(text, 0..=u64::MAX, "expected a whole number")
}

fn within(text: &str, allowed: RangeInclusive<u64>, expected: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| allowed.contains(number));
    number.ok_or_else(|| expected.to_owned())
}

/// Reads a whole number and a unit.
pub(super) fn age(text: &str) -> Result<Duration, String> {
    let allowed = "expected a number and a unit: 45s, 30m, 12h, 90d or 2y (of 365 days)";
    let mut rest = text.chars();
    let seconds = match rest.next_back() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        Some('y') => 365 * 86_400,
        _ => return Err(allowed.to_owned()),
    };
    let number: u64 = rest.as_str().parse().map_err(|_| allowed.to_owned())?;
    Ok(Duration::from_secs(number.checked_mul(seconds).ok_or(allowed)?))
}

pub(super) fn expected(text: &str) -> Result<Expected, String> {
    Ok(match text {
        "any" => Expected::Any,
        "no-stream" => Expected::NoStream,
        "exists" => Expected::Exists,
        version => {
            let allowed = "expected any, no-stream, exists, or a version such as 3";
            Expected::Exactly(version.parse().map_err(|_| allowed.to_owned())?)
        }
    })
}

pub(super) fn tag(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').ok_or("expected a tag such as key=value")?;
    Ok((parts.0.to_owned(), parts.1.to_owned()))
}

/// The points that a command line can name.
const POINTS: &str = "position:17, version:3, ordinal:3, committed:2026-03-01 or cursor:...";

pub(super) fn start(text: &str) -> Result<StartPoint, String> {
    if text == "end" {
        return Ok(StartPoint::End);
    }
    point_or(text, &format!("expected end, {POINTS}")).map(StartPoint::At)
}

pub(super) fn point(text: &str) -> Result<Point, String> {
    point_or(text, &format!("expected {POINTS}"))
}

fn point_or(text: &str, allowed: &str) -> Result<Point, String> {
    let (kind, at) = text.split_once(':').ok_or(allowed)?;
    let number = || at.parse::<u64>().map_err(|_| format!("{at} is not a number; {allowed}"));
    let or_allowed = |error: leftfold::Invalid| format!("{}; {allowed}", error.message);
    Ok(match kind {
        "position" => Point::Position(number()?),
        "version" => Point::Version(number()?),
        "ordinal" => Point::Ordinal(number()?),
        "committed" => Point::CommitTime(at.parse().map_err(or_allowed)?),
        "cursor" => Point::Cursor(at.parse().map_err(or_allowed)?),
        _ => return Err(allowed.to_owned()),
    })
}

/// Reads a cursor, with or without `cursor:` before it.
pub(super) fn cursor(text: &str) -> Result<Cursor, String> {
    let cursor = text.strip_prefix("cursor:").unwrap_or(text);
    cursor.parse().map_err(|error: leftfold::Invalid| error.message)
}

pub(super) fn view_from(text: &str) -> Result<ViewFrom, String> {
    match text {
        "start" => Ok(ViewFrom::Start),
        "now" => Ok(ViewFrom::Now),
        _ => {
            let cursor = cursor(text);
            cursor
                .map(ViewFrom::After)
                .map_err(|why| format!("expected start, now or a cursor: {why}"))
        }
    }
}

pub(super) fn id(text: &str) -> Result<Uuid, String> {
    let allowed = "expected a UUID such as 6fa459ea-ee8a-3ca4-894e-db77e160355e";
    text.parse().map_err(|_| allowed.to_owned())
}

/// Reads the query and the point of a condition.
pub(super) fn condition(query: &str, point: &str) -> Result<(Query, Point), String> {
    let allowed = "expected start, position:17 or cursor:... as the point of --none-after";
    let query = query.parse().map_err(|error: leftfold::Invalid| error.message)?;
    let point = match point {
        "start" => Point::Cursor(Cursor::START),
        _ => point_or(point, allowed)?,
    };
    match point {
        Point::Cursor(_) | Point::Position(_) => Ok((query, point)),
        _ => Err(allowed.to_owned()),
    }
}
