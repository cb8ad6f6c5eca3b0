//! Numbers and times as text, without an allocation for each.

use leftfold_api::Timestamp;

/// A number in decimal digits.
#[derive(Default)]
pub(super) struct Decimal([u8; 20]);

impl Decimal {
    /// Writes a number, and returns its digits.
    pub(super) fn write(&mut self, mut number: u64) -> &[u8] {
        let mut start = self.0.len();
        for place in self.0.iter_mut().rev() {
            *place = b'0' + (number % 10) as u8;
            number /= 10;
            start -= 1;
            if number == 0 {
                break;
            }
        }
        &self.0[start..]
    }
}

/// A time in UTC, as RFC 3339 writes it, with microseconds.
pub(super) struct Rfc3339([u8; 27]);

impl Default for Rfc3339 {
    fn default() -> Self {
        Rfc3339(*b"0000-00-00T00:00:00.000000Z")
    }
}

const DAY: i64 = 86_400_000_000;

impl Rfc3339 {
    /// Writes a time, and returns its text.
    pub(super) fn write(&mut self, time: Timestamp) -> &[u8] {
        let micros = time.clamp(Timestamp::MIN, Timestamp::MAX).0;
        let (year, month, day) = civil(micros.div_euclid(DAY));
        let of_day = micros.rem_euclid(DAY);
        let (seconds, fraction) = (of_day / 1_000_000, of_day % 1_000_000);
        let fields = [
            (0, 4, year),
            (5, 2, month),
            (8, 2, day),
            (11, 2, seconds / 3_600),
            (14, 2, seconds / 60 % 60),
            (17, 2, seconds % 60),
            (20, 6, fraction),
        ];
        for (at, length, mut number) in fields {
            for place in self.0[at..at + length].iter_mut().rev() {
                *place = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
        &self.0
    }
}

/// Returns the date of a day since 1970-01-01, by Howard Hinnant's `civil_from_days`.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn times_read_back_as_they_were(micros in Timestamp::MIN.0..=Timestamp::MAX.0) {
            let mut text = Rfc3339::default();
            let text = std::str::from_utf8(text.write(Timestamp(micros))).unwrap();
            prop_assert_eq!(text.parse::<Timestamp>().unwrap().0, micros);
        }

        #[test]
        fn numbers_are_written_as_they_are_printed(number in any::<u64>(), shift in 0..64) {
            let (number, mut text): (u64, _) = (number >> shift, Decimal::default());
            let printed = number.to_string();
            prop_assert_eq!(text.write(number), printed.as_bytes());
        }
    }

    #[test]
    fn the_bounds_have_a_text() {
        for time in [Timestamp::MIN, Timestamp(0), Timestamp(-1), Timestamp::MAX] {
            let mut text = Rfc3339::default();
            let text = std::str::from_utf8(text.write(time)).unwrap().to_owned();
            assert_eq!(text.parse::<Timestamp>().unwrap(), time, "{text}");
        }
    }
}
