//! Turns the SWIFT messages MT940 (statement) and MT942 (interim report) into XML.
//!
//! ```text
//! {1:..}{2:..}{4:                <MT>
//! :20:T1                         <MT940><message>T1</message>
//! :25:DE89370400440532013000     <account>DE89370400440532013000</account>
//! :28C:4/1                       <number>4</number><page>1</page>
//! :60F:C240130EUR100,            <opening_date>2024-01-30</opening_date><currency>EUR</currency><balance>..</balance>
//! :61:2401310131D12,5NTRFNONREF  <entry><value_date>2024-01-31</value_date>..
//! :86:166?00GUTSCHRIFT?20..      <business_code>166</business_code>..</entry>
//! :62F:C240131EUR87,5            <balance>..</balance>
//! -}                             </MT940></MT>
//! ```
//!
//! A file may have many messages, with blocks around them or without. What stands between messages is skipped.
//! The parsers for these formats that exist for Rust take a whole file as a text and refuse it as a whole if a
//! field is not as the standard has it; most banks write some that are not.

mod entry;
mod information;
mod values;

use super::{Convert, push_text};
use encoding_rs::WINDOWS_1252;
use std::borrow::Cow;
use values::{Balance, account, date, time};

/// The longest piece of a line that is handled at once.
const MAX_LINE: usize = 16 * 1024;
/// The longest field that is parsed. Of a longer one the text is passed on as it is.
const MAX_FIELD: usize = 64 * 1024;

/// The tags of fields that stand before the entries of a message.
const HEAD_TAGS: [&[u8]; 9] = [b"20", b"21", b"25", b"25P", b"28", b"28C", b"13", b"13D", b"34F"];
/// The tags of the other fields. A line that begins with something else, such as `:NN:`, goes on with its field.
const BODY_TAGS: [&[u8]; 11] =
    [b"60F", b"60M", b"61", b"86", b"62F", b"62M", b"64", b"65", b"90C", b"90D", b"NS"];

/// Where in a message the converter is.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Outside,
    /// In the fields that all messages begin with.
    Header,
    /// Behind them: the kind of the message is known.
    Body(Kind),
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Mt940,
    Mt942,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Mt940 => "MT940",
            Kind::Mt942 => "MT942",
        }
    }
}

/// The converter of MT940 and MT942.
pub(crate) struct Mt {
    line: Vec<u8>,
    /// Whether the start of the line was handled, because the line is long.
    is_mid_line: bool,
    stage: Stage,
    has_root: bool,
    /// The XML of the header, until the kind of the message is known.
    header: Vec<u8>,
    /// The tag of the field, such as `28C`; empty between fields.
    tag: Vec<u8>,
    text: Vec<u8>,
    /// The element that takes the text of a field which is too long to be parsed.
    spilled: Option<&'static str>,
    has_entry: bool,
    has_currency: bool,
    has_closing: bool,
}

impl Mt {
    /// Creates a converter that waits for a message.
    pub(crate) fn new() -> Self {
        Mt {
            line: Vec::new(),
            is_mid_line: false,
            stage: Stage::Outside,
            has_root: false,
            header: Vec::new(),
            tag: Vec::new(),
            text: Vec::new(),
            spilled: None,
            has_entry: false,
            has_currency: false,
            has_closing: false,
        }
    }

    /// Handles a line, or a piece of a long one.
    fn end_line(&mut self, has_break: bool, out: &mut Vec<u8>) {
        let mut line = std::mem::take(&mut self.line);
        match self.is_mid_line {
            true => self.append(&line, out),
            false => self.begin_line(&line, out),
        }
        if has_break {
            self.append(b"\n", out);
        }
        self.is_mid_line = !has_break;
        line.clear();
        self.line = line;
    }

