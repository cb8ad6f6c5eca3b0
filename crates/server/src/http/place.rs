//! The parameters for where a read begins.

use leftfold_api::{Point, Start};

use super::problem::Problem;

const ALLOWED: &str = "a point is written cursor:..., position:17, version:3, ordinal:3 or \
                       committed:2026-03-01T12:00:00Z; a cursor may be written alone";

/// Parses a point.
pub(super) fn point(text: &str) -> Result<Point, Problem> {
    let wrong = || Problem::new("parameter_invalid", format!("{text:?}: {ALLOWED}"));
    let Some((kind, at)) = text.split_once(':') else {
        let not_a_cursor = |_| Problem::new("cursor_invalid", format!("{text:?}: {ALLOWED}"));
        return Ok(Point::Cursor(text.parse().map_err(not_a_cursor)?));
    };
    let number = || at.parse::<u64>().map_err(|_| wrong());
    Ok(match kind {
        "cursor" => Point::Cursor(at.parse()?),
        "position" => Point::Position(number()?),
        "version" => Point::Version(number()?),
        "ordinal" => Point::Ordinal(number()?),
        "committed" => Point::CommitTime(at.parse()?),
        _ => return Err(wrong()),
    })
}

/// Parses where to begin: with the event at `from`, or after the event at `after`.
pub(super) fn place(from: Option<&str>, after: Option<&str>) -> Result<Start, Problem> {
    match (from, after) {
        (None, None) => Ok(Start::Outermost),
        (Some(from), None) => Ok(Start::Including(point(from)?)),
        (None, Some(after)) => Ok(Start::Excluding(point(after)?)),
        (Some(_), Some(_)) => {
            Err(Problem::new("parameter_invalid", "give from or after, not both"))
        }
    }
}
