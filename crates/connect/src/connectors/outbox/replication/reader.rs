//! Reads the fields of a message of PostgreSQL.

use bytes::{Buf, Bytes};

/// Reads the fields of a message one after the other. What is not there is `None`.
pub(super) struct Reader(Bytes);

impl Reader {
    pub(super) fn new(bytes: Bytes) -> Self {
        Reader(bytes)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.0.try_get_u8().ok()
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.0.try_get_u16().ok()
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.0.try_get_u32().ok()
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.0.try_get_u64().ok()
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.0.try_get_i64().ok()
    }

    /// Reads a text that ends with a zero.
    pub(super) fn text(&mut self) -> Option<String> {
        let length = memchr::memchr(0, &self.0)?;
        let text = self.bytes(length)?;
        self.byte()?;
        String::from_utf8(text.to_vec()).ok()
    }

    pub(super) fn bytes(&mut self, count: usize) -> Option<Bytes> {
        (count <= self.0.len()).then(|| self.0.split_to(count))
    }

    /// Returns what was not read.
    pub(super) fn rest(self) -> Bytes {
        self.0
    }
}