    fn begin_line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let ends = line.starts_with(b"-}") || line.trim_ascii_end() == b"-";
        if ends || line.starts_with(b"{1:") || line.starts_with(b"{4:") {
            self.end_message(out);
            // The text of a message may begin behind its blocks.
            let Some(at) = memchr::memmem::find(line, b"{4:") else { return };
            return self.begin_line(line.get(at + 3..).unwrap_or_default(), out);
        }
        match split_tag(line) {
            Some((tag, text)) if !self.is_clock(tag, text) => {
                self.end_field(out);
                if tag == b"20" {
                    self.end_message(out);
                    self.stage = Stage::Header;
                }
                if self.stage != Stage::Outside {
                    self.tag.extend_from_slice(tag);
                }
                self.append(text, out);
            }
            _ => self.append(line, out),
        }
    }

    /// Whether what looks like a tag is a part of a time, as in a text that was broken before `:20:37 Uhr`. A message
    /// does not begin anew before its closing balance.
    fn is_clock(&self, tag: &[u8], text: &[u8]) -> bool {
        let is_body = matches!(self.stage, Stage::Body(_)) && !self.has_closing;
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        is_body && tag.len() == 2 && HEAD_TAGS.contains(&tag) && digits == 2
    }

    /// Adds bytes to the field; between fields only line breaks count.
    fn append(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.tag.is_empty() {
            out.extend(bytes.iter().filter(|byte| **byte == b'\n'));
            return;
        }
        if self.spilled.is_none() && self.text.len() + bytes.len() > MAX_FIELD {
            self.spill(out);
        }
        match self.spilled {
            Some(_) => bytes.iter().for_each(|byte| push_text(*byte, out)),
            None => self.text.extend_from_slice(bytes),
        }
    }

    /// Passes the text of a field on that is too long to be parsed.
    fn spill(&mut self, out: &mut Vec<u8>) {
        self.begin_body(Kind::Mt940, out);
        let element = match self.tag.as_slice() {
            b"61" => {
                self.begin_entry(out);
                "value_date"
            }
            b"86" if self.has_entry => "remittance",
            _ => "unread",
        };
        out.extend_from_slice(format!("<{element}>").as_bytes());
        std::mem::take(&mut self.text).iter().for_each(|byte| push_text(*byte, out));
        self.spilled = Some(element);
    }

    fn end_field(&mut self, out: &mut Vec<u8>) {
        if let Some(element) = self.spilled.take() {
            out.extend_from_slice(format!("</{element}>").as_bytes());
            return self.tag.clear();
        }
        let (tag, text) = (std::mem::take(&mut self.tag), std::mem::take(&mut self.text));
        if !tag.is_empty() {
            self.field(&tag, &decode(&text), out);
            let out = if self.stage == Stage::Header { &mut self.header } else { out };
            out.extend(text.iter().filter(|byte| **byte == b'\n'));
        }
    }

    /// Writes a whole field.
    fn field(&mut self, tag: &[u8], text: &str, out: &mut Vec<u8>) {
        match tag {
            b"20" | b"21" | b"25" | b"25P" | b"28" | b"28C" => self.head(tag, text, out),
            b"60F" | b"60M" | b"62F" | b"62M" | b"64" | b"65" => self.balance(tag, text, out),
            b"34F" => {
                self.begin_body(Kind::Mt942, out);
                self.currency(text.get(..3).unwrap_or_default(), out);
                element("floor", text.trim(), out);
            }
            b"13" | b"13D" => {
                self.begin_body(Kind::Mt942, out);
                element("reported_at", &time(text.trim()), out);
            }
            b"90C" | b"90D" => {
                self.end_entry(out);
                element(if tag == b"90C" { "credits" } else { "debits" }, text.trim(), out);
            }
            b"61" => {
                self.begin_body(Kind::Mt940, out);
                self.begin_entry(out);
                entry::write(text, out);
            }
            b"86" if self.has_entry => information::write(text, out),
            _ => {}
        }
    }

    /// Writes a field that stands before the kind of the message is known.
    fn head(&mut self, tag: &[u8], text: &str, out: &mut Vec<u8>) {
        if self.stage != Stage::Header {
            return;
        }
        let first = text.lines().next().unwrap_or_default().trim();
        match tag {
            b"20" => element("message", first, &mut self.header),
            b"21" => element("related", first, &mut self.header),
            b"25" | b"25P" => element("account", &account(first), &mut self.header),
            _ => {
                let (number, page) = first.split_once('/').unwrap_or((first, ""));
                element("number", number, &mut self.header);
                element("page", page, &mut self.header);
            }
        }
        if self.header.len() > MAX_FIELD {
            self.begin_body(Kind::Mt940, out);
        }
    }

    fn balance(&mut self, tag: &[u8], text: &str, out: &mut Vec<u8>) {
        self.begin_body(Kind::Mt940, out);
        self.end_entry(out);
        let balance = Balance::parse(text);
        if tag.starts_with(b"60") && !self.has_currency {
            element("opening_date", &date(balance.date), out);
            self.currency(balance.currency, out);
        }
        self.has_closing |= tag.starts_with(b"62");
        balance.write(&String::from_utf8_lossy(tag), out);
    }

    /// Writes the currency of the account, once.
    fn currency(&mut self, currency: &str, out: &mut Vec<u8>) {
        if !self.has_currency {
            element("currency", currency, out);
            self.has_currency = true;
        }
    }

    /// Begins the message behind its header.
    fn begin_body(&mut self, kind: Kind, out: &mut Vec<u8>) {
        if self.stage != Stage::Header {
            return;
        }
        if !self.has_root {
            out.extend_from_slice(b"<MT>");
            self.has_root = true;
        }
        out.extend_from_slice(format!("<{}>", kind.name()).as_bytes());
        out.append(&mut self.header);
        self.stage = Stage::Body(kind);
        (self.has_currency, self.has_closing) = (false, false);
    }

    fn begin_entry(&mut self, out: &mut Vec<u8>) {
        self.end_entry(out);
        out.extend_from_slice(b"<entry>");
        self.has_entry = true;
    }

    fn end_entry(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.has_entry) {
            out.extend_from_slice(b"</entry>");
        }
    }

    fn end_message(&mut self, out: &mut Vec<u8>) {
        self.end_field(out);
        match std::mem::replace(&mut self.stage, Stage::Outside) {
            Stage::Outside => {}
            // A header alone says nothing.
            Stage::Header => {
                out.extend(self.header.drain(..).filter(|byte| *byte == b'\n'));
            }
            Stage::Body(kind) => {
                self.end_entry(out);
                out.extend_from_slice(format!("</{}>", kind.name()).as_bytes());
            }
        }
    }
}

