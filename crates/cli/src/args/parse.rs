//! Values of flags, from their text.

use std::time::Duration;

use leftfold::{Compression, Expected, Point};

pub(super) fn packing(text: &str) -> Result<Compression, String> {
    match text {
        "off" => Ok(Compression::Off),
        "fast" => Ok(Compression::Fast),
        "small" => Ok(Compression::Small),
        _ => Err("expected off, fast or small".to_owned()),
    }
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

pub(super) fn point(text: &str) -> Result<Point, String> {
    let allowed = "expected position:17, version:3, ordinal:3, committed:2026-03-01 or cursor:...";
    let (kind, at) = text.split_once(':').ok_or(allowed)?;
    let number = || at.parse::<u64>().map_err(|_| format!("{at} is not a number; {allowed}"));
    Ok(match kind {
        "position" => Point::Position(number()?),
        "version" => Point::Version(number()?),
        "ordinal" => Point::Ordinal(number()?),
        "committed" => {
            Point::CommitTime(at.parse().map_err(|error: leftfold::Invalid| error.message)?)
        }
        "cursor" => Point::Cursor(at.parse().map_err(|error: leftfold::Invalid| error.message)?),
        _ => return Err(allowed.to_owned()),
    })
}
