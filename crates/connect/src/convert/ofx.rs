//! Turns OFX into XML.
//!
//! OFX 1 is SGML: a header of lines such as `CHARSET:1252`, then elements of which those with a value have no
//! end tag. OFX 2 is XML, but many programs write the elements of OFX 1 behind the header of OFX 2. So both are
//! read in one way: an element with text is a leaf, and ends where the next tag begins. Names become upper case,
//! attributes are dropped, and the statement of a credit card (`CCSTMTRS`) gets the name of one of a bank account.

use super::{Convert, push_text};

/// The longest tag; a longer one is text.
const MAX_TAG: usize = 1024;
/// The longest name of a reference such as `&amp;`.
const MAX_REFERENCE: usize = 8;
/// The most open elements. The deepest in the specification lie about ten deep.
const MAX_OPEN: usize = 64;

/// Elements that hold only leaves and [`INNER`]. In them an element without text is an empty leaf.
const HOLDERS: [&[u8]; 9] = [
    b"STMTTRN",
    b"BANKACCTFROM",
    b"CCACCTFROM",
    b"BANKACCTTO",
    b"CCACCTTO",
    b"PAYEE",
    b"EXTDPAYEE",
    b"CURRENCY",
    b"ORIGCURRENCY",
];
/// Elements with elements in them that stand within holders.
const INNER: [&[u8]; 7] = [
    b"BANKACCTTO",
    b"CCACCTTO",
    b"PAYEE",
    b"EXTDPAYEE",
    b"CURRENCY",
    b"ORIGCURRENCY",
    b"IMAGEDATA",
];

/// What the next byte belongs to.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Text,
    /// A reference, whose name is in the buffer.
    Reference,
    /// A tag, which is in the buffer.
    Tag,
    /// A comment, with the number of the last bytes that may end it.
    Comment(u8),
    /// A CDATA section, likewise.
    CData(u8),
}

/// The converter of OFX.
pub(crate) struct Ofx {
    mode: Mode,
    buffer: Vec<u8>,
    /// The names of the open elements.
    open: Vec<Vec<u8>>,
    /// Whether the innermost element had no tag yet, so that it may be a leaf.
    is_fresh: bool,
    /// Whether the fresh element has text: then it is a leaf.
    has_text: bool,
    /// Whether the elements nest too deep. Then nothing more is written, so that the file is cut short.
    is_stopped: bool,
}

impl Ofx {
    /// Creates a converter that waits for `<OFX>`.
    pub(crate) fn new() -> Self {
        Ofx {
            mode: Mode::Text,
            buffer: Vec::new(),
            open: Vec::new(),
            is_fresh: false,
            has_text: false,
            is_stopped: false,
        }
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        match (self.mode, byte) {
            (Mode::Text, b'<') => self.begin(Mode::Tag),
            (Mode::Text, b'&') => self.begin(Mode::Reference),
            (Mode::Text, byte) => self.text(byte, out),
            (Mode::Reference, byte) => self.reference(byte, out),
            (Mode::Tag, byte) => self.tag_byte(byte, out),
            (Mode::Comment(seen), byte) => {
                self.line_break(byte, out);
                self.mode = match (seen, byte) {
                    (2, b'>') => Mode::Text,
                    (seen, b'-') => Mode::Comment((seen + 1).min(2)),
                    _ => Mode::Comment(0),
                };
            }
            (Mode::CData(seen), byte) => self.c_data(seen, byte, out),
        }
    }

    fn begin(&mut self, mode: Mode) {
        self.buffer.clear();
        self.mode = mode;
    }

    fn line_break(&self, byte: u8, out: &mut Vec<u8>) {
        if byte == b'\n' {
            out.push(byte);
        }
    }

    /// Writes a byte of text; outside of the document only line breaks count.
    fn text(&mut self, byte: u8, out: &mut Vec<u8>) {
        if self.open.is_empty() || self.is_stopped {
            return self.line_break(byte, out);
        }
        self.has_text |= !byte.is_ascii_whitespace();
        push_text(byte, out);
    }

