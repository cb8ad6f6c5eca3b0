//! The information of an entry: field 86, in the forms that banks give it.

use super::element;

/// The width of a line, with the tag of the first one. A line of this width was broken within a word.
const WIDTH: usize = 65;
/// The width of a subfield of a purpose. A value goes on behind a full one only.
const SUBFIELD: usize = 27;

/// Writes the elements of an entry's information.
pub(super) fn write(text: &str, out: &mut Vec<u8>) {
    let joined: String = text.lines().map(|line| line.trim_end_matches('\r')).collect();
    if let Some(subfields) = Subfields::parse(&joined) {
        return subfields.write(out);
    }
    match joined.starts_with('/') {
        true if write_slashed(&joined, out) => {}
        _ => element("remittance", &free_text(text), out),
    }
}

/// Joins the lines of a text, with a space unless a line is full.
fn free_text(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    let mut width = ":86:".len();
    for line in text.lines().map(|line| line.trim_end_matches('\r')) {
        width += line.chars().count();
        let text = line.trim_end();
        joined.push_str(text);
        if !text.is_empty() && (width != WIDTH || text.len() < line.len()) {
            joined.push(' ');
        }
        width = 0;
    }
    joined
}

/// The German form: `166?00GUTSCHRIFT?109251?20EREF+1?21SVWZ+Rechnung?30BANK?31KONTO?32NAME?34000`.
#[derive(Default)]
struct Subfields<'t> {
    business_code: &'t str,
    posting_text: String,
    prima_nota: String,
    purpose: String,
    /// Where in the purpose its subfields begin.
    starts: Vec<usize>,
    bank: String,
    account: String,
    iban: String,
    name: String,
    text_key: String,
    /// The subfields without a name of their own.
    others: String,
}

/// The signs that begin a subfield, as banks of several countries write them.
const SIGNS: [char; 5] = ['?', '>', '<', '~', '^'];

