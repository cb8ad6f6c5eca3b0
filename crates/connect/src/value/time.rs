//! Parses dates and times and converts them to microseconds.
//!
//! A text with an offset or `Z` is absolute. A local time is a time in the mapping's zone. Where
//! clocks go back and it occurs twice, the first occurrence counts. Where clocks go forward and it
//! does not occur, the gap is added. A date is the first moment of that day, in its own offset if
//! it has one and in the zone otherwise.

use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::strtime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use leftfold_api::Timestamp;

/// Which forms a text may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    Date,
    DateTime,
    Either,
}

/// A date or time as written, before a zone is applied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moment {
    date: Date,
    time: Option<Time>,
    offset: Option<Offset>,
}

impl Moment {
    /// Returns the moment of a day, and of a time and offset if they are given.
    pub(super) fn new(date: Date, time: Option<Time>, offset: Option<Offset>) -> Moment {
        Moment { date, time, offset }
    }

    /// Reads `YYYY-MM-DD` or `YYYY-MM-DDThh:mm[:ss[.fraction]]`, each with or without an offset.
    pub(crate) fn parse(text: &str, shape: Shape) -> Option<Moment> {
        let date = parse_date(text.get(..10)?)?;
        let rest = &text[10..];
        let has_time = rest.starts_with(['T', ' ']);
        match (shape, has_time) {
            (Shape::Date, true) | (Shape::DateTime, false) => return None,
            _ => {}
        }
        if !has_time {
            return Some(Moment { date, time: None, offset: parse_offset(rest)? });
        }
        let clock = &rest[1..];
        let end = clock.find(['Z', '+', '-']).unwrap_or(clock.len());
        let (clock, offset) = (&clock[..end], parse_offset(&clock[end..])?);
        if is_end_of_day(clock) {
            return Some(Moment { date: date.tomorrow().ok()?, time: Some(Time::MIN), offset });
        }
        Some(Moment { date, time: Some(parse_time(clock)?), offset })
    }

    /// Parses a text with the mapping's `strptime` format.
    pub(crate) fn parse_format(text: &str, format: &str, shape: Shape) -> Option<Moment> {
        let parts = strtime::parse(format, text).ok()?;
        // A format without an hour would yield midnight, which the text does not say.
        let clock = if shape == Shape::Date { None } else { parts.hour() };
        let time = clock.and_then(|_| parts.to_time().ok());
        if shape == Shape::DateTime && time.is_none() {
            return None;
        }
        Some(Moment { date: parts.to_date().ok()?, time, offset: parts.offset() })
    }

    /// Appends the ISO 8601 form, for moments that were written in another format.
    pub(crate) fn write_iso(&self, out: &mut String) {
        out.push_str(&self.date.to_string());
        if let Some(time) = self.time {
            out.push('T');
            out.push_str(&time.to_string());
        }
        if let Some(offset) = self.offset {
            let minutes = offset.seconds() / 60;
            let (sign, minutes) = if minutes < 0 { ('-', -minutes) } else { ('+', minutes) };
            out.push_str(&format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
        }
    }

    /// Returns the microseconds since 1970, or `None` outside of the years 0 to 9999.
    pub(crate) fn micros(&self, zone: &TimeZone) -> Option<i64> {
        let local = DateTime::from_parts(self.date, self.time.unwrap_or_default());
        let offset = match (self.offset, self.time) {
            (Some(offset), _) => offset,
            (None, Some(_)) => first_offset(zone, local),
            (None, None) => match zone.to_ambiguous_zoned(local).compatible() {
                Ok(zoned) => return Some(zoned.start_of_day().ok()?.timestamp().as_microsecond()),
                // A day at the end of the calendar.
                Err(_) => first_offset(zone, local),
            },
        };
        Timestamp::of_local(local, offset.seconds()).ok().map(Timestamp::micros)
    }
}

/// Returns the offset of a local time: of the first occurrence if it occurs twice, and of the time before
/// a gap.
fn first_offset(zone: &TimeZone, local: DateTime) -> Offset {
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset,
        AmbiguousOffset::Gap { before, .. } | AmbiguousOffset::Fold { before, .. } => before,
    }
}

fn parse_date(text: &str) -> Option<Date> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let year = number(&bytes[..4])?;
    Date::new(year as i16, number(&bytes[5..7])? as i8, number(&bytes[8..])? as i8).ok()
}

fn parse_time(text: &str) -> Option<Time> {
    let bytes = text.as_bytes();
    let hour = number(bytes.get(..2)?)?;
    let minute = number(bytes.get(3..5)?)?;
    let (second, fraction) = match bytes.get(5..)? {
        [] => (0, &[][..]),
        [b':', a, b] => (number(&[*a, *b])?, &[][..]),
        [b':', a, b, b'.', fraction @ ..] => (number(&[*a, *b])?, fraction),
        _ => return None,
    };
    if bytes[2] != b':' || (bytes.len() > 8 && fraction.is_empty()) || fraction.len() > 9 {
        return None;
    }
    let nanos = number(fraction)? * 10_i32.pow(9 - fraction.len() as u32);
    // A leap second counts as the second before it, as everywhere else.
    let second = if second == 60 { 59 } else { second };
    Time::new(hour as i8, minute as i8, second as i8, nanos).ok()
}