    /// Takes the bytes of the buffer as text.
    fn flush(&mut self, sign: u8, out: &mut Vec<u8>) {
        self.mode = Mode::Text;
        self.text(sign, out);
        for byte in std::mem::take(&mut self.buffer) {
            self.text(byte, out);
        }
    }

    fn reference(&mut self, byte: u8, out: &mut Vec<u8>) {
        let belongs = byte.is_ascii_alphanumeric() || byte == b'#';
        if belongs && self.buffer.len() < MAX_REFERENCE {
            return self.buffer.push(byte);
        }
        let name = match self.buffer.as_slice() {
            _ if byte != b';' => None,
            b"nbsp" => Some(&b"#160"[..]),
            name @ (b"amp" | b"lt" | b"gt" | b"quot" | b"apos" | [b'#', _, ..]) => Some(name),
            _ => None,
        };
        match name {
            Some(name) if !self.open.is_empty() && !self.is_stopped => {
                self.has_text = true;
                out.push(b'&');
                out.extend_from_slice(name);
                out.push(b';');
                self.mode = Mode::Text;
            }
            // A bare ampersand.
            _ => {
                self.flush(b'&', out);
                self.byte(byte, out);
            }
        }
    }

    fn tag_byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        let can_begin = byte.is_ascii_alphabetic() || matches!(byte, b'/' | b'!' | b'?' | b'_');
        let is_text = (self.buffer.is_empty() && !can_begin)
            || (self.buffer.as_slice() == b"/" && !byte.is_ascii_alphabetic())
            || self.buffer.len() == MAX_TAG
            || byte == b'<';
        if is_text {
            self.flush(b'<', out);
            return self.byte(byte, out);
        }
        if byte != b'>' {
            self.buffer.push(byte);
            return match self.buffer.as_slice() {
                b"!--" => self.mode = Mode::Comment(0),
                b"![CDATA[" => self.mode = Mode::CData(0),
                _ => {}
            };
        }
        self.mode = Mode::Text;
        let tag = std::mem::take(&mut self.buffer);
        self.tag(&tag, out);
        tag.iter().for_each(|byte| self.line_break(*byte, out));
        self.buffer = tag;
    }

    fn c_data(&mut self, seen: u8, byte: u8, out: &mut Vec<u8>) {
        match (seen, byte) {
            (2, b'>') => self.mode = Mode::Text,
            (2, b']') => self.text(byte, out),
            (seen, b']') => self.mode = Mode::CData(seen + 1),
            (seen, byte) => {
                (0..seen).for_each(|_| self.text(b']', out));
                self.text(byte, out);
                self.mode = Mode::CData(0);
            }
        }
    }

    /// Handles a tag without its angle brackets.
    fn tag(&mut self, tag: &[u8], out: &mut Vec<u8>) {
        match tag.first() {
            _ if self.is_stopped => {}
            Some(b'/') => self.end(&name(tag.get(1..).unwrap_or_default()), out),
            Some(b'!' | b'?') => {}
            _ => {
                let name = name(tag);
                let is_root = name == b"OFX";
                if !name.is_empty() && (!self.open.is_empty() || is_root) {
                    self.start(name, out);
                    if tag.ends_with(b"/") && !self.is_stopped {
                        self.close(out);
                    }
                }
            }
        }
    }

    fn start(&mut self, name: Vec<u8>, out: &mut Vec<u8>) {
        if self.is_fresh && (self.has_text || self.is_empty_leaf()) {
            self.close(out);
        }
        // No element holds itself, so the end tag of the open one is missing.
        if let Some(at) = self.open.iter().position(|open| *open == name) {
            self.close_to(at, out);
        }
        if self.open.len() == MAX_OPEN {
            self.is_stopped = true;
            return;
        }
        write_tag(b"<", &name, out);
        self.open.push(name);
        (self.is_fresh, self.has_text) = (true, false);
    }

    /// Whether the innermost element stands where only leaves do.
    fn is_empty_leaf(&self) -> bool {
        match self.open.as_slice() {
            [.., holder, last] => {
                HOLDERS.contains(&holder.as_slice()) && !INNER.contains(&last.as_slice())
            }
            _ => false,
        }
    }

    /// Handles an end tag; one that belongs to nothing is that of a leaf which has ended, or a mistake.
    fn end(&mut self, name: &[u8], out: &mut Vec<u8>) {
        if let Some(at) = self.open.iter().rposition(|open| open == name) {
            self.close_to(at, out);
        }
    }

    /// Closes the elements down to the one at `at`.
    fn close_to(&mut self, at: usize, out: &mut Vec<u8>) {
        while self.open.len() > at {
            self.close(out);
        }
    }

    /// Closes the innermost element.
    fn close(&mut self, out: &mut Vec<u8>) {
        if let Some(name) = self.open.pop() {
            write_tag(b"</", &name, out);
        }
        self.is_fresh = false;
    }
}

