use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::Invalid;
use crate::query::Query;

/// The retention of a stream, or of the query of a retention rule. By default nothing is dropped.
///
/// Reads and subscriptions skip dropped events at once. Scavenging removes their metadata and data from the
/// disk. Versions, ordinals, positions, event ids and conditions do not change.
///
/// ```
/// use std::time::Duration;
/// use leftfold_api::Retention;
///
/// let month = Retention::default().max_age(Duration::from_secs(30 * 24 * 3600)).max_count(1_000);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// The number of newest events of a stream that are kept.
    pub max_count: Option<u64>,
    /// The time for which events are kept after their commit time.
    pub max_age: Option<Duration>,
    /// Events before this version are dropped. Not allowed in a rule.
    pub truncate_before: Option<u64>,
}

/// A retention rule: retention for past and future events of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionRule {
    /// The name.
    pub name: String,
    /// The query. With a maximal count it must select whole streams: by name, prefix or category.
    pub query: Query,
    /// The retention of its events.
    pub retention: Retention,
}

impl Retention {
    /// Keeps this number of the newest events of a stream.
    pub fn max_count(mut self, events: u64) -> Self {
        self.max_count = Some(events);
        self
    }

    /// Keeps events for this time after their commit time.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Drops events before this version.
    pub fn truncate_before(mut self, version: u64) -> Self {
        self.truncate_before = Some(version);
        self
    }

    /// Whether it drops nothing.
    pub fn keeps_all(&self) -> bool {
        *self == Retention::default()
    }

    /// Checks that the retention can keep events.
    ///
    /// # Errors
    /// `retention_invalid`.
    pub fn check(&self) -> Result<(), Invalid> {
        let what = match self {
            Retention { max_count: Some(0), .. } => "a maximal count of 0 events",
            Retention { max_age: Some(age), .. } if age.as_micros() == 0 => "a maximal age of 0",
            Retention { truncate_before: Some(u64::MAX), .. } => {
                "truncation before the greatest version"
            }
            _ => return Ok(()),
        };
        let message = format!("{what} keeps nothing; delete the stream instead");
        Err(Invalid::new("retention_invalid", message))
    }

    /// Returns the cutoff at a time: events with an earlier commit time are dropped.
    pub fn cutoff(&self, now: i64) -> i64 {
        let micros = self.max_age.map(|age| i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
        micros.map_or(i64::MIN, |micros| now.saturating_sub(micros))
    }

    /// Returns the first version that is kept in a stream with this last version.
    pub fn first_kept(&self, last: u64) -> u64 {
        let by_count = self.max_count.map_or(0, |count| (last + 1).saturating_sub(count));
        by_count.max(self.truncate_before.unwrap_or(0))
    }
}

/// Writes the form of the log: lines of `name=value`.
impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = [
            ("max_count", self.max_count.map(u128::from)),
            ("max_age_micros", self.max_age.map(|age| age.as_micros())),
            ("truncate_before", self.truncate_before.map(u128::from)),
        ];
        lines.iter().try_for_each(|(name, value)| match value {
            Some(value) => writeln!(f, "{name}={value}"),
            None => Ok(()),
        })
    }
}

impl FromStr for Retention {
    type Err = Invalid;

    /// Reads the form of the log. Unknown names are an error, because ignoring a setting of a later release
    /// could drop too many events.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let mut retention = Retention::default();
        for line in text.lines() {
            let wrong = || {
                Invalid::new(
                    "retention_invalid",
                    format!("{line:?} is not a retention setting of this release"),
                )
            };
            let (name, value) = line.split_once('=').ok_or_else(wrong)?;
            let value: u64 = value.parse().map_err(|_| wrong())?;
            match name {
                "max_count" => retention.max_count = Some(value),
                "max_age_micros" => retention.max_age = Some(Duration::from_micros(value)),
                "truncate_before" => retention.truncate_before = Some(value),
                _ => return Err(wrong()),
            }
        }
        Ok(retention)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own_text_and_refuses_unknown_settings() {
        let all =
            Retention::default().max_count(3).max_age(Duration::from_micros(7)).truncate_before(9);
        for retention in [all, Retention::default(), Retention::default().max_count(1)] {
            assert_eq!(retention.to_string().parse(), Ok(retention));
        }
        for text in ["keep=1", "max_count=-1", "max_count", "max_count=1\nwhat=2"] {
            assert!(text.parse::<Retention>().is_err(), "{text}");
        }
    }

    #[test]
    fn refuses_to_keep_nothing() {
        let all = Retention::default();
        for retention in [
            all.max_count(0),
            all.max_age(Duration::ZERO),
            all.max_age(Duration::from_nanos(999)),
            all.truncate_before(u64::MAX),
        ] {
            assert_eq!(retention.check().unwrap_err().code, "retention_invalid");
        }
        for retention in
            [all, all.max_count(1), all.max_age(Duration::from_micros(1)), all.truncate_before(9)]
        {
            retention.check().unwrap();
        }
    }

    #[test]
    fn the_stricter_of_count_and_truncation_applies() {
        let retention = Retention::default().max_count(3).truncate_before(2);
        assert_eq!([0, 2, 3, 4, 9].map(|last| retention.first_kept(last)), [2, 2, 2, 2, 7]);
        assert_eq!(Retention::default().max_age(Duration::MAX).cutoff(5), 5 - i64::MAX);
        assert_eq!(Retention::default().cutoff(5), i64::MIN);
    }
}
