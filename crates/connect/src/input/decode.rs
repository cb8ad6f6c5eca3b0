//! Decodes a file to UTF-8.
//!
//! UTF-8, with or without a byte order mark, passes through untouched. A UTF-16 mark, the XML
//! declaration, or the mapping's `encoding` choose a decoder.

use encoding_rs::{Encoding, UTF_8};
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
        Label::Declared => match declared(prologue) {
            None => Ok(UTF_8),
            Some(name) => Encoding::for_label(name.as_bytes()).ok_or_else(|| name.to_owned()),
        },
    }
}

/// Returns the encoding that the XML declaration names, or `None`.
fn declared(prologue: &[u8]) -> Option<&str> {
    let declaration = prologue.strip_prefix(b"<?xml")?;
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
    fn the_mapping_may_name_the_encoding() {
        let latin = Label::Given(encoding_rs::WINDOWS_1252);
        assert_eq!(decoded(b"M\xfcller", latin).unwrap(), "Müller");
    }
}
