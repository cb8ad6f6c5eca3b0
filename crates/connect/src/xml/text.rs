//! Parses attributes and references.

use super::tokens::{Span, is_space};
use std::borrow::Cow;

/// The name of an entity that is not one of XML's own five.
#[derive(Debug, PartialEq)]
pub(crate) struct UnknownEntity(pub(crate) String);

/// Replaces the references of a text and normalises its line breaks.
pub(crate) fn unescape(text: &str) -> Result<Cow<'_, str>, UnknownEntity> {
    let Some(first) = memchr::memchr2(b'&', b'\r', text.as_bytes()) else {
        return Ok(Cow::Borrowed(text));
    };
    let (before, mut rest) = text.split_at(first);
    let mut out = String::with_capacity(text.len());
    out.push_str(before);
    while let Some(sign) = rest.chars().next() {
        rest = match sign {
            '&' => reference(&rest[1..], &mut out)?,
            _ => {
                out.push('\n');
                rest.strip_prefix("\r\n").unwrap_or(&rest[1..])
            }
        };
        let next = memchr::memchr2(b'&', b'\r', rest.as_bytes()).unwrap_or(rest.len());
        out.push_str(&rest[..next]);
        rest = &rest[next..];
    }
    Ok(Cow::Owned(out))
}

/// Replaces one reference and returns the text behind it.
fn reference<'a>(text: &'a str, out: &mut String) -> Result<&'a str, UnknownEntity> {
    let unknown = |name: &str| UnknownEntity(name.chars().take(40).collect());
    let (name, rest) = text.split_once(';').ok_or_else(|| unknown(text))?;
    let sign = match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => name.strip_prefix('#').and_then(numbered),
    };
    out.push(sign.ok_or_else(|| unknown(name))?);
    Ok(rest)
}

fn numbered(digits: &str) -> Option<char> {
    let code = match digits.strip_prefix('x') {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    // XML 1.0 allows no other control characters, not even as references.
    char::from_u32(code).filter(|sign| *sign >= ' ' || matches!(sign, '\t' | '\n' | '\r'))
}

/// Calls `found` with the local name and the value of each attribute; stops at the first malformed
/// one.
pub(crate) fn attributes(bytes: &[u8], span: Span, mut found: impl FnMut(&[u8], Span)) {
    let mut at = span.start as usize;
    let end = (span.end as usize).min(bytes.len());
    while let Some((name, value, next)) = attribute(bytes, at, end) {
        let local = name.iter().position(|byte| *byte == b':').map_or(0, |at| at + 1);
        found(&name[local..], value);
        at = next;
    }
}

/// Parses the attribute at `at`: its name, its value, and the position behind it.
fn attribute(bytes: &[u8], at: usize, end: usize) -> Option<(&[u8], Span, usize)> {
    let rest = bytes.get(at..end)?;
    let name = at + rest.iter().position(|byte| !is_space(*byte))?;
    let equals = name + memchr::memchr(b'=', bytes.get(name..end)?)?;
    let behind = bytes.get(equals + 1..end)?;
    let open = equals + 1 + behind.iter().position(|byte| !is_space(*byte))?;
    let quote = *bytes.get(open).filter(|byte| matches!(byte, b'"' | b'\''))?;
    let close = open + 1 + memchr::memchr(quote, bytes.get(open + 1..end)?)?;
    let value = Span { start: open as u32 + 1, end: close as u32 };
    Some((bytes[name..equals].trim_ascii_end(), value, close + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_and_line_breaks_are_replaced() {
        for (text, expected) in [
            ("plain", "plain"),
            ("a&amp;b&lt;&gt;&quot;&apos;", "a&b<>\"'"),
            ("&#252;&#xFC;", "üü"),
            ("a\r\nb\rc", "a\nb\nc"),
            ("ü&amp;ü\rü", "ü&ü\nü"),
        ] {
            assert_eq!(unescape(text).unwrap(), expected);
        }
    }

    #[test]
    fn unknown_entities_are_reported_and_not_expanded() {
        for (text, name) in [("a&xxe;", "xxe"), ("&#0;", "#0"), ("&#xD800;", "#xD800"), ("&", "")] {
            assert_eq!(unescape(text).unwrap_err(), UnknownEntity(name.to_owned()));
        }
    }

    #[test]
    fn attributes_are_found_by_local_name() {
        let tag = br#" Ccy = "EUR" x:b='1"2' broken"#;
        let mut seen = Vec::new();
        let span = Span { start: 0, end: tag.len() as u32 };
        attributes(tag, span, |name, value| {
            seen.push((name.to_vec(), value.of(tag).to_vec()));
        });
        let expected = [(&b"Ccy"[..], &b"EUR"[..]), (b"b", b"1\"2")];
        assert_eq!(seen, expected.map(|(name, value)| (name.to_vec(), value.to_vec())));
    }
}
