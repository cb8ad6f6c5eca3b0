//! A bounded window that slides over the input.
//!
//! A reader pins the start of a record and moves forward. At the record's end the whole record is
//! one slice, without a copy or an allocation. A record that exceeds the limit is dropped
//! ([`Window::drop_record`]): the window keeps its first bytes for the reject, and the reader moves
//! on to the record's end. So no input takes more memory than the limit and one chunk.

use crate::item::MAX_SHOWN_BYTES;
use std::borrow::Cow;
use std::io::{self, Read};

/// Bytes per read: large enough to hide the system call, small enough for the second-level cache.
const CHUNK: usize = 256 * 1024;

/// The outcome of reading more bytes.
#[derive(Debug, PartialEq)]
pub(crate) enum Fill {
    /// There are more bytes behind the position.
    More,
    /// The input has ended.
    End,
    /// The pinned bytes have reached the limit; the reader must drop them first.
    Full,
}

pub(crate) struct Window<R> {
    input: R,
    buf: Vec<u8>,
    pin: usize,
    pos: usize,
    end: usize,
    limit: usize,
    ended: bool,
    /// Line breaks before `buf[counted]`.
    breaks: u64,
    counted: usize,
    /// The first line of the record, if it was dropped.
    lost: Option<u64>,
    head: Vec<u8>,
}

impl<R: Read> Window<R> {
    pub(crate) fn new(input: R, limit: usize) -> Self {
        Window {
            input,
            buf: Vec::new(),
            pin: 0,
            pos: 0,
            end: 0,
            limit,
            ended: false,
            breaks: 0,
            counted: 0,
            lost: None,
            head: Vec::new(),
        }
    }

    /// Pins the position as the start of a new record.
    pub(crate) fn pin(&mut self) {
        self.pin = self.pos;
        self.lost = None;
    }

    /// Returns the bytes from the pin to the position.
    pub(crate) fn pinned(&self) -> &[u8] {
        &self.buf[self.pin..self.pos]
    }

    /// Returns the bytes behind the position that are already in memory.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.buf[self.pos..self.end]
    }

    /// Returns the distance from the pin to the position.
    pub(crate) fn offset(&self) -> usize {
        self.pos - self.pin
    }

    pub(crate) fn advance(&mut self, bytes: usize) {
        self.pos = (self.pos + bytes).min(self.end);
    }

    /// Returns whether the record is longer than the limit.
    pub(crate) fn is_too_large(&self) -> bool {
        self.lost.is_some() || self.offset() > self.limit
    }

    /// Returns whether the start of the record was dropped.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Returns the start of the record for a reject.
    ///
    /// It is a little longer than what a reject shows, so that the caller notices the cut.
    pub(crate) fn head(&self) -> Cow<'_, str> {
        let head = match self.lost {
            Some(_) => &self.head,
            None => &self.pinned()[..self.offset().min(MAX_SHOWN_BYTES + 4)],
        };
        // Most records are UTF-8, and this check is much faster than that of the replacement.
        std::str::from_utf8(head).map_or_else(|_| String::from_utf8_lossy(head), Cow::Borrowed)
    }

    /// Returns the line, from 1, in which the record begins.
    pub(crate) fn line(&mut self) -> u64 {
        match self.lost {
            Some(line) => line,
            None => self.line_at(self.pin),
        }
    }

    /// Returns the line, from 1, of the position.
    pub(crate) fn line_here(&mut self) -> u64 {
        self.line_at(self.pos)
    }

    fn line_at(&mut self, place: usize) -> u64 {
        if place > self.counted {
            self.breaks += count_breaks(&self.buf[self.counted..place]);
            self.counted = place;
            return self.breaks + 1;
        }
        self.breaks - count_breaks(&self.buf[place..self.counted]) + 1
    }

    /// Drops the pinned bytes; the record continues at the position, which is the new pin.
    pub(crate) fn drop_record(&mut self) {
        if self.lost.is_none() {
            let line = self.line_at(self.pin);
            let shown = (self.pin + MAX_SHOWN_BYTES + 4).min(self.end);
            self.head.clear();
            self.head.extend_from_slice(&self.buf[self.pin..shown]);
            self.lost = Some(line);
        }
        self.pin = self.pos;
    }

    /// Reads more bytes behind those in memory.
    pub(crate) fn more(&mut self) -> io::Result<Fill> {
        if self.ended {
            return Ok(Fill::End);
        }
        if self.end - self.pin > self.limit {
            return Ok(Fill::Full);
        }
        self.slide();
        if self.buf.len() - self.end < CHUNK / 2 {
            self.buf.resize(self.end + CHUNK, 0);
        }
        loop {
            match self.input.read(&mut self.buf[self.end..]) {
                Ok(0) => {
                    self.ended = true;
                    return Ok(Fill::End);
                }
                Ok(read) => {
                    self.end += read;
                    return Ok(Fill::More);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Moves the pinned bytes to the front of the buffer.
    fn slide(&mut self) {
        if self.pin == 0 {
            return;
        }
        self.line_at(self.pin.max(self.counted));
        self.counted -= self.pin;
        self.buf.copy_within(self.pin..self.end, 0);
        self.pos -= self.pin;
        self.end -= self.pin;
        self.pin = 0;
    }
}

fn count_breaks(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_within_the_limit_is_one_slice_with_its_line() {
        let mut window = Window::new(&b"one\ntwo\nthree"[..], 100);
        assert_eq!(window.more().unwrap(), Fill::More);
        window.advance(8);
        window.pin();
        window.advance(5);
        assert_eq!(window.pinned(), b"three");
        assert_eq!(window.line(), 3);
        assert!(!window.is_too_large());
    }

    #[test]
    fn a_record_beyond_the_limit_is_dropped_but_keeps_its_head_and_line() {
        let text = "x\n".repeat(CHUNK * 3);
        let mut window = Window::new(text.as_bytes(), 1000);
        window.more().unwrap();
        window.advance(4);
        window.pin();
        let mut seen = 0;
        loop {
            seen += window.rest().len();
            window.advance(usize::MAX / 2);
            match window.more().unwrap() {
                Fill::More => {}
                Fill::Full => window.drop_record(),
                Fill::End => break,
            }
        }
        assert_eq!(seen, text.len() - 4);
        assert!(window.is_too_large());
        assert_eq!(window.line(), 3);
        assert!(window.head().starts_with("x\nx\n") && window.head().len() > MAX_SHOWN_BYTES);
        assert_eq!(window.line_here(), CHUNK as u64 * 3 + 1);
        assert!(window.buf.len() < 3 * CHUNK);
    }
}
