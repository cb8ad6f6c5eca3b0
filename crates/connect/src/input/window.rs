//! A bounded window that slides over the input.
//!
//! A reader pins the place where a record begins, moves forward, and finds the whole record in
//! one slice when it has reached the end: no copy, no allocation. When a record outgrows the limit
//! the window lets go of it ([`Window::let_go`]), keeps its first bytes for the reject, and the
//! reader goes on to the record's end. So no input, however made, takes more memory than the limit
//! and one chunk.

use crate::item::MAX_SHOWN_BYTES;
use std::io::{self, Read};

/// How much is asked of the input at a time: large enough that the system call disappears, small
/// enough to stay in the processor's second-level cache.
const CHUNK: usize = 256 * 1024;

/// What asking for more bytes gave.
#[derive(Debug, PartialEq)]
pub(crate) enum Fill {
    /// There are more bytes behind the position.
    More,
    /// The input has ended.
    End,
    /// The pinned bytes have reached the limit; let go of them first.
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
    /// The line of the pin at the time it was let go of.
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

    /// A new record begins here.
    pub(crate) fn pin(&mut self) {
        self.pin = self.pos;
        self.lost = None;
    }

    /// From the pin to the position.
    pub(crate) fn pinned(&self) -> &[u8] {
        &self.buf[self.pin..self.pos]
    }

    /// From the position on, as far as it is here already.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.buf[self.pos..self.end]
    }

    /// How far the position is behind the pin.
    pub(crate) fn offset(&self) -> usize {
        self.pos - self.pin
    }

    pub(crate) fn advance(&mut self, bytes: usize) {
        self.pos = (self.pos + bytes).min(self.end);
    }

    /// Whether the record is longer than the limit.
    pub(crate) fn is_too_large(&self) -> bool {
        self.lost.is_some() || self.offset() > self.limit
    }

    /// Whether the beginning of the record is gone.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// The beginning of the record, for showing it; a little more than will be shown, so that the
    /// cut is noticed.
    pub(crate) fn head(&self) -> String {
        let head = match self.lost {
            Some(_) => &self.head,
            None => &self.pinned()[..self.offset().min(MAX_SHOWN_BYTES + 4)],
        };
        String::from_utf8_lossy(head).into_owned()
    }

    /// The line, counted from 1, in which the record begins.
    pub(crate) fn line(&mut self) -> u64 {
        match self.lost {
            Some(line) => line,
            None => self.line_at(self.pin),
        }
    }

    /// The line, counted from 1, of the position.
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

    /// Forgets the pinned bytes; the record goes on at the position, which is the new pin.
    pub(crate) fn let_go(&mut self) {
        if self.lost.is_none() {
            let line = self.line_at(self.pin);
            let shown = (self.pin + MAX_SHOWN_BYTES + 4).min(self.end);
            self.head.clear();
            self.head.extend_from_slice(&self.buf[self.pin..shown]);
            self.lost = Some(line);
        }
        self.pin = self.pos;
    }

    /// Reads more bytes behind those that are here.
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
    fn a_record_beyond_the_limit_is_let_go_but_keeps_its_head_and_line() {
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
                Fill::Full => window.let_go(),
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
