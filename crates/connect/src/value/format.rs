//! The formats of dates and times that a mapping may give instead of ISO 8601.

use super::decimal::{Exact, Exponent, canonical};
use super::ofx;
use super::time::{Moment, Shape};
use jiff::civil::date;
use jiff::fmt::strtime;
use jiff::tz::{Offset, TimeZone};
use leftfold_api::Timestamp;

/// One format of a date or time.
#[derive(Clone, Debug)]
pub(crate) enum TimeFormat {
    /// ISO 8601, for lists of formats that include it.
    Iso,
    /// A number of seconds, or parts of a second, since 1970-01-01T00:00:00Z.
    Epoch(Unit),
    /// The times of OFX, such as `20240131120000.000[-5:EST]`.
    Ofx,
    /// `strptime` directives.
    Directives(String),
}

/// The unit of an epoch time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unit {
    Seconds,
    Millis,
    Micros,
}

const UNITS: [(&str, Unit, i128); 3] = [
    ("epoch_s", Unit::Seconds, 1_000_000),
    ("epoch_ms", Unit::Millis, 1_000),
    ("epoch_us", Unit::Micros, 1),
];

impl TimeFormat {
    /// Compiles a format of a mapping; the error is a sentence.
    pub(crate) fn parse(text: &str, shape: Shape) -> Result<TimeFormat, String> {
        if text == "iso" {
            return Ok(TimeFormat::Iso);
        }
        if text == "ofx" {
            return Ok(TimeFormat::Ofx);
        }
        if let Some((_, unit, _)) = UNITS.iter().find(|(name, ..)| *name == text) {
            return match shape {
                Shape::Date => Err(format!("'{text}' needs type = datetime, not date")),
                Shape::DateTime | Shape::Either => Ok(TimeFormat::Epoch(*unit)),
            };
        }
        check_directives(text, shape)?;
        Ok(TimeFormat::Directives(text.to_owned()))
    }

    /// Returns the format as the mapping has it.
    pub(crate) fn written(&self) -> &str {
        match self {
            TimeFormat::Iso => "iso",
            TimeFormat::Ofx => "ofx",
            TimeFormat::Epoch(unit) => {
                UNITS.iter().find(|(_, known, _)| known == unit).map_or("", |(name, ..)| name)
            }
            TimeFormat::Directives(text) => text,
        }
    }

    /// Returns the format for people.
    pub(crate) fn shown(&self) -> &str {
        match self {
            TimeFormat::Ofx => "YYYYMMDD or YYYYMMDDhhmmss, with .XXX and [offset] behind it",
            format => format.written(),
        }
    }

    /// Reads `text` and appends its ISO 8601 form to `out`.
    pub(crate) fn read(&self, text: &str, shape: Shape, out: &mut String) -> Option<()> {
        match self {
            TimeFormat::Iso => {
                Moment::parse(text, shape)?;
                out.push_str(text);
            }
            TimeFormat::Ofx => ofx::parse(text, shape)?.write_iso(out),
            TimeFormat::Epoch(unit) => out.push_str(&epoch(text, *unit)?.to_string()),
            TimeFormat::Directives(format) => {
                Moment::parse_format(text, format, shape)?.write_iso(out);
            }
        }
        Some(())
    }
}

/// Reads a number of units since 1970, which may have decimal places.
fn epoch(text: &str, unit: Unit) -> Option<Timestamp> {
    let mut plain = String::new();
    canonical(text, Exponent::Allowed, &mut plain)?;
    let (_, _, micros) = UNITS.iter().find(|(_, known, _)| *known == unit)?;
    let micros = Exact::parse(&plain)?.times_floor(*micros)?;
    let micros = i64::try_from(micros).ok()?;
    // Times outside of the years 0 to 9999 have no ISO form.
    let stamp = jiff::Timestamp::from_microsecond(micros).ok()?;
    (0..=9999).contains(&Offset::UTC.to_datetime(stamp).year()).then_some(Timestamp(micros))
}

/// Refuses directives that no text can satisfy: unknown ones, and those that leave the day or the hour open.
///
/// A time is written with them and must be read back.
fn check_directives(format: &str, shape: Shape) -> Result<(), String> {
    let sample = date(2024, 11, 27).at(13, 45, 56, 0).to_zoned(TimeZone::UTC);
    let sample = sample.map_err(|error| error.to_string())?;
    let text = strtime::format(format, &sample)
        .map_err(|error| format!("'{format}' is not a format: {error}"))?;
    strtime::parse(format, &text)
        .map_err(|error| format!("'{format}' is not a format: {error}"))?;
    match Moment::parse_format(&text, format, shape) {
        Some(_) => Ok(()),
        None => {
            let needed = match shape {
                Shape::Date | Shape::Either => "a day, such as \"%d.%m.%Y\"",
                Shape::DateTime => "a day and an hour, such as \"%d.%m.%Y %H:%M\"",
            };
            Err(format!("'{format}' does not give {needed}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iso(format: &str, shape: Shape, text: &str) -> Option<String> {
        let mut out = String::new();
        TimeFormat::parse(format, shape).unwrap().read(text, shape, &mut out).map(|()| out)
    }

    #[test]
    fn epochs_become_iso_times() {
        for (format, text, expected) in [
            ("epoch_s", "1589355606", Some("2020-05-13T07:40:06Z")),
            ("epoch_s", "1589355606.1234567", Some("2020-05-13T07:40:06.123456Z")),
            ("epoch_s", "-1", Some("1969-12-31T23:59:59Z")),
            ("epoch_s", "1.589355606e9", Some("2020-05-13T07:40:06Z")),
            ("epoch_ms", "1589355606100", Some("2020-05-13T07:40:06.1Z")),
            ("epoch_ms", "-0.5", Some("1969-12-31T23:59:59.9995Z")),
            ("epoch_us", "1589355606100001", Some("2020-05-13T07:40:06.100001Z")),
            ("epoch_us", "0.9", Some("1970-01-01T00:00:00Z")),
            ("epoch_s", "2020-05-13", None),
            ("epoch_s", "1589355606100", None),
            ("epoch_s", "99999999999999999999999999999999999", None),
        ] {
            assert_eq!(iso(format, Shape::DateTime, text).as_deref(), expected, "{text} {format}");
        }
    }

    #[test]
    fn directives_are_checked_before_the_first_text() {
        for (format, shape, sentence) in [
            ("%d.%m.%Y %J", Shape::Date, "is not a format"),
            ("%d.%m", Shape::Date, "does not give a day"),
            ("day", Shape::Date, "does not give a day"),
            ("%d.%m.%Y", Shape::DateTime, "does not give a day and an hour"),
            ("%d.%m.%Y %", Shape::Date, "is not a format"),
            ("%s", Shape::DateTime, "does not give a day and an hour"),
            ("epoch_ms", Shape::Date, "needs type = datetime"),
        ] {
            let error = TimeFormat::parse(format, shape).unwrap_err();
            assert!(error.contains(sentence), "{error}");
        }
        for (format, shape) in [
            ("%d.%m.%Y", Shape::Date),
            ("%Y%m%d", Shape::Either),
            ("%m/%d/%y %I:%M %p", Shape::DateTime),
            ("%d %b %Y %H:%M:%S%.f %z", Shape::DateTime),
            ("%a, %d %b %Y %T %z", Shape::DateTime),
            ("%Y-%j", Shape::Date),
            ("%FT%T%:z", Shape::DateTime),
        ] {
            TimeFormat::parse(format, shape).unwrap();
        }
    }
}
