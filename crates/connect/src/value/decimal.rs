//! Decimals as text, and their exact sums. No value becomes a float.
//!
//! Events hold the canonical form: an optional minus, at least one digit before the point without
//! leading zeros, and the places after the point as written. `+007.50` becomes `7.50`, `.5`
//! becomes `0.5`, `-0.00` becomes `0.00`.

use std::fmt;

/// The largest exponent. A larger one would only turn a short text into a huge number.
const MAX_EXPONENT: u32 = 64;

/// Whether `1e3` is a decimal. In JSON it is one; in XML and CSV it is more likely an account
/// number that a spreadsheet reformatted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Exponent {
    Allowed,
    Refused,
}

/// Appends the canonical form of `text` to `out` and returns the number of decimal places.
pub(crate) fn canonical(text: &str, exponent: Exponent, out: &mut String) -> Option<usize> {
    let (negative, digits) = split_sign(text);
    if let (Exponent::Allowed, Some((mantissa, power))) = (exponent, digits.split_once(['e', 'E']))
    {
        let plain = shift(mantissa, power.parse().ok()?)?;
        return plain_form(negative, &plain, out);
    }
    plain_form(negative, digits, out)
}

/// Negates the canonical decimal that begins at `start` in `out`.
pub(crate) fn negate(start: usize, out: &mut String) {
    let digits = &out[start..];
    if digits.starts_with('-') {
        out.remove(start);
    } else if digits.bytes().any(|b| matches!(b, b'1'..=b'9')) {
        out.insert(start, '-');
    }
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

fn plain_form(negative: bool, digits: &str, out: &mut String) -> Option<usize> {
    let (whole, places) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = whole.bytes().chain(places.bytes()).all(|b| b.is_ascii_digit());
    if !all_digits || whole.len() + places.len() == 0 {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let is_zero = whole.is_empty() && places.bytes().all(|b| b == b'0');
    if negative && !is_zero {
        out.push('-');
    }
    out.push_str(if whole.is_empty() { "0" } else { whole });
    if !places.is_empty() {
        out.push('.');
        out.push_str(places);
    }
    Some(places.len())
}

/// Moves the decimal point of `mantissa` by `power` places.
fn shift(mantissa: &str, power: i32) -> Option<String> {
    if power.unsigned_abs() > MAX_EXPONENT {
        return None;
    }
    let (whole, places) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, places].concat();
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let moved = power.unsigned_abs() as usize;
    let (padded, point) = match power < 0 {
        true => ("0".repeat(moved) + &digits, whole.len()),
        false => {
            let zeros = "0".repeat(moved.saturating_sub(places.len()));
            (digits + &zeros, whole.len() + moved)
        }
    };
    Some(format!("{}.{}", &padded[..point], &padded[point..]).trim_end_matches('.').to_owned())
}

/// An exact decimal for sums: `mantissa / 10^scale`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Exact {
    mantissa: i128,
    scale: u32,
}

/// The most places of an exact number: those of 128 bits.
const MAX_PLACES: usize = 38;

impl Exact {
    /// Parses a canonical decimal; `None` if it has more digits than 128 bits hold.
    pub(crate) fn parse(canonical: &str) -> Option<Exact> {
        let (negative, digits) = split_sign(canonical);
        let (whole, places) = digits.split_once('.').unwrap_or((digits, ""));
        if places.len() > MAX_PLACES {
            return None;
        }
        let mut mantissa: i128 = 0;
        for digit in whole.bytes().chain(places.bytes()) {
            let digit = i128::from(digit.checked_sub(b'0').filter(|d| *d <= 9)?);
            mantissa = mantissa.checked_mul(10)?.checked_add(digit)?;
        }
        let mantissa = if negative { -mantissa } else { mantissa };
        Some(Exact { mantissa, scale: u32::try_from(places.len()).ok()? })
    }

    pub(crate) fn negate(self) -> Exact {
        Exact { mantissa: -self.mantissa, ..self }
    }