impl Convert for Mt {
    fn convert(&mut self, input: &[u8], out: &mut Vec<u8>) {
        for byte in input {
            match byte {
                b'\n' => self.end_line(true, out),
                byte => self.line.push(*byte),
            }
            if self.line.len() == MAX_LINE {
                self.end_line(false, out);
            }
        }
    }

    /// Ends the last message, unless it was cut: then it stays open.
    fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.line.is_empty() {
            self.end_line(false, out);
        }
        self.end_field(out);
        let is_cut = self.stage == Stage::Body(Kind::Mt940) && !self.has_closing;
        if !is_cut {
            self.end_message(out);
            if self.has_root {
                out.extend_from_slice(b"</MT>");
            }
        }
    }
}

/// Returns the tag of a field that begins in this line, and the text behind it.
fn split_tag(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = line.strip_prefix(b":")?;
    let end = rest.iter().take(4).position(|byte| *byte == b':')?;
    let (tag, text) = (rest.get(..end)?, rest.get(end + 1..)?);
    let is_tag = HEAD_TAGS.contains(&tag) || BODY_TAGS.contains(&tag);
    is_tag.then_some((tag, text))
}

/// Decodes a field. Banks write UTF-8 or windows-1252; text of one is hardly ever valid as the other.
fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(bytes).0,
    }
}

