//! How often and when a failed delivery is tried again.

use std::time::Duration;

use leftfold_fold::react::Retry;
use serde::Deserialize;

/// The most attempts that a definition can ask for.
const MOST_ATTEMPTS: u32 = 1_000;
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A time of a definition: a number and `ms`, `s`, `m`, `h` or `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Span(pub(crate) Duration);

/// The table `[retry]` of a definition.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetrySettings {
    attempts: Option<u32>,
    first: Option<Span>,
    longest: Option<Span>,
    /// The pauses between the attempts, instead of a back-off.
    schedule: Option<Vec<Span>>,
}

/// When a failed delivery is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RetryPlan {
    /// After a random time up to a bound that doubles.
    BackOff(Retry),
    /// After these pauses.
    Schedule(Vec<Duration>),
}

impl RetrySettings {
    /// Returns the plan; `usual` is that of the connector's kind.
    pub(crate) fn plan(&self, usual: RetryPlan) -> Result<RetryPlan, String> {
        let RetrySettings { attempts, first, longest, schedule } = self;
        if let Some(schedule) = schedule {
            if attempts.is_some() || first.is_some() || longest.is_some() {
                return Err(
                    "retry.schedule says all: leave out attempts, first and longest".to_owned()
                );
            }
            if schedule.len() >= MOST_ATTEMPTS as usize {
                return Err(format!("retry.schedule has more than {MOST_ATTEMPTS} pauses"));
            }
            return Ok(RetryPlan::Schedule(schedule.iter().map(|span| span.0).collect()));
        }
        if attempts.is_none() && first.is_none() && longest.is_none() {
            return Ok(usual);
        }
        let usual = match usual {
            RetryPlan::BackOff(usual) => usual,
            RetryPlan::Schedule(_) => Retry::default(),
        };
        let attempts = attempts.unwrap_or(usual.attempts);
        if !(1..=MOST_ATTEMPTS).contains(&attempts) {
            return Err(format!("retry.attempts is {attempts}, expected 1 to {MOST_ATTEMPTS}"));
        }
        let span = |span: &Option<Span>, usual| span.map_or(usual, |span| span.0);
        let (first, longest) = (span(first, usual.first), span(longest, usual.longest));
        Ok(RetryPlan::BackOff(Retry { attempts, first, longest: longest.max(first) }))
    }
}

impl RetryPlan {
    /// Returns the number of attempts.
    pub(crate) fn attempts(&self) -> u32 {
        match self {
            RetryPlan::BackOff(retry) => retry.attempts,
            RetryPlan::Schedule(pauses) => {
                u32::try_from(pauses.len()).unwrap_or(u32::MAX).saturating_add(1)
            }
        }
    }

    /// Returns the pause after this number of attempts; `None` for a back-off.
    pub(crate) fn pause(&self, attempts: u32) -> Option<Duration> {
        match self {
            RetryPlan::BackOff(_) => None,
            RetryPlan::Schedule(pauses) => pauses.get(attempts.saturating_sub(1) as usize).copied(),
        }
    }

    /// Returns the pause after this number of attempts, without chance.
    pub(crate) fn fixed_pause(&self, attempts: u32) -> Duration {
        match self {
            RetryPlan::BackOff(retry) => {
                let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
                retry.first.saturating_mul(doubled).min(retry.longest)
            }
            RetryPlan::Schedule(_) => self.pause(attempts).unwrap_or_default(),
        }
    }

    /// Returns the retries of the reactor that carries it out.
    pub(crate) fn of_reactor(&self) -> Retry {
        match self {
            RetryPlan::BackOff(retry) => *retry,
            RetryPlan::Schedule(_) => Retry { attempts: self.attempts(), ..Retry::default() },
        }
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is no time: expected a number and ms, s, m, h or d, at most 7d");
        let at = text.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(at);
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let span = number.checked_mul(millis).map(Duration::from_millis);
        span.filter(|span| *span <= LONGEST).map(Span).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        let span = |text: &str| Span::try_from(text.to_owned()).map(|span| span.0.as_millis());
        for (text, millis) in
            [("0s", 0), ("250ms", 250), ("5s", 5_000), ("2h", 7_200_000), ("7d", 604_800_000)]
        {
            assert_eq!(span(text), Ok(millis), "{text}");
        }
        for wrong in ["", "5", "s", "5 s", "-1s", "8d", "1w", "99999999999999999999h"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_schedule_has_one_attempt_more_than_pauses() {
        let settings: RetrySettings = toml::from_str(r#"schedule = ["5s", "5m"]"#).unwrap();
        let plan = settings.plan(RetryPlan::BackOff(Retry::default())).unwrap();
        assert_eq!(plan.attempts(), 3);
        assert_eq!(plan.pause(1), Some(Duration::from_secs(5)));
        assert_eq!((plan.pause(2), plan.pause(3)), (Some(Duration::from_secs(300)), None));
        assert_eq!(plan.fixed_pause(2), Duration::from_secs(300));
        let [first, longest] = [10, 50].map(Duration::from_millis);
        let plan = RetryPlan::BackOff(Retry { attempts: 9, first, longest });
        let pauses = [1, 2, 3, 4, u32::MAX].map(|attempts| plan.fixed_pause(attempts).as_millis());
        assert_eq!(pauses, [10, 20, 40, 50, 50]);
        let both: RetrySettings = toml::from_str("schedule = []\nattempts = 2").unwrap();
        assert!(both.plan(RetryPlan::Schedule(Vec::new())).is_err());
        let none: RetrySettings = toml::from_str("attempts = 0").unwrap();
        assert!(none.plan(RetryPlan::Schedule(Vec::new())).is_err());
    }
}
