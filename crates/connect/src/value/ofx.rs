//! Reads the times of OFX.

use super::time::{Moment, Shape};
use jiff::civil::{Date, Time};
use jiff::tz::Offset;

/// Reads `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, with `.XXX` and `[hours:zone]` behind it, where hours may
/// have decimals.
pub(super) fn parse(text: &str, shape: Shape) -> Option<Moment> {
    let (clock, zone) = match text.split_once('[') {
        Some((clock, zone)) => (clock.trim_end(), Some(zone.strip_suffix(']')?)),
        None => (text, None),
    };
    let (digits, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let number = |from: usize, to: usize| {
        let part = digits.get(from..to)?;
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<i16>().ok())?
    };
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let date = Date::new(year, month as i8, day as i8).ok()?;
    let time = match (digits.len(), shape) {
        (8, _) | (12 | 14, Shape::Date) => None,
        (12 | 14, _) => {
            let second = if digits.len() == 14 { number(12, 14)? } else { 0 };
            let nanos = nanos(fraction)?;
            Some(Time::new(number(8, 10)? as i8, number(10, 12)? as i8, second as i8, nanos).ok()?)
        }
        _ => return None,
    };
    if shape == Shape::DateTime && time.is_none() {
        return None;
    }
    // The offset of a day would say nothing: the day is the one that the bank means.
    let offset = time.and(zone).map(offset);
    match offset {
        Some(None) => None,
        offset => Some(Moment::new(date, time, offset.flatten())),
    }
}

fn nanos(fraction: &str) -> Option<i32> {
    let is_number =
        (1..=9).contains(&fraction.len()) && fraction.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| format!("{fraction:0<9}").parse().ok())?
}

/// Reads `-5:EST`, `+5.5` or `0:GMT`.
fn offset(zone: &str) -> Option<Offset> {
    let hours = zone.split(':').next()?.trim();
    let (sign, hours) = match hours.strip_prefix('-') {
        Some(hours) => (-1, hours),
        None => (1, hours.strip_prefix('+').unwrap_or(hours)),
    };
    let (whole, part) = hours.split_once('.').unwrap_or((hours, "0"));
    let number = |text: &str| {
        let is_number = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| text.parse::<i32>().ok())?
    };
    // Hundredths of an hour.
    let hundredths = number(part)? * if part.len() == 1 { 10 } else { 1 };
    Offset::from_seconds(sign * (number(whole)? * 3600 + hundredths * 36)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_fraction_and_an_offset_in_hours() {
        for (text, iso) in [
            ("20130618", Some("2013-06-18")),
            ("20130525225731.258", Some("2013-05-25T22:57:31.258")),
            ("201305252257", Some("2013-05-25T22:57:00")),
            ("20120603203135.547[-7:PDT]", Some("2012-06-03T20:31:35.547-07:00")),
            ("20070315120000[+5.5:IST]", Some("2007-03-15T12:00:00+05:30")),
            ("20070315120000.000[-3.5]", Some("2007-03-15T12:00:00-03:30")),
            ("20070315120000 [0:GMT]", Some("2007-03-15T12:00:00+00:00")),
            ("20130230", None),
            ("20130618250000", None),
            ("2013061", None),
            ("20070315120000[x:EST]", None),
            ("20070315120000[-99:EST]", None),
            ("20070315120000[-5:EST", None),
            ("20180804093914:014", None),
            ("2013-06-18", None),
            ("ü0130618", None),
        ] {
            let found = parse(text, Shape::Either).map(|moment| {
                let mut out = String::new();
                moment.write_iso(&mut out);
                out
            });
            assert_eq!(found.as_deref(), iso, "{text}");
        }
        assert_eq!(parse("20130618", Shape::DateTime), None);
    }
}
