//! Finds tags and text in the window.
//!
//! Positions are relative to the window's pin, so they stay valid while the window slides. Only
//! nesting is checked here; the reader parses names and attributes.

use crate::input::{Fill, Window};
use memchr::{memchr, memchr3, memmem};
use std::io::{self, Read};

/// The most bytes of the names of all open elements. Only an attack on memory needs more.
const MAX_OPEN_NAME_BYTES: usize = 1024 * 1024;

/// A range of the pinned bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    fn new(start: usize, end: usize) -> Span {
        // A record is at most 64 MiB and one chunk, far below the reach of u32.
        Span { start: start as u32, end: end as u32 }
    }

    #[inline]
    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Token {
    /// A start tag: its name without prefix, its attributes, and whether it is `<a/>`.
    Start { name: Span, attributes: Span, empty: bool },
    /// An end tag; it belongs to the innermost open element.
    End,
    /// Text, with references still in it.
    Text(Span),
    /// A CDATA section's content.
    CData(Span),
    /// A comment, processing instruction or document type.
    Other,
    /// The end of the input.
    Eof,
}

/// Why there is no next token.
#[derive(Debug)]
pub(crate) enum Stop {
    Io(io::Error),
    Malformed(String),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Io(error)
    }
}

fn malformed<T>(message: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Malformed(message.into()))
}

pub(crate) struct Tokens<R> {
    pub(crate) window: Window<R>,
    /// The concatenated full names of the open elements, and the start of each.
    names: Vec<u8>,
    open: Vec<usize>,
}

impl<R: Read> Tokens<R> {
    pub(crate) fn new(window: Window<R>) -> Self {
        Tokens { window, names: Vec::new(), open: Vec::new() }
    }

    /// Returns the number of open elements.
    pub(crate) fn depth(&self) -> usize {
        self.open.len()
    }

    /// Returns the innermost open element's name, for messages.
    pub(crate) fn innermost(&self) -> String {
        let start = self.open.last().copied().unwrap_or_default();
        String::from_utf8_lossy(&self.names[start..]).into_owned()
    }

    /// Returns the local name of the open element `above` levels outside the innermost one.
    pub(crate) fn local_name(&self, above: usize) -> Option<&[u8]> {
        let at = self.open.len().checked_sub(above + 1)?;
        let end = self.open.get(at + 1).copied().unwrap_or(self.names.len());
        let name = &self.names[self.open[at]..end];
        Some(name.iter().position(|byte| *byte == b':').map_or(name, |at| &name[at + 1..]))
    }

    /// Returns the next token. An empty element has no `End`.
    pub(crate) fn next(&mut self) -> Result<Token, Stop> {
        // Fast path: the two most frequent tokens, if they are complete in the window.
        match self.window.rest() {
            [b'<', b'/', ..] => return self.end_tag(),
            [b'<', byte, ..] if is_name_start(*byte) => return self.start_tag(),
            _ => {}
        }
        match self.byte(0)? {
            None => Ok(Token::Eof),
            Some(b'<') => self.markup(),
            Some(_) => self.text(),
        }
    }

    /// Returns the byte `offset` behind the position.
    fn byte(&mut self, offset: usize) -> Result<Option<u8>, Stop> {
        loop {
            if let Some(byte) = self.window.rest().get(offset) {
                return Ok(Some(*byte));
            }
            if !self.more()? {
                return Ok(None);
            }
        }
    }

    /// Reads more bytes of a tag, which must fit into the window; returns false at the end.
    fn more(&mut self) -> Result<bool, Stop> {
        loop {
            match self.window.more()? {
                Fill::More => return Ok(true),
                Fill::End => return Ok(false),
                Fill::Full if self.window.offset() > 0 => self.window.drop_record(),
                Fill::Full => {
                    let limit = self.window.limit();
                    return malformed(format!("A tag is longer than {limit} bytes."));
                }
            }
        }
    }

