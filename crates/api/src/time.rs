use std::fmt;
use std::str::FromStr;

use crate::error::Invalid;

/// A point in time, in microseconds since 1970-01-01T00:00:00Z. Shown as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Returns the microseconds since 1970.
    pub fn micros(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(time) => write!(f, "{time}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = Invalid;

    /// Reads RFC 3339 (`2026-03-01T12:00:00Z`), or a date, which means its start in UTC.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let time = text.parse::<jiff::Timestamp>().ok().or_else(|| {
            let date = text.parse::<jiff::civil::Date>().ok().filter(|_| text.len() == 10)?;
            Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
        });
        time.map(|time| Timestamp(time.as_microsecond())).ok_or_else(|| {
            let message = format!(
                "{text:?} is not a time: write it as 2026-03-01T12:00:00Z, or as a date such as \
                 2026-03-01"
            );
            Invalid::new("time_invalid", message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_prints() {
        for text in ["2026-03-01T12:00:00Z", "2026-03-01T12:00:00.000001Z", "1969-12-31T23:59:59Z"]
        {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
        assert_eq!("2026-03-01".parse::<Timestamp>().unwrap().to_string(), "2026-03-01T00:00:00Z");
        assert_eq!("yesterday".parse::<Timestamp>().unwrap_err().code, "time_invalid");
    }
}
