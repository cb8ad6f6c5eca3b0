//! Finds the records: lines, or the elements of an array.
//!
//! Elements are delimited without parsing them: by the depth of brackets outside of strings. So an
//! element that is not JSON is refused alone, and reading goes on behind it.

use crate::input::{Fill, Window};
use crate::output::Halt;
use memchr::{memchr, memchr2};
use std::io::{self, Read};

pub(crate) struct Records<R> {
    pub(crate) window: Window<R>,
    /// Whether the records are elements; `None` until the first byte shows it.
    array: Option<bool>,
    /// Whether the position is within an array.
    inside: bool,
}

impl<R: Read> Records<R> {
    /// Reads the records of a window; without `array` the first bytes decide what they are.
    pub(crate) fn new(window: Window<R>, array: Option<bool>) -> Self {
        Records { window, array, inside: false }
    }

    /// Pins the next record; returns false at the end of the file.
    pub(crate) fn next<E>(&mut self) -> Result<bool, Halt<E>> {
        let is_array = match self.array {
            Some(known) => known,
            None => self.begins_array()?,
        };
        self.array = Some(is_array);
        if is_array {
            return self.next_element();
        }
        while self.next_line()? {
            if self.window.is_lost() || !self.window.pinned().trim_ascii().is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns whether the file begins with `[` and `{`, or with an array over several lines.
    ///
    /// Lines may be arrays too; those of plain values in one line are taken for lines.
    fn begins_array(&mut self) -> io::Result<bool> {
        self.window.pin();
        let Some(first) = self.byte_behind_space(0)? else { return Ok(false) };
        if self.window.rest()[first] != b'[' {
            return Ok(false);
        }
        let Some(second) = self.byte_behind_space(first + 1)? else { return Ok(false) };
        let rest = self.window.rest();
        let line_ended = memchr(b'\n', &rest[first..second]).is_some();
        Ok(line_ended || matches!(rest[second], b'{' | b']'))
    }

    /// Returns the offset of the first byte from `at` that is not white space, or `None` if the file ends or the
    /// window is full.
    fn byte_behind_space(&mut self, mut at: usize) -> io::Result<Option<usize>> {
        loop {
            let rest = self.window.rest();
            at += rest[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            if at < rest.len() {
                return Ok(Some(at));
            }
            if self.window.more()? != Fill::More {
                return Ok(None);
            }
        }
    }

    fn next_line(&mut self) -> io::Result<bool> {
        self.window.pin();
        loop {
            let rest = self.window.rest();
            if let Some(at) = memchr(b'\n', rest) {
                self.window.advance(at + 1);
                return Ok(true);
            }
            self.window.advance(rest.len());
            match self.window.more()? {
                Fill::More => {}
                Fill::End => return Ok(self.window.is_lost() || self.window.offset() > 0),
                Fill::Full => self.window.drop_record(),
            }
        }
    }

    fn next_element<E>(&mut self) -> Result<bool, Halt<E>> {
        loop {
            match (self.skip_space()?, self.inside) {
                (None, false) => return Ok(false),
                (None, true) => return self.malformed("The file ends within its array"),
                (Some(b'['), false) => self.inside = true,
                (Some(_), false) => {
                    return self.malformed("Something other than an array is behind the array");
                }
                (Some(b']'), true) => self.inside = false,
                (Some(b','), true) => {}
                (Some(_), true) => {
                    return match self.take_element()? {
                        true => Ok(true),
                        false => self.malformed("The file ends within an element of its array"),
                    };
                }
            }
            self.window.advance(1);
        }
    }

    fn malformed<T, E>(&mut self, problem: &str) -> Result<T, Halt<E>> {
        let message = format!("{problem}. Reading stopped here; records before it were delivered.");
        Err(Halt::Malformed { line: self.window.line_here(), message })
    }

    /// Moves to the first byte that is not white space and returns it.
    fn skip_space(&mut self) -> io::Result<Option<u8>> {
        loop {
            let rest = self.window.rest();
            let space = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let found = rest.get(space).copied();
            self.window.advance(space);
            self.window.pin();
            if found.is_some() || self.window.more()? == Fill::End {
                return Ok(found);
            }
        }
    }

    /// Moves behind the element at the position; returns false if the file ends in it.
    fn take_element(&mut self) -> io::Result<bool> {
        self.window.pin();
        let mut scan = Scan::default();
        loop {
            let rest = self.window.rest();
            if let Some(end) = scan.find_end(rest) {
                self.window.advance(end);
                return Ok(true);
            }
            self.window.advance(rest.len());
            match self.window.more()? {
                Fill::More => {}
                Fill::End => return Ok(false),
                Fill::Full => self.window.drop_record(),
            }
        }
    }
}

/// Where in an element the bytes so far end.
#[derive(Default)]
struct Scan {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Scan {
    /// Returns the offset in `bytes` at which the element ends, or `None` if it goes on behind them.
    fn find_end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if self.in_string {
                at += self.skip_string(&bytes[at..]);
                continue;
            }
            match byte {
                b',' | b']' if self.depth == 0 => return Some(at),
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            at += 1;
        }
        None
    }

    /// Returns the number of bytes up to the end of the string, or all of them.
    fn skip_string(&mut self, bytes: &[u8]) -> usize {
        if std::mem::take(&mut self.escaped) {
            return 1;
        }
        let Some(at) = memchr2(b'"', b'\\', bytes) else { return bytes.len() };
        match bytes[at] {
            b'"' => self.in_string = false,
            _ => self.escaped = true,
        }
        at + 1
    }
}