    fn text(&mut self) -> Result<Token, Stop> {
        let mut from = 0;
        loop {
            let rest = &self.window.rest()[from..];
            if let Some(at) = memchr(b'<', rest) {
                return Ok(Token::Text(self.take(0, from + at, 0)));
            }
            from += rest.len();
            match self.window.more()? {
                Fill::More => {}
                Fill::End => return Ok(Token::Text(self.take(0, from, 0))),
                Fill::Full => {
                    self.window.advance(from);
                    self.window.drop_record();
                    from = 0;
                }
            }
        }
    }

    /// Moves behind `skip + length + tail` bytes and returns the span of the middle.
    fn take(&mut self, skip: usize, length: usize, tail: usize) -> Span {
        let start = self.window.offset() + skip;
        self.window.advance(skip + length + tail);
        Span::new(start, start + length)
    }

    fn markup(&mut self) -> Result<Token, Stop> {
        match self.byte(1)? {
            Some(b'/') => self.end_tag(),
            Some(b'?') => self.until(2, b"?>").map(|_| Token::Other),
            Some(b'!') => self.declaration(),
            Some(byte) if is_name_start(byte) => self.start_tag(),
            Some(byte) => malformed(format!(
                "'<' is followed by '{}', which does not begin a tag; write &lt; for a plain '<'.",
                byte.escape_ascii()
            )),
            None => malformed("The file ends within a tag."),
        }
    }

    fn declaration(&mut self) -> Result<Token, Stop> {
        if self.starts_with(b"<!--")? {
            return self.until(4, b"-->").map(|_| Token::Other);
        }
        if self.starts_with(b"<![CDATA[")? {
            return self.until(9, b"]]>").map(Token::CData);
        }
        self.doctype()
    }

