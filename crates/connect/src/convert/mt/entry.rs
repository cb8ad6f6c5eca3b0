//! The entry of a statement: field 61.

use super::element;
use super::values::{date, entry_date};

/// Writes the elements of an entry, such as `2401310131D12,5NTRFKUNDE//BANK`.
///
/// What is missing gives no element, and what is wrong stands in the element where it should be right, so that the
/// mapping refuses it.
pub(super) fn write(text: &str, out: &mut Vec<u8>) {
    let (first, details) = text.split_once('\n').unwrap_or((text, ""));
    let mut rest = first.trim_end();
    let value_date = take(&mut rest, 6);
    element("value_date", &date(value_date), out);
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 4 {
        let booked = take(&mut rest, 4);
        element("entry_date", entry_date(booked, value_date).as_deref().unwrap_or(booked), out);
    }
    let mark = ["RC", "RD", "EC", "ED", "C", "D"].into_iter().find(|mark| rest.starts_with(mark));
    element("mark", take(&mut rest, mark.map_or(0, str::len)), out);
    let has_funds_code = rest.starts_with(|sign: char| sign.is_ascii_alphabetic());
    element("funds_code", take(&mut rest, usize::from(has_funds_code)), out);
    let length =
        rest.bytes().take_while(|b| b.is_ascii_digit() || matches!(b, b',' | b'.')).count();
    element("amount", take(&mut rest, length), out);
    element("type", take(&mut rest, 4), out);
    let (customer, bank) = rest.split_once("//").unwrap_or((rest, ""));
    element("customer_reference", customer, out);
    element("bank_reference", bank, out);
    element("details", details, out);
}

/// Takes the first `length` characters.
fn take<'t>(rest: &mut &'t str, length: usize) -> &'t str {
    let end = rest.char_indices().nth(length).map_or(rest.len(), |(at, _)| at);
    let (taken, left) = rest.split_at(end);
    *rest = left;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the elements as `name=text`.
    fn written(text: &str) -> String {
        let mut out = Vec::new();
        write(text, &mut out);
        let xml = String::from_utf8(out).unwrap();
        let parts = xml.split('<').filter(|part| !part.is_empty() && !part.starts_with('/'));
        parts.map(|part| part.replacen('>', "=", 1)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn an_entry_is_split_by_its_places() {
        for (text, elements) in [
            (
                "0709040904CR300,NTRFTFNr 40005 MSGID//0724710345313905",
                "value_date=2007-09-04 entry_date=2007-09-04 mark=C funds_code=R amount=300, type=NTRF \
                 customer_reference=TFNr 40005 MSGID bank_reference=0724710345313905",
            ),
            (
                "0709040904RCR204,88NRTINONREF",
                "value_date=2007-09-04 entry_date=2007-09-04 mark=RC funds_code=R amount=204,88 type=NRTI \
                 customer_reference=NONREF",
            ),
            ("240102 D1,5NMSC", "value_date=2024-01-02 type=D1, customer_reference=5NMSC"),
            ("2401021231ED1,", "value_date=2024-01-02 entry_date=2023-12-31 mark=ED amount=1,"),
            (
                "130101D000000000025,00N102EREF            \nNL70ABNA0987654321\nmore",
                "value_date=2013-01-01 mark=D amount=000000000025,00 type=N102 customer_reference=EREF \
                 details=NL70ABNA0987654321 more",
            ),
            ("heute D1,N", "value_date=heute"),
            ("240131D1.234,5NMSC", "value_date=2024-01-31 mark=D amount=1.234,5 type=NMSC"),
            ("", ""),
        ] {
            let found = written(text);
            assert!(found.starts_with(elements), "{text}: {found}");
        }
    }
}
