//! The values that several fields of an MT message have: dates, balances, accounts.

use super::element;
use std::borrow::Cow;

/// Returns `YYMMDD` as `YYYY-MM-DD`, or a text that is something else as it is. The years are 1980 to 2079.
pub(super) fn date(text: &str) -> Cow<'_, str> {
    match numbers(text) {
        Some([year, month, day]) => Cow::Owned(iso(full_year(year), month, day)),
        None => Cow::Borrowed(text),
    }
}

/// Returns the date of an entry, `MMDD`, in the year in which it is nearest to the value date, `YYMMDD`.
pub(super) fn entry_date(text: &str, value_date: &str) -> Option<String> {
    let [month, day] = numbers(text)?;
    let [year, value_month, value_day] = numbers(value_date)?;
    let year = full_year(year);
    // Months of 31 days are exact enough, and count the 30th of February, a value date of some banks.
    let days = |year: u32, month: u32, day: u32| (year * 12 + month) * 31 + day;
    let value = days(year, value_month, value_day);
    let near = [year, year - 1, year + 1];
    let nearest = near.into_iter().min_by_key(|year| days(*year, month, day).abs_diff(value))?;
    Some(iso(nearest, month, day))
}

/// Returns `YYMMDDhhmm` with `+hhmm` as a time of ISO 8601, or a text that is something else as it is.
pub(super) fn time(text: &str) -> Cow<'_, str> {
    let parsed = || {
        let [hour, minute] = numbers(text.get(6..10)?)?;
        let day = date(text.get(..6)?);
        let offset = match text.get(10..)? {
            "" => String::new(),
            offset => format!("{}:{}", offset.get(..3)?, offset.get(3..)?),
        };
        Some(format!("{day}T{hour:02}:{minute:02}:00{offset}"))
    };
    parsed().map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Splits digits into numbers of two digits.
fn numbers<const N: usize>(text: &str) -> Option<[u32; N]> {
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut numbers = [0; N];
    for (number, digits) in numbers.iter_mut().zip(text.as_bytes().chunks(2)) {
        *number = digits.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
    }
    Some(numbers)
}

fn full_year(year: u32) -> u32 {
    if year < 80 { 2000 + year } else { 1900 + year }
}

fn iso(year: u32, month: u32, day: u32) -> String {
    format!("{year:04}-{month:02}-{day:02}")
}

/// A balance, such as `C240131EUR87,5`.
pub(super) struct Balance<'t> {
    mark: &'t str,
    pub(super) date: &'t str,
    pub(super) currency: &'t str,
    amount: &'t str,
}

impl<'t> Balance<'t> {
    /// Splits a balance; what does not fit is empty.
    pub(super) fn parse(text: &'t str) -> Balance<'t> {
        let text = text.lines().next().unwrap_or_default().trim();
        let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
        Balance {
            mark: part(0, 1),
            date: part(1, 7),
            currency: part(7, 10),
            amount: part(10, text.len()),
        }
    }

    pub(super) fn write(&self, kind: &str, out: &mut Vec<u8>) {
        // A point would be one of thousands.
        let amount = match self.amount.contains('.') {
            true => Cow::Borrowed("?"),
            false => Cow::Owned(self.amount.trim_end_matches(',').replace(',', ".")),
        };
        out.extend_from_slice(b"<balance>");
        element("kind", kind, out);
        element("mark", self.mark, out);
        element("date", &date(self.date), out);
        element("currency", self.currency, out);
        element("amount", &amount, out);
        out.extend_from_slice(b"</balance>");
    }
}

/// Returns the account without the currency that some banks put behind it.
pub(super) fn account(text: &str) -> Cow<'_, str> {
    let plain: String = text.chars().filter(|sign| *sign != ' ').collect();
    let (number, currency) =
        plain.split_at_checked(plain.len().saturating_sub(3)).unwrap_or_default();
    let has_currency =
        currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_iban(&plain) {
        return Cow::Owned(plain);
    }
    if has_currency && (is_iban(number) || is_german(number)) {
        return Cow::Owned(number.to_owned());
    }
    Cow::Borrowed(text)
}

/// Whether a text is an IBAN with right check digits.
fn is_iban(text: &str) -> bool {
    let Some((head, number)) = text.split_at_checked(4) else { return false };
    let [a, b, c, d] = head.as_bytes() else { return false };
    let has_form = a.is_ascii_uppercase()
        && b.is_ascii_uppercase()
        && c.is_ascii_digit()
        && d.is_ascii_digit();
    let is_number = (11..=30).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
    let rest = number.bytes().chain(head.bytes()).fold(0, |rest: u32, byte| match byte {
        b'A'..=b'Z' => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
        digit => (rest * 10 + u32::from(digit.wrapping_sub(b'0'))) % 97,
    });
    has_form && is_number && rest == 1
}

/// Whether a text is a bank and an account as in `50880050/0194774600888`.
fn is_german(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('/').is_some_and(|(bank, account)| is_number(bank) && is_number(account))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_of_1980_to_2079() {
        for (text, iso) in [
            ("240131", "2024-01-31"),
            ("991231", "1999-12-31"),
            ("791231", "2079-12-31"),
            ("160230", "2016-02-30"),
            ("24013", "24013"),
            ("2401ü", "2401ü"),
        ] {
            assert_eq!(date(text), iso);
        }
    }

    #[test]
    fn the_year_of_an_entry_is_the_nearest_to_its_value() {
        for (entry, value, iso) in [
            ("0131", "240131", Some("2024-01-31")),
            ("1231", "240102", Some("2023-12-31")),
            ("0102", "231231", Some("2024-01-02")),
            ("0301", "160230", Some("2016-03-01")),
            ("0229", "240301", Some("2024-02-29")),
            ("01", "240131", None),
            ("0131", "2401", None),
        ] {
            assert_eq!(entry_date(entry, value).as_deref(), iso, "{entry} {value}");
        }
    }

    #[test]
    fn times_have_an_offset_or_none() {
        assert_eq!(time("1701191815+0100"), "2017-01-19T18:15:00+01:00");
        assert_eq!(time("1701191815"), "2017-01-19T18:15:00");
        assert_eq!(time("170119"), "170119");
        assert_eq!(time("1701191815ü"), "1701191815ü");
    }

    #[test]
    fn an_account_stands_without_its_currency() {
        for (written, expected) in [
            ("DE89370400440532013000", "DE89370400440532013000"),
            ("DE89 3704 0044 0532 0130 00", "DE89370400440532013000"),
            ("DE89370400440532013000EUR", "DE89370400440532013000"),
            ("DE88370400440532013000EUR", "DE88370400440532013000EUR"),
            ("51210600/9223382012EUR", "51210600/9223382012"),
            ("UBRTHUHB/123456789/HUF", "UBRTHUHB/123456789/HUF"),
            ("TRIODOS BANK", "TRIODOS BANK"),
            ("EUR", "EUR"),
            ("ü", "ü"),
        ] {
            assert_eq!(account(written), expected);
        }
    }
}