    fn starts_with(&mut self, sign: &[u8]) -> Result<bool, Stop> {
        for (offset, expected) in sign.iter().enumerate() {
            if self.byte(offset)? != Some(*expected) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Moves behind the next `sign` and returns the span before it.
    ///
    /// Bytes that do not fit into the window are dropped.
    fn until(&mut self, skip: usize, sign: &[u8]) -> Result<Span, Stop> {
        let (mut skip, mut from) = (skip, skip);
        loop {
            let rest = &self.window.rest()[from..];
            if let Some(at) = memmem::find(rest, sign) {
                return Ok(self.take(skip, from + at - skip, sign.len()));
            }
            // The sign may have begun in the last bytes.
            from = (from + rest.len()).saturating_sub(sign.len() - 1).max(skip);
            match self.window.more()? {
                Fill::More => {}
                Fill::End => return malformed("The file ends within a comment or section."),
                Fill::Full => {
                    self.window.advance(from);
                    self.window.drop_record();
                    (skip, from) = (0, 0);
                }
            }
        }
    }

    /// Skips a document type and its declarations.
    fn doctype(&mut self) -> Result<Token, Stop> {
        let (mut at, mut brackets, mut quote) = (2, 0_usize, None);
        loop {
            let Some(byte) = self.byte(at)? else {
                return malformed("The file ends within its document type.");
            };
            at += 1;
            match (quote, byte) {
                (Some(open), byte) if byte == open => quote = None,
                (Some(_), _) => {}
                (None, b'"' | b'\'') => quote = Some(byte),
                (None, b'[') => brackets += 1,
                (None, b']') => brackets = brackets.saturating_sub(1),
                (None, b'>') if brackets == 0 => break,
                (None, _) => {}
            }
        }
        self.window.advance(at);
        Ok(Token::Other)
    }

    fn end_tag(&mut self) -> Result<Token, Stop> {
        let start = self.open.last().copied().unwrap_or_default();
        let name = &self.names[start..];
        // The usual case without a search: exactly `</name>`.
        let usual = match self.window.rest().get(2..name.len() + 3) {
            Some([found @ .., b'>']) => found == name && !self.open.is_empty(),
            _ => false,
        };
        let length = if usual { name.len() + 3 } else { self.unusual_end_tag(start)? };
        self.window.advance(length);
        self.names.truncate(start);
        self.open.pop();
        Ok(Token::End)
    }

    /// Returns the length of an end tag with white space in it, or its error.
    fn unusual_end_tag(&mut self, start: usize) -> Result<usize, Stop> {
        let length = self.tag_length()?;
        let found = self.window.rest()[2..length - 1].trim_ascii_end();
        let expected = &self.names[start..];
        if found == expected && !expected.is_empty() {
            return Ok(length);
        }
        let found = String::from_utf8_lossy(found);
        match expected {
            [] => malformed(format!("</{found}> closes an element that was never opened.")),
            open => {
                let open = String::from_utf8_lossy(open);
                malformed(format!("</{found}> stands where <{open}> must be closed first."))
            }
        }
    }

    fn start_tag(&mut self) -> Result<Token, Stop> {
        let mut local = 0;
        let rest = &self.window.rest()[1..];
        let mut name_end = rest.len();
        for (at, byte) in rest.iter().enumerate() {
            match byte {
                b'>' | b'/' | b' ' | b'\t' | b'\r' | b'\n' => {
                    name_end = at;
                    break;
                }
                b':' => local = at + 1,
                _ => {}
            }
        }
        if rest.get(name_end) == Some(&b'>') {
            return self.opened(name_end + 2, local, name_end);
        }
        let length = self.tag_length()?;
        let tag = &self.window.rest()[1..length - 1];
        let tag = tag.strip_suffix(b"/").unwrap_or(tag);
        let name_end = tag.iter().position(|byte| is_space(*byte)).unwrap_or(tag.len());
        let local = tag[..name_end].iter().position(|byte| *byte == b':').map_or(0, |at| at + 1);
        self.opened(length, local, name_end)
    }

    /// Consumes a start tag of `length` bytes whose local name is at `local..name_end` behind `<`.
    fn opened(&mut self, length: usize, local: usize, name_end: usize) -> Result<Token, Stop> {
        let tag = &self.window.rest()[1..length - 1];
        let empty = tag.last() == Some(&b'/');
        let attributes_end = tag.len() - usize::from(empty);
        if !empty {
            self.open.push(self.names.len());
            self.names.extend_from_slice(&tag[..name_end]);
        }
        if self.names.len() > MAX_OPEN_NAME_BYTES {
            return malformed("The names of the open elements exceed 1 MiB; nest fewer elements.");
        }
        let base = self.window.offset() + 1;
        self.window.advance(length);
        let name = Span::new(base + local, base + name_end);
        let attributes = Span::new(base + name_end, base + attributes_end);
        Ok(Token::Start { name, attributes, empty })
    }

    /// Returns the length of the tag at the position, up to the first `>` outside quotes.
    fn tag_length(&mut self) -> Result<usize, Stop> {
        let (mut at, mut quote) = (1, None);
        loop {
            let rest = &self.window.rest()[at..];
            let found = match quote {
                Some(open) => memchr(open, rest),
                None => find_tag_sign(rest),
            };
            match found {
                Some(offset) => {
                    at += offset + 1;
                    match (quote, self.window.rest()[at - 1]) {
                        (None, b'>') => return Ok(at),
                        (None, open) => quote = Some(open),
                        (Some(_), _) => quote = None,
                    }
                }
                None => {
                    at += rest.len();
                    if !self.more()? {
                        return malformed("The file ends within a tag.");
                    }
                }
            }
        }
    }
}

/// Finds the end of a tag or a quote; short tags are searched without the vector search's cost.
fn find_tag_sign(rest: &[u8]) -> Option<usize> {
    let near = rest.iter().take(16).position(|byte| matches!(byte, b'>' | b'"' | b'\''));
    near.or_else(|| memchr3(b'>', b'"', b'\'', rest))
}

fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte == b':' || byte >= 0x80
}

pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}