/// Writes an element, unless its text is empty.
fn element(name: &str, text: &str, out: &mut Vec<u8>) {
    let text = text.trim();
    if text.is_empty() {
        return;
    }
    out.extend_from_slice(format!("<{name}>").as_bytes());
    // Line breaks are passed on behind the field.
    let plain = text.bytes().map(|byte| if byte == b'\n' { b' ' } else { byte });
    plain.for_each(|byte| push_text(byte, out));
    out.extend_from_slice(format!("</{name}>").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::Converted;
    use proptest::prelude::*;
    use std::io::Read;

    fn converted(text: &[u8]) -> String {
        let mut xml = Vec::new();
        Converted::new(text, Mt::new()).read_to_end(&mut xml).unwrap();
        String::from_utf8_lossy(&xml).into_owned()
    }

    const HEAD: &str = ":20:T\n:25:A\n";
    const END: &str = ":62F:C240131EUR1,\n-";
    const CLOSING: &str = "<balance><kind>62F</kind><mark>C</mark><date>2024-01-31</date><currency>EUR</currency>\
                           <amount>1</amount></balance>";

    #[test]
    fn messages_come_with_blocks_or_without() {
        let body =
            format!("<MT940><message>T</message>\n<account>A</account>\n{CLOSING}\n</MT940>");
        for (text, xml) in [
            (format!("{HEAD}{END}"), format!("<MT>{body}</MT>")),
            (format!("ABNANL2A\n940\n{HEAD}{END}"), format!("\n\n<MT>{body}</MT>")),
            (
                format!("{{1:F01X}}{{2:O940X}}{{4:\n{HEAD}{END}}}{{5:}}"),
                format!("\n<MT>{body}</MT>"),
            ),
            (format!("{{4:{HEAD}{END}}}\n{HEAD}{END}"), format!("<MT>{body}\n{body}</MT>")),
            // Without an end, a message ends where the next one begins.
            (format!("{HEAD}{HEAD}{END}"), format!("\n\n<MT>{body}</MT>")),
            (
                format!("{}{HEAD}{END}", format!("{HEAD}{END}").trim_end_matches('-')),
                format!("<MT>{body}{body}</MT>"),
            ),
        ] {
            assert_eq!(converted(text.as_bytes()), xml, "{text}");
        }
    }

    #[test]
    fn a_report_is_told_by_its_fields() {
        let xml = converted(
            format!("{HEAD}:28C:0017/002\n:34F:EURD0,\n:13D:2401311745+0100\n:90D:1EUR2,\n")
                .as_bytes(),
        );
        assert_eq!(
            xml,
            "<MT><MT942><message>T</message>\n<account>A</account>\n<number>0017</number><page>002</page>\n\
             <currency>EUR</currency><floor>EURD0,</floor>\n<reported_at>2024-01-31T17:45:00+01:00</reported_at>\n\
             <debits>1EUR2,</debits>\n</MT942></MT>"
        );
    }

    #[test]
    fn entries_hold_their_information_and_a_statement_its_own() {
        let text = format!(
            "{HEAD}:61:240131C1,NTRFX\n:86:a\nb\n:NS:x\n{}:86:end\n-",
            &END[..END.len() - 1]
        );
        let xml = converted(text.as_bytes());
        let entry = "<entry><value_date>2024-01-31</value_date><mark>C</mark><amount>1,</amount><type>NTRF</type>\
                     <customer_reference>X</customer_reference>\n<remittance>a b</remittance>\n\n\n</entry>";
        assert!(xml.contains(entry), "{xml}");
        assert!(!xml.contains("end"), "{xml}");
    }

    #[test]
    fn a_time_at_the_start_of_a_line_is_no_tag() {
        let text = format!(
            "{HEAD}:60F:C240130EUR1,\n:61:240131C1,NTRF\n:86:2017-01-01T13\n:12:11\n:20:37 Uhr\n{END}"
        );
        let xml = converted(text.as_bytes());
        assert!(
            xml.contains("<remittance>2017-01-01T13 :12:11 :20:37 Uhr</remittance>\n\n\n</entry>"),
            "{xml}"
        );
    }

    #[test]
    fn a_cut_statement_stays_open() {
        for text in [":20:T\n:60F:C240130EUR1,", ":20:T\n:61:240131C1,N"] {
            assert!(!converted(text.as_bytes()).contains("</MT940>"), "{text}");
        }
    }

    #[test]
    fn another_file_gives_nothing() {
        for text in [
            "",
            "Date;Amount\n1;2",
            ":20:T\nonly a header\n",
            ":60F:C240130EUR1,\n:61:240131C1,N\n",
        ] {
            assert_eq!(converted(text.as_bytes()).trim(), "", "{text}");
        }
    }

    #[test]
    fn text_that_is_not_utf_8_is_windows_1252() {
        for name in [&b"M\xfcller & S\xf6hne"[..], "Müller & Söhne".as_bytes()] {
            let text =
                [HEAD.as_bytes(), b":61:240131C1,NTRF\n:86:", name, b"\n", END.as_bytes()].concat();
            assert!(converted(&text).contains("<remittance>Müller &amp; Söhne</remittance>"));
        }
    }

    #[test]
    fn a_field_that_is_too_long_passes_as_it_is() {
        let long = "x".repeat(MAX_LINE + 3) + "\n" + &"y&\n".repeat(MAX_FIELD);
        let text = format!("{HEAD}:61:240131C1,NTRF\n:86:{long}:61:{long}{END}");
        let xml = converted(text.as_bytes());
        assert!(xml.contains("<remittance>xxx") && xml.contains("y&amp;\n</remittance></entry>"));
        assert!(xml.contains("<entry><value_date>xxx") && xml.ends_with("</MT940></MT>"));
        assert_eq!(xml.matches('\n').count(), text.matches('\n').count());
    }

    fn noise() -> impl Strategy<Value = Vec<u8>> {
        const PIECES: [&str; 30] = [
            ":20:", ":25:", ":28C:", ":60F:", ":61:", ":86:", ":62F:", ":34F:", ":13D:", ":90C:",
            ":", "-", "-}", "{1:", "{4:", "240131", "0131", "C", "RD", "1,5", "NTRF", "//", "EUR",
            "166?00", "?20", "?32", "SVWZ+", "/NAME/", "/REMI/", "<&>",
        ];
        let piece = prop_oneof![
            6 => proptest::sample::select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()),
            3 => Just(b"\n".to_vec()),
            1 => proptest::collection::vec(any::<u8>(), 0..6),
        ];
        proptest::collection::vec(piece, 0..80).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn any_bytes_give_a_bounded_output_whose_lines_are_those_of_the_input(bytes in noise()) {
            let (mut out, mut mt) = (Vec::new(), Mt::new());
            mt.convert(&bytes, &mut out);
            mt.finish(&mut out);
            // A short field gets several elements.
            prop_assert!(out.len() <= 32 * bytes.len());
            let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
            prop_assert_eq!(lines(&out), lines(&bytes));
            // Pieces of any size give the same.
            let (mut again, mut mt) = (Vec::new(), Mt::new());
            bytes.chunks(3).for_each(|piece| mt.convert(piece, &mut again));
            mt.finish(&mut again);
            prop_assert_eq!(out, again);
        }
    }
}
