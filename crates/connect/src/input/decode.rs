//! Decodes a file to UTF-8.
//!
//! UTF-8, with or without a byte order mark, passes through untouched. A UTF-16 mark, the XML
//! declaration, or the mapping's `encoding` choose a decoder.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use encoding_rs_io::DecodeReaderBytesBuilder;
use std::cell::Cell;
use std::io::{self, Read};

/// Enough for any XML declaration that a program writes.
const PROLOGUE: usize = 1024;

/// The source of the file's encoding.
#[derive(Clone, Copy)]
pub(crate) enum Label {
    /// In the file's own XML declaration.
    Declared,
    /// In the header of an OFX file, or in its XML declaration.
    Ofx,
    /// In the mapping.
    Given(&'static Encoding),
}

/// Counts the bytes that pass.
struct Counting<'a, R> {
    inner: R,
    bytes: &'a Cell<u64>,
}

impl<R: Read> Read for Counting<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.bytes.set(self.bytes.get() + read as u64);
        Ok(read)
    }
}

/// Returns `input` as UTF-8, or the encoding's name if it is unknown.
pub(crate) fn open<'a>(
    input: impl Read + 'a,
    label: Label,
    bytes: &'a Cell<u64>,
) -> io::Result<Result<Box<dyn Read + 'a>, String>> {
    let mut input = Counting { inner: input, bytes };
    let mut prologue = Vec::with_capacity(PROLOGUE);
    (&mut input).take(PROLOGUE as u64).read_to_end(&mut prologue)?;
    let (encoding, mark) = match Encoding::for_bom(&prologue) {
        Some(found) => found,
        None => match choose(label, &prologue) {
            Ok(encoding) => (encoding, 0),
            Err(unknown) => return Ok(Err(unknown)),
        },
    };
    let whole = io::Cursor::new(prologue.split_off(mark)).chain(input);
    if encoding == UTF_8 {
        return Ok(Ok(Box::new(whole)));
    }
    let decoder = DecodeReaderBytesBuilder::new().encoding(Some(encoding)).build(whole);
    Ok(Ok(Box::new(decoder)))
}

fn choose(label: Label, prologue: &[u8]) -> Result<&'static Encoding, String> {
    match label {
        Label::Given(encoding) => Ok(encoding),
        Label::Ofx if !prologue.trim_ascii_start().starts_with(b"<?xml") => Ok(ofx(prologue)),
        Label::Declared | Label::Ofx => match declared(prologue) {
            None => Ok(UTF_8),
            Some(name) => Encoding::for_label(name.as_bytes()).ok_or_else(|| name.to_owned()),
        },
    }
}

/// Returns the encoding that the header of OFX 1 names. ASCII is read as windows-1252, which most programs mean.
fn ofx(prologue: &[u8]) -> &'static Encoding {
    let value = |key: &[u8]| {
        let at = memchr::memmem::find(prologue, key)?;
        prologue.get(at + key.len()..)
    };
    let begins = |value: &[u8], names: &[&[u8]]| names.iter().any(|name| value.starts_with(name));
    match value(b"ENCODING:") {
        None => UTF_8,
        Some(value) if begins(value, &[b"UTF-8", b"UTF8", b"UNICODE"]) => UTF_8,
        Some(_) => match value(b"CHARSET:") {
            Some(value) if begins(value, &[b"8859-15", b"ISO-8859-15"]) => encoding_rs::ISO_8859_15,
            _ => WINDOWS_1252,
        },
    }
}

/// Returns the encoding that the XML declaration names, or `None`.
fn declared(prologue: &[u8]) -> Option<&str> {
    let declaration = prologue.trim_ascii_start().strip_prefix(b"<?xml")?;
    let end = memchr::memmem::find(declaration, b"?>")?;
    let declaration = std::str::from_utf8(declaration.get(..end)?).ok()?;
    let (_, value) = declaration.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    value.get(1..)?.split(quote).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8], label: Label) -> Result<String, String> {
        let count = Cell::new(0);
        let mut text = String::new();
        open(bytes, label, &count).unwrap()?.read_to_string(&mut text).unwrap();
        assert_eq!(count.get(), bytes.len() as u64);
        Ok(text)
    }

    #[test]
    fn utf_8_passes_without_its_byte_order_mark() {
        assert_eq!(decoded("\u{feff}<a>ü</a>".as_bytes(), Label::Declared).unwrap(), "<a>ü</a>");
        assert_eq!(decoded("ü".as_bytes(), Label::Declared).unwrap(), "ü");
        assert_eq!(decoded(b"", Label::Declared).unwrap(), "");
    }

    #[test]
    fn a_declared_encoding_is_decoded() {
        let latin = b"<?xml version='1.0' encoding = \"ISO-8859-1\"?><a>\xfc</a>";
        assert!(decoded(latin, Label::Declared).unwrap().ends_with("<a>ü</a>"));
    }

    #[test]
    fn utf_16_is_recognised_by_its_byte_order_mark() {
        let wide: Vec<u8> = "\u{feff}<a/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(decoded(&wide, Label::Declared).unwrap(), "<a/>");
    }

    #[test]
    fn an_unknown_encoding_is_reported_by_name() {
        let strange = b"<?xml version='1.0' encoding='klingon'?><a/>";
        assert_eq!(decoded(strange, Label::Declared).unwrap_err(), "klingon");
    }

    #[test]
    fn the_header_of_ofx_names_the_encoding() {
        for (header, text) in [
            ("ENCODING:USASCII\nCHARSET:1252\n", "\u{20ac}"),
            ("OFXHEADER:100ENCODING:USASCIICHARSET:NONE", "\u{20ac}"),
            ("ENCODING:USASCII\nCHARSET:ISO-8859-15\n", "\u{80}"),
            ("\n<?xml encoding='ISO-8859-2'?>", "\u{80}"),
        ] {
            let bytes = [header.as_bytes(), b"\x80"].concat();
            assert_eq!(decoded(&bytes, Label::Ofx).unwrap(), format!("{header}{text}"));
        }
        for header in
            ["ENCODING:UTF-8\nCHARSET:NONE\n", "ENCODING:UNICODE\n", "", "<?xml version='1.0'?>"]
        {
            let text = format!("{header}ü");
            assert_eq!(decoded(text.as_bytes(), Label::Ofx).unwrap(), text);
        }
    }

    #[test]
    fn the_mapping_may_name_the_encoding() {
        let latin = Label::Given(encoding_rs::WINDOWS_1252);
        assert_eq!(decoded(b"M\xfcller", latin).unwrap(), "Müller");
    }
}
