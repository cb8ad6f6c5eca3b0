//! Durations as people write them: `10 minutes`, `1 day`, `90s`.

/// The longest duration, in microseconds: about 10,000 years.
const LONGEST: i64 = 315_360_000_000_000_000;

/// Returns the microseconds of a duration; the error is a sentence.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    parse_at_least(text, 1)
}

/// Returns the microseconds of a duration that may be none at all; the error is a sentence.
pub(crate) fn parse_or_zero(text: &str) -> Result<i64, String> {
    parse_at_least(text, 0)
}

fn parse_at_least(text: &str, least: i64) -> Result<i64, String> {
    let wrong = || format!("'{text}' is no duration such as '10 minutes', '1 hour' or '1 day'");
    let trimmed = text.trim();
    let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = trimmed.split_at(digits);
    let number: i64 = number.parse().map_err(|_| wrong())?;
    let unit = match unit.trim() {
        "ms" | "millisecond" | "milliseconds" => 1_000,
        "s" | "second" | "seconds" => 1_000_000,
        "m" | "min" | "minute" | "minutes" => 60_000_000,
        "h" | "hour" | "hours" => 3_600_000_000,
        "d" | "day" | "days" => 86_400_000_000,
        "w" | "week" | "weeks" => 604_800_000_000,
        _ => return Err(wrong()),
    };
    let micros = number.checked_mul(unit).filter(|micros| (least..=LONGEST).contains(micros));
    micros.ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        for (text, micros) in
            [("10 minutes", 600_000_000), ("90s", 90_000_000), ("1 day", 86_400_000_000)]
        {
            assert_eq!(parse(text), Ok(micros));
        }
        for wrong in ["", "0 s", "minutes", "1 month", "-1 s", "9223372036854775807 days"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_or_zero("0 s"), Ok(0));
    }
}
