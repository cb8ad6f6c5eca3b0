use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, date};
use jiff::fmt::temporal::Pieces;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Invalid;

/// A point in time, in microseconds since 1970-01-01T00:00:00Z. Shown as RFC 3339 in UTC.
///
/// It converts from and to [`SystemTime`] and, with the feature `jiff`, `jiff::Timestamp`. The current
/// time comes from a clock that the program chooses; `Timestamp::from(SystemTime::now())` is the
/// system's.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use leftfold_api::Timestamp;
///
/// let start: Timestamp = "2026-03-01T12:00:00Z".parse()?;
/// let end = start + Duration::from_secs(90);
/// assert_eq!(end.to_string(), "2026-03-01T12:01:30Z");
/// assert_eq!(end - start, Duration::from_secs(90));
/// assert!(Timestamp::from(SystemTime::now()) > Timestamp(0));
/// # Ok::<(), leftfold_api::Invalid>(())
/// ```
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

/// Writes RFC 3339 in human-readable formats, as [`Display`](fmt::Display) does, and microseconds in
/// others.
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serializer.is_human_readable() {
            true => serializer.collect_str(self),
            false => serializer.serialize_i64(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return i64::deserialize(deserializer).map(Timestamp);
        }
        struct Reader;

        impl serde::de::Visitor<'_> for Reader {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as 2026-03-01T12:00:00Z")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Reader)
    }
}

/// Returns the microseconds of a duration, saturating.
fn micros_of(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// Adds a duration, cut to microseconds, and saturates.
impl Add<Duration> for Timestamp {
    type Output = Timestamp;

    fn add(self, time: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(micros_of(time)))
    }
}

/// Subtracts a duration, cut to microseconds, and saturates.
impl Sub<Duration> for Timestamp {
    type Output = Timestamp;

    fn sub(self, time: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(micros_of(time)))
    }
}

impl AddAssign<Duration> for Timestamp {
    fn add_assign(&mut self, time: Duration) {
        *self = *self + time;
    }
}

impl SubAssign<Duration> for Timestamp {
    fn sub_assign(&mut self, time: Duration) {
        *self = *self - time;
    }
}

/// Returns the duration since an earlier time, or zero if it is later, as
/// [`Instant`](std::time::Instant) does.
impl Sub for Timestamp {
    type Output = Duration;

    fn sub(self, earlier: Timestamp) -> Duration {
        let micros = i128::from(self.0) - i128::from(earlier.0);
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }
}

/// Cuts to the microsecond before, and saturates.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Timestamp(micros_of(after)),
            Err(before) => {
                let micros = before.duration().as_nanos().div_ceil(1_000);
                Timestamp(i64::try_from(micros).map_or(i64::MIN, |micros| -micros))
            }
        }
    }
}

/// # Errors
/// `time_invalid`: the operating system's type can't hold it. On Unix it holds every time.
impl TryFrom<Timestamp> for SystemTime {
    type Error = Invalid;

    fn try_from(time: Timestamp) -> Result<Self, Invalid> {
        let since = Duration::from_micros(time.0.unsigned_abs());
        let converted = match time.0 {
            0.. => UNIX_EPOCH.checked_add(since),
            _ => UNIX_EPOCH.checked_sub(since),
        };
        converted.ok_or_else(|| not_convertible(time, "a SystemTime"))
    }
}

/// Cuts to microseconds, towards 1970.
#[cfg(feature = "jiff")]
impl From<jiff::Timestamp> for Timestamp {
    fn from(time: jiff::Timestamp) -> Self {
        Timestamp(time.as_microsecond())
    }
}

/// # Errors
/// `time_invalid`: `jiff` has timestamps up to 9999-12-30T22:00:00Z.
#[cfg(feature = "jiff")]
impl TryFrom<Timestamp> for jiff::Timestamp {
    type Error = Invalid;

    fn try_from(time: Timestamp) -> Result<Self, Invalid> {
        jiff::Timestamp::from_microsecond(time.0)
            .map_err(|_| not_convertible(time, "a jiff::Timestamp"))
    }
}

fn not_convertible(time: Timestamp, to: &str) -> Invalid {
    Invalid::new("time_invalid", format!("{time} is out of the range of {to}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serde_writes_and_reads_text() {
        let time: Timestamp = "2026-03-01T12:00:00.5Z".parse().unwrap();
        let json = serde_json::to_string(&time).unwrap();
        assert_eq!(json, r#""2026-03-01T12:00:00.5Z""#);
        assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), time);
        let escaped = serde_json::from_str::<Timestamp>(r#""2026-03-01\u005412:00:00.5Z""#);
        assert_eq!(escaped.unwrap(), time);
        let error = serde_json::from_str::<Timestamp>(r#""yesterday""#).unwrap_err().to_string();
        assert!(error.contains("is not a time"), "{error}");
        assert!(serde_json::from_str::<Timestamp>("17").is_err());
    }

    #[test]
    fn durations_are_added_and_subtracted_and_saturate() {
        let time = Timestamp(5_000_000);
        let second = Duration::from_secs(1);
        assert_eq!((time + second, time - second), (Timestamp(6_000_000), Timestamp(4_000_000)));
        assert_eq!((time + second) - time, second);
        assert_eq!(time - (time + second), Duration::ZERO);
        assert_eq!(Timestamp(i64::MAX) - Timestamp(i64::MIN), Duration::from_micros(u64::MAX));
        assert_eq!(time + Duration::MAX, Timestamp(i64::MAX));
        assert_eq!(Timestamp(-2) - Duration::MAX, Timestamp(i64::MIN));
        let mut moved = time;
        moved += second;
        moved -= second + second;
        assert_eq!(moved, Timestamp(4_000_000));
    }

    #[test]
    fn converts_from_and_to_system_time() {
        for micros in [0, 1, -1, 1_772_366_400_000_001, -62_167_219_200_000_000] {
            let time = Timestamp(micros);
            assert_eq!(Timestamp::from(SystemTime::try_from(time).unwrap()), time);
        }
        let nanos = Duration::from_nanos(1_999);
        assert_eq!(Timestamp::from(UNIX_EPOCH + nanos), Timestamp(1));
        assert_eq!(Timestamp::from(UNIX_EPOCH - nanos), Timestamp(-2));
    }

    #[cfg(feature = "jiff")]
    #[test]
    fn converts_from_and_to_jiff() {
        let time: jiff::Timestamp = "2026-03-01T12:00:00.000001Z".parse().unwrap();
        assert_eq!(Timestamp::from(time).to_string(), "2026-03-01T12:00:00.000001Z");
        assert_eq!(jiff::Timestamp::try_from(Timestamp::from(time)).unwrap(), time);
        let error = jiff::Timestamp::try_from(Timestamp::MAX).unwrap_err();
        assert_eq!(error.code, "time_invalid");
    }

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