impl Convert for Ofx {
    fn convert(&mut self, input: &[u8], out: &mut Vec<u8>) {
        for byte in input {
            self.byte(*byte, out);
        }
    }

    /// Closes nothing: a file without its last end tags was cut.
    fn finish(&mut self, out: &mut Vec<u8>) {
        match self.mode {
            Mode::Tag => self.flush(b'<', out),
            Mode::Reference => self.flush(b'&', out),
            Mode::Text | Mode::Comment(_) | Mode::CData(_) => {}
        }
    }
}

/// Returns the name in a tag, without prefix and in upper case.
fn name(tag: &[u8]) -> Vec<u8> {
    let is_end = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'"' | b'\'');
    let end = tag.iter().position(is_end).unwrap_or(tag.len());
    let full = tag.get(..end).unwrap_or_default();
    let local = full.iter().rposition(|byte| *byte == b':').map_or(0, |at| at + 1);
    let name = full.get(local..).unwrap_or_default().to_ascii_uppercase();
    match name.as_slice() {
        b"CCSTMTRS" => b"STMTRS".to_vec(),
        _ => name,
    }
}

fn write_tag(sign: &[u8], name: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(sign);
    out.extend_from_slice(name);
    out.push(b'>');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::Converted;
    use proptest::prelude::*;
    use std::io::Read;

    fn converted(text: &[u8]) -> String {
        let mut xml = Vec::new();
        Converted::new(text, Ofx::new()).read_to_end(&mut xml).unwrap();
        String::from_utf8_lossy(&xml).into_owned()
    }

    #[test]
    fn leaves_without_end_tags_are_closed() {
        for (ofx, xml) in [
            (
                "OFXHEADER:100\n\n<OFX><A><B>1\n<C>2</A></OFX>",
                "\n\n<OFX><A><B>1\n</B><C>2</C></A></OFX>",
            ),
            ("<OFX><A><B>1</B><C>2</C></A></OFX>", "<OFX><A><B>1</B><C>2</C></A></OFX>"),
            ("<?xml version='1.0'?>\n<?OFX a=\"1\"?><OFX/>", "\n<OFX></OFX>"),
            // An empty leaf with and without its end tag.
            (
                "<OFX><STMTTRN><MEMO><NAME>x</STMTTRN></OFX>",
                "<OFX><STMTTRN><MEMO></MEMO><NAME>x</NAME></STMTTRN></OFX>",
            ),
            (
                "<OFX><STMTTRN><MEMO></MEMO><NAME>x</STMTTRN></OFX>",
                "<OFX><STMTTRN><MEMO></MEMO><NAME>x</NAME></STMTTRN></OFX>",
            ),
            (
                "<OFX><STMTTRN><PAYEE>\n<NAME>x</PAYEE><MEMO></STMTTRN></OFX>",
                "<OFX><STMTTRN><PAYEE>\n<NAME>x</NAME></PAYEE><MEMO></MEMO></STMTTRN></OFX>",
            ),
            ("<OFX><A><B></A></OFX>", "<OFX><A><B></B></A></OFX>"),
            // A record without end tag does not swallow the next one.
            (
                "<OFX><STMTTRN><A>1<STMTTRN><A>2</OFX>",
                "<OFX><STMTTRN><A>1</A></STMTTRN><STMTTRN><A>2</A></STMTTRN></OFX>",
            ),
            // An end tag that belongs to nothing.
            ("<OFX><A>1</B></A></OFX>", "<OFX><A>1</A></OFX>"),
            ("<ofx><a:CcStmtRs x=\"<\">1</OFX>", "<OFX>&lt;a:CcStmtRs x=\"&lt;\">1</OFX>"),
            ("<ofx><a:CcStmtRs x=\"1\">1</OFX>", "<OFX><STMTRS>1</STMTRS></OFX>"),
        ] {
            assert_eq!(converted(ofx.as_bytes()), xml, "{ofx}");
        }
    }

    #[test]
    fn text_is_escaped_unless_it_is() {
        for (text, escaped) in [
            ("A&B", "A&amp;B"),
            ("A & B;", "A &amp; B;"),
            ("A&amp;B", "A&amp;B"),
            ("&nbsp;&#252;&uuml;", "&#160;&#252;&amp;uuml;"),
            ("&<!--<B>-->&&", "&amp;&amp;&amp;"),
            ("1 < 2", "1 &lt; 2"),
            ("</ 3", "&lt;/ 3"),
            ("<![CDATA[a<b>&]]]]>", "a&lt;b>&amp;]]"),
            ("<![CDATA[]]x]>]]>", "]]x]>"),
        ] {
            let ofx = format!("<OFX><A>{text}</A></OFX>");
            assert_eq!(converted(ofx.as_bytes()), format!("<OFX><A>{escaped}</A></OFX>"));
        }
    }

    #[test]
    fn a_cut_file_stays_open_and_so_does_one_that_nests_too_deep() {
        assert_eq!(converted(b"<OFX><A><B>1&am"), "<OFX><A><B>1&amp;am");
        assert_eq!(converted(b"<OFX><A><B>1<"), "<OFX><A><B>1&lt;");
        let deep: String = (0..100).map(|n| format!("<A{n}>\n")).collect();
        let xml = converted(format!("<OFX>{deep}</OFX>").as_bytes());
        assert_eq!(xml.matches('<').count(), MAX_OPEN);
        assert_eq!(xml.matches('\n').count(), 100);
    }

    #[test]
    fn another_file_gives_nothing() {
        assert_eq!(converted(b"<html>\n<body>a & b</body></html>"), "\n");
        assert_eq!(converted(b""), "");
    }

    fn noise() -> impl Strategy<Value = Vec<u8>> {
        const PIECES: [&str; 18] = [
            "<OFX>",
            "</OFX>",
            "<STMTTRN>",
            "</STMTTRN>",
            "<A>",
            "</A>",
            "<",
            ">",
            "/",
            "&",
            "&amp;",
            "<!--",
            "-->",
            "<![CDATA[",
            "]]>",
            "\n",
            "x",
            " ",
        ];
        let piece = prop_oneof![
            8 => proptest::sample::select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()),
            1 => proptest::collection::vec(any::<u8>(), 0..6),
        ];
        proptest::collection::vec(piece, 0..80).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn any_bytes_give_a_bounded_output_whose_lines_are_those_of_the_input(bytes in noise()) {
            let mut ofx = Ofx::new();
            let mut out = Vec::new();
            ofx.convert(&bytes, &mut out);
            ofx.finish(&mut out);
            // A byte of text becomes five at most. A tag is written twice at most.
            prop_assert!(out.len() <= 5 * bytes.len());
            let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
            prop_assert_eq!(lines(&out), lines(&bytes));
            // Pieces of any size give the same.
            let (mut again, mut ofx) = (Vec::new(), Ofx::new());
            bytes.chunks(3).for_each(|piece| ofx.convert(piece, &mut again));
            ofx.finish(&mut again);
            prop_assert_eq!(out, again);
        }
    }
}
