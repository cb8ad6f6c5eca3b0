//! Turns formats that are not XML into XML, so that the mappings and the reader of XML serve them too.
//!
//! A converter takes the input in pieces and keeps a bounded state. It passes every line break on, so a line of
//! its output has the number of the line of the file that it is made of.

mod mt;
mod ofx;

pub(crate) use mt::Mt;
pub(crate) use ofx::Ofx;

use std::io::{self, Read};

/// Bytes of input that are converted at once.
const CHUNK: usize = 64 * 1024;

/// Turns a format into XML, piece by piece.
pub(crate) trait Convert {
    /// Converts the next piece of the input and appends the XML to `out`.
    fn convert(&mut self, input: &[u8], out: &mut Vec<u8>);

    /// Appends what is left at the end of the input.
    fn finish(&mut self, out: &mut Vec<u8>);
}

/// The input as XML.
pub(crate) struct Converted<R, C> {
    input: R,
    converter: C,
    chunk: Vec<u8>,
    out: Vec<u8>,
    /// How much of `out` was read.
    read: usize,
    has_ended: bool,
}

impl<R: Read, C: Convert> Converted<R, C> {
    /// Returns `input` as XML.
    pub(crate) fn new(input: R, converter: C) -> Self {
        let chunk = vec![0; CHUNK];
        Converted { input, converter, chunk, out: Vec::new(), read: 0, has_ended: false }
    }
}

impl<R: Read, C: Convert> Read for Converted<R, C> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.read == self.out.len() && !self.has_ended {
            self.out.clear();
            self.read = 0;
            let read = self.input.read(&mut self.chunk)?;
            self.has_ended = read == 0;
            match self.chunk.get(..read) {
                Some(piece) if read > 0 => self.converter.convert(piece, &mut self.out),
                _ => self.converter.finish(&mut self.out),
            }
        }
        let rest = self.out.get(self.read..).unwrap_or_default();
        let length = rest.len().min(buf.len());
        if let (Some(from), Some(to)) = (rest.get(..length), buf.get_mut(..length)) {
            to.copy_from_slice(from);
        }
        self.read += length;
        Ok(length)
    }
}

/// Appends a byte of text as XML.
fn push_text(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b'<' => out.extend_from_slice(b"&lt;"),
        b'&' => out.extend_from_slice(b"&amp;"),
        byte => out.push(byte),
    }
}
