use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::Invalid;
use crate::query::Query;

/// Which events of a stream, or of a rule's query, are no longer wanted. Nothing is dropped unless
/// this says so.
///
/// What it drops is not read and not delivered any more, at once; its metadata and data are removed
/// from the disk when the store is scavenged. Versions, ordinals, positions, event ids and
/// conditions stay as they are.
///
/// ```
/// use std::time::Duration;
/// use leftfold_api::Retention;
///
/// let month = Retention::default().max_age(Duration::from_secs(30 * 24 * 3600)).max_count(1_000);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// The newest so many events of a stream are kept.
    pub max_count: Option<u64>,
    /// Events are kept for so long after their commit time.
    pub max_age: Option<Duration>,
    /// Events before this version are dropped; for a stream only.
    pub truncate_before: Option<u64>,
}

/// Retention for all that a query yields, also for what comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionRule {
    /// Its name.
    pub name: String,
    /// Which events. With a maximal count it must select whole streams: by name, prefix or category.
    pub query: Query,
    /// What is kept of them.
    pub retention: Retention,
}

impl Retention {
    /// The newest so many events of a stream are kept.
    pub fn max_count(mut self, events: u64) -> Self {
        self.max_count = Some(events);
        self
    }

    /// Events are kept for so long after their commit time.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Events before this version are dropped.
    pub fn truncate_before(mut self, version: u64) -> Self {
        self.truncate_before = Some(version);
        self
    }

    /// Whether it drops nothing.
    pub fn keeps_all(&self) -> bool {
        *self == Retention::default()
    }

    /// Refuses retention that keeps nothing.
    ///
    /// # Errors
    /// `retention_invalid`.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.max_count == Some(0) {
            let message = "a maximal count of 0 events keeps nothing; delete the stream instead";
            return Err(Invalid::new("retention_invalid", message));
        }
        Ok(())
    }

    /// Events whose commit time is earlier are too old at this time.
    pub fn cutoff(&self, now: i64) -> i64 {
        let micros = self.max_age.map(|age| i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
        micros.map_or(i64::MIN, |micros| now.saturating_sub(micros))
    }

    /// Events of a stream that ends with this version are dropped before the answer.
    pub fn first_kept(&self, last: u64) -> u64 {
        let by_count = self.max_count.map_or(0, |count| (last + 1).saturating_sub(count));
        by_count.max(self.truncate_before.unwrap_or(0))
    }
}

/// As it stands in the log: one `name=value` a line.
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

    /// Reads what was written; names that a later release may have added are an error, because to
    /// pass over them might drop too much.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let mut retention = Retention::default();
        for line in text.lines() {
            let wrong = || Invalid::new("retention_invalid", format!("{line:?} is not known"));
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
    fn reads_what_it_wrote_and_refuses_what_it_does_not_know() {
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
    fn the_strictest_of_count_and_truncation_counts() {
        let retention = Retention::default().max_count(3).truncate_before(2);
        assert_eq!([0, 2, 3, 4, 9].map(|last| retention.first_kept(last)), [2, 2, 2, 2, 7]);
        assert_eq!(Retention::default().max_age(Duration::MAX).cutoff(5), 5 - i64::MAX);
        assert_eq!(Retention::default().cutoff(5), i64::MIN);
    }
}
