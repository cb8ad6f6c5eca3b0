//! German account numbers in the international form.

/// The IBAN of an account at a bank, with its check digits.
pub(super) fn german(bank: u64, account: u64) -> String {
    let number = format!("{:08}{:010}", bank % 100_000_000, account % 10_000_000_000);
    // "DE00" moved to the end, letters as 10 + their place in the alphabet.
    let check = 98 - remainder(&format!("{number}131400"));
    format!("DE{check:02}{number}")
}

fn remainder(digits: &str) -> u64 {
    digits.bytes().fold(0, |rest, digit| (rest * 10 + u64::from(digit - b'0')) % 97)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_digits_are_right() {
        assert_eq!(german(37_040_044, 532_013_000), "DE89370400440532013000");
        assert_eq!(german(10_010_010, 6_820_101), "DE02100100100006820101");
    }
}
