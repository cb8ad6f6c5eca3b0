use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, date};
use jiff::fmt::temporal::Pieces;

use crate::error::Invalid;

/// A point in time, in microseconds since 1970-01-01T00:00:00Z. Shown as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The first time that RFC 3339 can write: 0000-01-01T00:00:00Z.
    pub const MIN: Timestamp = Timestamp(-62_167_219_200_000_000);
    /// The last time that RFC 3339 can write: 9999-12-31T23:59:59.999999Z.
    pub const MAX: Timestamp = Timestamp(253_402_300_799_999_999);

    /// Returns the microseconds since 1970.
    pub fn micros(self) -> i64 {
        self.0
    }

    /// Returns the time at which a clock shows `local` that is `offset_seconds` ahead of UTC.
    ///
    /// # Errors
    /// `time_invalid`: it lies before [`Timestamp::MIN`] or after [`Timestamp::MAX`].
    pub fn of_local(local: DateTime, offset_seconds: i32) -> Result<Self, Invalid> {
        let since_epoch = local.duration_since(date(1970, 1, 1).at(0, 0, 0, 0));
        let micros = since_epoch.as_micros() - i128::from(offset_seconds) * 1_000_000;
        let micros = i64::try_from(micros).unwrap_or(i64::MAX);
        Timestamp(micros).checked()
    }

    /// Checks that RFC 3339 can write it.
    ///
    /// # Errors
    /// `time_invalid`: it lies before [`Timestamp::MIN`] or after [`Timestamp::MAX`].
    pub fn checked(self) -> Result<Self, Invalid> {
        match (Self::MIN..=Self::MAX).contains(&self) {
            true => Ok(self),
            false => {
                let message = format!(
                    "a time of {} microseconds since 1970 is out of range: times are from {} to {}",
                    self.0,
                    Self::MIN,
                    Self::MAX
                );
                Err(Invalid::new("time_invalid", message))
            }
        }
    }
}

/// Writes RFC 3339. A time out of range, which only earlier releases stored, is shown as the nearest in
/// range.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = (*self).clamp(Self::MIN, Self::MAX).0;
        if let Ok(time) = jiff::Timestamp::from_microsecond(micros) {
            return write!(f, "{time}");
        }
        // `jiff` has no timestamps on the last day, which other offsets may need.
        let epoch = date(1970, 1, 1).at(0, 0, 0, 0);
        match epoch.checked_add(SignedDuration::from_micros(micros)) {
            Ok(time) => write!(f, "{time}Z"),
            Err(_) => write!(f, "{micros}us"),
        }
    }
}

impl FromStr for Timestamp {
    type Err = Invalid;

    /// Reads RFC 3339 (`2026-03-01T12:00:00Z`), or a date, which means its start in UTC. A leap second
    /// counts as the second before it.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let not_a_time = || {
            let message = format!(
                "{:?} is not a time: write it as 2026-03-01T12:00:00Z, or as a date such as 2026-03-01",
                crate::error::shortened(text)
            );
            Invalid::new("time_invalid", message)
        };
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return Timestamp(time.as_microsecond()).checked();
        }
        if text.len() == 10
            && let Ok(date) = text.parse::<Date>()
        {
            return Timestamp::of_local(date.at(0, 0, 0, 0), 0);
        }
        let pieces = Pieces::parse(text).map_err(|_| not_a_time())?;
        match (pieces.time(), pieces.to_numeric_offset(), pieces.time_zone_annotation()) {
            (Some(time), Some(offset), None) => {
                Timestamp::of_local(pieces.date().to_datetime(time), offset.seconds())
            }
            _ => Err(not_a_time()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_prints() {
        for text in [
            "2026-03-01T12:00:00Z",
            "2026-03-01T12:00:00.000001Z",
            "1969-12-31T23:59:59Z",
            "0000-01-01T00:00:00Z",
            "9999-12-31T00:00:00Z",
            "9999-12-31T23:59:59.999999Z",
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
        for (text, same) in [
            ("2026-03-01", "2026-03-01T00:00:00Z"),
            ("9999-12-31", "9999-12-31T00:00:00Z"),
            ("9999-12-31T23:00:00+02:00", "9999-12-31T21:00:00Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
            ("2016-12-31T23:59:60+01:00", "2016-12-31T22:59:59Z"),
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), same);
        }
        assert_eq!(Timestamp::MIN.to_string(), "0000-01-01T00:00:00Z");
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999999Z");
    }

    #[test]
    fn refuses_what_rfc_3339_can_not_write() {
        for text in [
            "yesterday",
            "-000001-12-31T23:59:59Z",
            "0000-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59-01:00",
            "+010000-01-01T00:00:00Z",
            "2026-03-01T12:00:00",
            "2026-03-01T12:00:61Z",
            "",
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap_err().code, "time_invalid", "{text}");
        }
        for micros in [i64::MIN, Timestamp::MIN.0 - 1, Timestamp::MAX.0 + 1, i64::MAX] {
            assert_eq!(Timestamp(micros).checked().unwrap_err().code, "time_invalid");
            let shown = Timestamp(micros).to_string();
            assert_eq!(shown.parse::<Timestamp>().unwrap().to_string(), shown, "{micros}");
        }
        let long = "x".repeat(50_000).parse::<Timestamp>().unwrap_err();
        assert!(long.message.len() < 500, "{}", long.message.len());
    }
}