    /// Returns the whole number below or at `factor` times this one, or `None` if 128 bits cannot hold it.
    pub(crate) fn times_floor(self, factor: i128) -> Option<i128> {
        let product = self.mantissa.checked_mul(factor)?;
        Some(product.div_euclid(10_i128.checked_pow(self.scale)?))
    }

    /// Returns the exact sum, or `None` if 128 bits cannot hold it.
    pub(crate) fn plus(self, other: Exact) -> Option<Exact> {
        let scale = self.scale.max(other.scale);
        let sum = self.at(scale)?.checked_add(other.at(scale)?)?;
        Some(Exact { mantissa: sum, scale })
    }

    /// Returns whether both are the same number; `1.5` equals `1.50`.
    pub(crate) fn same(self, other: Exact) -> Option<bool> {
        let scale = self.scale.max(other.scale);
        Some(self.at(scale)? == other.at(scale)?)
    }

    fn at(self, scale: u32) -> Option<i128> {
        self.mantissa.checked_mul(10_i128.checked_pow(scale - self.scale)?)
    }
}

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self.scale as usize;
        let digits = format!("{:0width$}", self.mantissa.unsigned_abs(), width = places + 1);
        let (whole, places) = digits.split_at(digits.len() - places);
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let point = if places.is_empty() { "" } else { "." };
        write!(f, "{sign}{whole}{point}{places}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn form(text: &str, exponent: Exponent) -> Option<String> {
        let mut out = String::new();
        canonical(text, exponent, &mut out).map(|_| out)
    }

    #[test]
    fn the_canonical_form_keeps_every_place() {
        for (text, expected) in [
            ("100.00", "100.00"),
            ("+007.50", "7.50"),
            (".5", "0.5"),
            ("5.", "5"),
            ("-0.00", "0.00"),
            ("-12", "-12"),
            ("0.1000000000000000055", "0.1000000000000000055"),
        ] {
            assert_eq!(form(text, Exponent::Refused).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn other_texts_are_not_decimals() {
        for text in ["", ".", "-", "1,5", "1e3", "0x1", "1.2.3", " 1", "--1", "NaN", "١"] {
            assert_eq!(form(text, Exponent::Refused), None, "{text}");
        }
    }

    #[test]
    fn json_exponents_become_plain_digits() {
        for (text, expected) in [("1e3", "1000"), ("-1.25E-4", "-0.000125"), ("1.2345e2", "123.45")]
        {
            assert_eq!(form(text, Exponent::Allowed).as_deref(), Some(expected), "{text}");
        }
        for text in ["1e99999", "e5", "1e", "1e65", "1e-65", "1e-2147483648", "1e2147483647"] {
            assert_eq!(form(text, Exponent::Allowed), None, "{text}");
        }
    }

    #[test]
    fn sums_are_exact_or_refused() {
        let sum = Exact::parse("0.1").unwrap().plus(Exact::parse("0.00002").unwrap()).unwrap();
        assert_eq!(sum.to_string(), "0.10002");
        assert!(sum.same(Exact::parse("0.1000200").unwrap()).unwrap());
        let huge = Exact::parse(&"9".repeat(38)).unwrap();
        assert!(huge.plus(huge).is_none());
        assert!(Exact::parse(&"9".repeat(40)).is_none());
        assert_eq!(Exact::parse("-0.05").unwrap().to_string(), "-0.05");
    }

    proptest! {
        #[test]
        fn negating_twice_changes_nothing(whole in 0u32.., places in 0u32..100) {
            let text = format!("{whole}.{places:02}");
            let mut twice = text.clone();
            negate(0, &mut twice);
            prop_assert_eq!(twice.starts_with('-'), whole + places > 0);
            negate(0, &mut twice);
            prop_assert_eq!(text, twice);
        }

        #[test]
        fn exact_numbers_print_as_they_were_read(mantissa in any::<i64>(), places in 0usize..10) {
            let value = Exact { mantissa: mantissa.into(), scale: places as u32 };
            let again = Exact::parse(&value.to_string()).unwrap();
            prop_assert_eq!(again.same(value), Some(true));
        }
    }
}