/// Returns whether a time is ISO 8601's 24:00, the first moment of the next day.
fn is_end_of_day(text: &str) -> bool {
    let zeros = |text: &str| text.bytes().all(|byte| matches!(byte, b'0' | b':' | b'.'));
    text.strip_prefix("24")
        .is_some_and(|rest| zeros(rest) && parse_time(&["00", rest].concat()).is_some())
}

/// Parses the offset at the end of a text; `None` if the text is not an offset.
fn parse_offset(text: &str) -> Option<Option<Offset>> {
    let bytes = text.as_bytes();
    let sign = match bytes {
        [] => return Some(None),
        [b'Z'] => return Some(Some(Offset::UTC)),
        [b'+', _, _, b':', _, _] => 1,
        [b'-', _, _, b':', _, _] => -1,
        _ => return None,
    };
    let (hours, minutes) = (number(&bytes[1..3])?, number(&bytes[4..6])?);
    if minutes > 59 {
        return None;
    }
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok().map(Some)
}

/// Parses at most nine digits; no digits are zero.
fn number(digits: &[u8]) -> Option<i32> {
    digits.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + i32::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, zone: &str) -> Option<String> {
        let zone = TimeZone::get(zone).unwrap();
        let micros = Moment::parse(text, Shape::Either)?.micros(&zone)?;
        Some(Timestamp(micros).to_string())
    }

    #[test]
    fn the_zone_counts_only_where_the_text_has_no_offset() {
        for (text, expected) in [
            ("2024-01-31", "2024-01-30T23:00:00Z"),
            ("2024-07-31", "2024-07-30T22:00:00Z"),
            ("2024-01-31Z", "2024-01-31T00:00:00Z"),
            ("2024-01-31-05:00", "2024-01-31T05:00:00Z"),
            ("2024-01-31T10:20", "2024-01-31T09:20:00Z"),
            ("2024-01-31T10:20:30.1234567", "2024-01-31T09:20:30.123456Z"),
            ("2024-01-31T10:20:30Z", "2024-01-31T10:20:30Z"),
            ("2024-01-31 10:20:30+05:30", "2024-01-31T04:50:30Z"),
            ("2024-01-31T24:00:00", "2024-01-31T23:00:00Z"),
            ("2024-02-29T24:00Z", "2024-03-01T00:00:00Z"),
            ("2024-12-31T24:00:00.000+01:00", "2024-12-31T23:00:00Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
            ("9999-12-31", "9999-12-30T23:00:00Z"),
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
            ("9999-12-31T23:59:59", "9999-12-31T22:59:59Z"),
        ] {
            assert_eq!(at(text, "Europe/Berlin").as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn clock_changes_follow_the_documented_rule() {
        let berlin = "Europe/Berlin";
        assert_eq!(at("2024-10-27T02:30:00", berlin).unwrap(), "2024-10-27T00:30:00Z");
        assert_eq!(at("2024-03-31T02:30:00", berlin).unwrap(), "2024-03-31T01:30:00Z");
        // In Beirut midnight itself was skipped: that day began at one o'clock.
        assert_eq!(at("2024-03-31", "Asia/Beirut").unwrap(), "2024-03-30T22:00:00Z");
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "2024",
            "2024-02-30",
            "2024-1-1",
            "20240131",
            "2024-01-31T",
            "2024-01-31T1",
            "2024-01-31T24:00:01",
            "2024-01-31T24:01",
            "2024-01-31T24",
            "2024-01-31T25:00:00",
            "9999-12-31T24:00:00",
            "2024-01-31T10:20:30.",
            "2024-01-31T10:20:30[Europe/Berlin]",
            "2024-01-31T10:20:30.1234567890",
            "2024-01-31+1",
            "2024-01-31x",
            "ü024-01-31",
        ] {
            assert_eq!(Moment::parse(text, Shape::Either), None, "{text}");
        }
        assert_eq!(Moment::parse("2024-01-31", Shape::DateTime), None);
        assert_eq!(Moment::parse("2024-01-31T10:00", Shape::Date), None);
    }

    #[test]
    fn a_format_of_the_mapping_gives_the_iso_form() {
        let check = |text, format, shape, expected: Option<&str>| {
            let iso = Moment::parse_format(text, format, shape).map(|moment| {
                let mut iso = String::new();
                moment.write_iso(&mut iso);
                iso
            });
            assert_eq!(iso.as_deref(), expected, "{text}");
        };
        check("31.01.2024", "%d.%m.%Y", Shape::Date, Some("2024-01-31"));
        check("31.01.2024", "%d.%m.%Y", Shape::DateTime, None);
        let long = Some("2024-01-31T09:05:00-05:30");
        check("1/31/2024 9:05 -0530", "%m/%d/%Y %H:%M %z", Shape::DateTime, long);
        check("2024", "%d.%m.%Y", Shape::Date, None);
    }
}