/// Returns the two digits that a subfield begins with.
fn key(part: &str) -> Option<u8> {
    let digits = part.get(..2).filter(|key| key.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok()
}

impl<'t> Subfields<'t> {
    fn parse(text: &'t str) -> Option<Subfields<'t>> {
        let text = text.trim_start();
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (business_code, rest) = match digits {
            0 | 3 => text.split_at(digits),
            _ => return None,
        };
        let sign = rest.chars().next().filter(|sign| SIGNS.contains(sign))?;
        let mut parts = rest.split(sign).skip(1).peekable();
        // Other texts may begin with such a sign.
        parts.peek().and_then(|part| key(part)).filter(|key| matches!(key, 0 | 10 | 20))?;
        let mut found = Subfields { business_code, ..Subfields::default() };
        let mut last = None;
        for part in parts {
            match key(part) {
                Some(key) => {
                    last = Some(key);
                    found.add(key, part.get(2..).unwrap_or_default(), true);
                }
                // The sign within a text.
                None => {
                    let text = format!("{sign}{part}");
                    last.into_iter().for_each(|key| found.add(key, &text, false));
                }
            }
        }
        Some(found)
    }

    fn add(&mut self, key: u8, text: &str, is_start: bool) {
        let target = match key {
            0 => &mut self.posting_text,
            10 => &mut self.prima_nota,
            20..=29 | 60..=63 => {
                if is_start {
                    self.starts.push(self.purpose.len());
                }
                &mut self.purpose
            }
            30 => &mut self.bank,
            31 => &mut self.account,
            32 | 33 => &mut self.name,
            34 => &mut self.text_key,
            38 => &mut self.iban,
            _ => &mut self.others,
        };
        target.push_str(text);
    }

    fn write(&self, out: &mut Vec<u8>) {
        element("business_code", self.business_code, out);
        element("posting_text", &self.posting_text, out);
        element("prima_nota", &self.prima_nota, out);
        element("counterparty", &self.name, out);
        element("counterparty_account", &self.iban, out);
        element("counterparty_account", &self.account, out);
        element("counterparty_bank", &self.bank, out);
        element("text_key", &self.text_key, out);
        element("details", &self.others, out);
        let codes = self.codes();
        let first = codes.first().map_or(self.purpose.len(), |(at, _)| *at);
        let mut remittance = self.purpose.get(..first).unwrap_or_default().trim().to_owned();
        let mut ends: Vec<usize> = codes.iter().skip(1).map(|(at, _)| *at).collect();
        ends.push(self.purpose.len());
        let mut written = Vec::new();
        for ((at, code), end) in codes.into_iter().zip(ends) {
            let value_end = if code.1 == "remittance" { end } else { self.value_end(at, end) };
            let value = self.purpose.get(at + code.0.len()..value_end).unwrap_or_default().trim();
            let behind = self.purpose.get(value_end..end).unwrap_or_default().trim();
            match code.1 {
                "remittance" => remittance.extend([" ", value]),
                // A second one stays in the text.
                name if written.contains(&name) => remittance.extend([" ", code.0, value]),
                name => {
                    written.push(name);
                    element(name, value, out);
                }
            }
            if !behind.is_empty() {
                remittance.extend([" ", behind]);
            }
        }
        element("remittance", &remittance, out);
    }

    /// Returns where the value of the code at `at` ends: behind the first subfield that is not full.
    fn value_end(&self, at: usize, end: usize) -> usize {
        let next = self.starts.partition_point(|start| *start <= at);
        let mut from = self.starts.get(next.saturating_sub(1)).copied().unwrap_or_default();
        for start in self.starts.iter().skip(next).take_while(|start| **start < end) {
            let subfield = self.purpose.get(from..*start).unwrap_or_default();
            if subfield.chars().count() < SUBFIELD {
                return *start;
            }
            from = *start;
        }
        end
    }

    /// Returns the codes in the purpose and their places. A code begins a subfield, or stands behind a space.
    fn codes(&self) -> Vec<(usize, &'static (&'static str, &'static str))> {
        let mut codes: Vec<_> = CODES
            .iter()
            .flat_map(|code| self.purpose.match_indices(code.0).map(move |(at, _)| (at, code)))
            .filter(|(at, _)| {
                self.starts.binary_search(at).is_ok()
                    || self.purpose.get(..*at).is_some_and(|before| before.ends_with(' '))
            })
            .collect();
        codes.sort_by_key(|(at, _)| *at);
        codes
    }
}

/// The codes of SEPA in a purpose, and the elements of their values.
const CODES: [(&str, &str); 12] = [
    ("EREF+", "end_to_end_id"),
    ("KREF+", "customer_id"),
    ("MREF+", "mandate"),
    ("CRED+", "creditor_id"),
    ("DEBT+", "debtor_id"),
    ("COAM+", "charges"),
    ("OAMT+", "original_amount"),
    ("SVWZ+", "remittance"),
    ("ABWA+", "ultimate_debtor"),
    ("ABWE+", "ultimate_creditor"),
    ("IBAN+", "counterparty_account"),
    ("BIC+", "counterparty_bank"),
];

/// The codes between slashes, and the elements of their values. Those without an element go to the details.
const SLASHED: [(&str, &str); 22] = [
    ("/TRTP/", "posting_text"),
    ("/EREF/", "end_to_end_id"),
    ("/MARF/", "mandate"),
    ("/CSID/", "creditor_id"),
    ("/IBAN/", "counterparty_account"),
    ("/BIC/", "counterparty_bank"),
    ("/NAME/", "counterparty"),
    ("/CNTP/", "CNTP"),
    ("/REMI/", "REMI"),
    ("/PREF/", "customer_id"),
    ("/PURP/", "purpose"),
    ("/RTRN/", "return_reason"),
    ("/ULTD/", ""),
    ("/ULTC/", ""),
    ("/ULTB/", ""),
    ("/ORDP/", ""),
    ("/BENM/", ""),
    ("/ISDT/", ""),
    ("/ADDR/", ""),
    ("/SVCL/", ""),
    ("/EXCH/", ""),
    ("/CHGS/", ""),
];

/// Writes the form `/EREF/1//CNTP/IBAN/BIC/NAME/CITY//REMI/USTD//text/`; returns false if a text is none.
fn write_slashed(text: &str, out: &mut Vec<u8>) -> bool {
    let mut codes: Vec<_> = SLASHED
        .iter()
        .flat_map(|code| text.match_indices(code.0).map(move |(at, _)| (at, code)))
        .collect();
    codes.sort_by_key(|(at, _)| *at);
    if codes.first().is_none_or(|(at, _)| *at > 0) {
        return false;
    }
    let mut ends: Vec<usize> = codes.iter().skip(1).map(|(at, _)| *at).collect();
    ends.push(text.len());
    let mut written = Vec::new();
    let mut details = String::new();
    for ((at, (code, name)), end) in codes.into_iter().zip(ends) {
        let value = text.get(at + code.len()..end).unwrap_or_default();
        if name.is_empty() || written.contains(name) {
            let value = value.trim_matches('/');
            if !value.is_empty() {
                details.extend([code, value]);
            }
            continue;
        }
        written.push(*name);
        match *name {
            "CNTP" => {
                let names =
                    ["counterparty_account", "counterparty_bank", "counterparty", "details"];
                for (name, value) in names.into_iter().zip(value.split('/')) {
                    element(name, value, out);
                }
            }
            "REMI" => write_remittance(value, out),
            name => element(name, value.trim_matches('/'), out),
        }
    }
    element("details", &details, out);
    true
}

/// Writes `USTD//text/`, `STRD/CUR/reference/` or a plain text.
fn write_remittance(value: &str, out: &mut Vec<u8>) {
    let structured = value.strip_prefix("STRD/").and_then(|rest| rest.split_once('/'));
    match structured {
        Some((_, reference)) => element("creditor_reference", reference.trim_matches('/'), out),
        None => {
            let text = value.strip_prefix("USTD/").unwrap_or(value);
            element("remittance", text.trim_matches('/'), out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the elements as `name=text`.
    fn written(text: &str) -> Vec<String> {
        let mut out = Vec::new();
        write(text, &mut out);
        let xml = String::from_utf8(out).unwrap();
        let parts = xml.split('<').filter(|part| !part.is_empty() && !part.starts_with('/'));
        parts.map(|part| part.replacen('>', "=", 1)).collect()
    }

    #[test]
    fn german_subfields_are_named() {
        for (text, elements) in [
            (
                "166?00GUTSCHRIFT?100399?20EREF+EndToEndIdTFNR20004000?2101?22SVWZ\r\n+TO 13 TFNr?23 20004?30PBNKDEFF100\
                 ?31DE42100100100043921105?32Ri\r\nchter Renate?33 Beginn?34000?60 mehr",
                &[
                    "business_code=166",
                    "posting_text=GUTSCHRIFT",
                    "prima_nota=0399",
                    "counterparty=Richter Renate Beginn",
                    "counterparty_account=DE42100100100043921105",
                    "counterparty_bank=PBNKDEFF100",
                    "text_key=000",
                    "end_to_end_id=EndToEndIdTFNR2000400001",
                    "remittance=TO 13 TFNr 20004 mehr",
                ][..],
            ),
            (
                // A code may be broken, and stand behind a space.
                "835?20Cie.?22EREF+ 12 PAYPAL?23MREF+ 12AB234CD6E7F CRED+ A?24B12CDE0000000000000000034 S?25VWZ+ Ihr",
                &[
                    "business_code=835",
                    "end_to_end_id=12 PAYPAL",
                    "mandate=12AB234CD6E7F",
                    "creditor_id=AB12CDE0000000000000000034",
                    "remittance=Cie. Ihr",
                ],
            ),
            (
                // What follows a value without a code is text.
                "159?00RETOURE?20EREF+TFNR 40005 00005?21MTLG:Grund nicht spezifizie?22rt EREF+2",
                &[
                    "business_code=159",
                    "posting_text=RETOURE",
                    "end_to_end_id=TFNR 40005 00005",
                    "remittance=MTLG:Grund nicht spezifiziert EREF+2",
                ],
            ),
            (
                "008>00DAUER>20Miete>3010020030>31234567",
                &[
                    "business_code=008",
                    "posting_text=DAUER",
                    "counterparty_account=234567",
                    "counterparty_bank=10020030",
                    "remittance=Miete",
                ],
            ),
            ("?20Was? Wo?21?", &["remittance=Was? Wo?"]),
            (
                " 020~20XEREF+1~31PL~38PL1~70Other~61 1~99",
                &[
                    "business_code=020",
                    "counterparty_account=PL1",
                    "counterparty_account=PL",
                    "details=Other",
                    "remittance=XEREF+1 1",
                ],
            ),
        ] {
            assert_eq!(written(text), elements, "{text}");
        }
    }

    #[test]
    fn codes_between_slashes_are_named() {
        for (text, elements) in [
            (
                "/EREF/EV1//CNTP/NL32INGB0000012345/INGBNL2A/ING BANK/AMSTERDAM//REMI/USTD//EV10001 R/EP\r\nSON/",
                &[
                    "end_to_end_id=EV1",
                    "counterparty_account=NL32INGB0000012345",
                    "counterparty_bank=INGBNL2A",
                    "counterparty=ING BANK",
                    "details=AMSTERDAM",
                    "remittance=EV10001 R/EPSON",
                ][..],
            ),
            (
                "/TRTP/SEPA OVERBOEKING/IBAN/NL1/BIC/FVLBNL22/NAME/WEV/REMI/ISSUE/EREF/E1",
                &[
                    "posting_text=SEPA OVERBOEKING",
                    "counterparty_account=NL1",
                    "counterparty_bank=FVLBNL22",
                    "counterparty=WEV",
                    "remittance=ISSUE",
                    "end_to_end_id=E1",
                ],
            ),
            (
                "/BENM//NAME/JOHN DOE/REMI/Ref 2/ISDT/2013-01-02",
                &["counterparty=JOHN DOE", "remittance=Ref 2", "details=/ISDT/2013-01-02"],
            ),
            ("/REMI/STRD/CUR/9999/", &["creditor_reference=9999"]),
            ("/no/code/", &["remittance=/no/code/"]),
        ] {
            assert_eq!(written(text), elements, "{text}");
        }
    }

    #[test]
    fn free_text_is_broken_at_words_unless_a_line_is_full() {
        let full = "x".repeat(61);
        for (text, joined) in [
            ("NEDERLANDSE\r\nWANT DAT\n", "NEDERLANDSE WANT DAT".to_owned()),
            (&*format!("{full}\r\n53 1"), format!("{full}53 1")),
            (&*format!("NL1{}\n{}\nvan", " ".repeat(58), " ".repeat(65)), "NL1 van".to_owned()),
            ("999PN5477SCHECK-NR. 1", "999PN5477SCHECK-NR. 1".to_owned()),
            ("100.00 EUR", "100.00 EUR".to_owned()),
            ("<12345 ?20", "&lt;12345 ?20".to_owned()),
            ("?+1 x", "?+1 x".to_owned()),
            ("2024-01-31 12:00", "2024-01-31 12:00".to_owned()),
        ] {
            assert_eq!(written(text), [format!("remittance={joined}")]);
        }
        assert_eq!(written(" \n"), [""; 0]);
    }
}
