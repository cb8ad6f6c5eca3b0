//! Lays out a list: its first posting, its pieces, and where it has several, a table of them.
//!
//! ```text
//! first (varint), { width (varint), bits } of each piece [, table head, { first, at } of each ]
//! ```
//!
//! A piece begins with a posting that stands in the table and has up to 255 more in its bits: so
//! many out of the `width` positions between its first posting and the next piece's first, or, of
//! the last piece, the list's last posting, which is not in its bits either. Whoever goes along
//! the list needs no table. It comes behind, because a list may be as long as the log: it is never
//! in memory as a whole while it is written.

use zerocopy::IntoBytes;

use super::layout::{TableEntry, TableHead};
use super::{piece, varint};

/// A list in the making.
#[derive(Default)]
pub(super) struct Packer {
    /// The postings of the piece at hand.
    piece: Vec<u32>,
    /// What is laid out and was not taken yet.
    bytes: Vec<u8>,
    taken: u64,
    table: Vec<TableEntry>,
    count: u64,
}

/// What the list's entry says of it.
pub(super) struct Packed {
    pub(super) count: u64,
    /// In bytes from the list's beginning; of a list of one, the posting.
    pub(super) at: u64,
}

impl Packer {
    /// Adds a posting. One that does not lie behind the last is left out: a list is a set.
    pub(super) fn push(&mut self, offset: u32) {
        if self.piece.last().is_some_and(|last| *last >= offset) {
            return;
        }
        if self.piece.len() == piece::MOST {
            self.end_piece(Some(offset));
        }
        self.piece.push(offset);
        self.count += 1;
    }

    /// What is laid out so far, to be written away.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// It was written away.
    pub(super) fn taken(&mut self) {
        self.taken += self.bytes.len() as u64;
        self.bytes.clear();
    }

    fn position(&self) -> u64 {
        self.taken + self.bytes.len() as u64
    }

    /// Ends the list; its last bytes are to be taken, then the next can begin.
    pub(super) fn finish(&mut self) -> Packed {
        let count = std::mem::take(&mut self.count);
        let only = self.piece.first().copied().filter(|_| count == 1);
        let last = self.piece.last().copied().unwrap_or_default();
        if count > 1 {
            self.end_piece(None);
        }
        let several = self.table.len() > 1;
        let at = only.map_or(if several { self.position() } else { 0 }, u64::from);
        if several {
            // 2^32 postings take less than 2^32 bytes.
            let head = TableHead { before: (self.position() as u32).into(), last: last.into() };
            self.bytes.extend_from_slice(head.as_bytes());
            self.bytes.extend_from_slice(self.table.as_bytes());
        }
        self.piece.clear();
        self.table.clear();
        Packed { count, at }
    }

    /// All of it was taken; the next list begins at its beginning.
    pub(super) fn restart(&mut self) {
        self.bytes.clear();
        self.taken = 0;
    }

    /// Lays out the piece at hand, which ends before `next` or is the last.
    fn end_piece(&mut self, next: Option<u32>) {
        let piece = std::mem::take(&mut self.piece);
        if let [first, rest @ ..] = piece.as_slice() {
            if self.table.is_empty() {
                varint::write(*first, &mut self.bytes);
            }
            let (end, inner) = match (next, rest) {
                (Some(next), rest) => (Some(next), rest),
                (None, [inner @ .., last]) => (Some(*last), inner),
                (None, []) => (None, rest),
            };
            if let Some(end) = end {
                varint::write(end - first - 1, &mut self.bytes);
            }
            let at = (self.position() as u32).into();
            self.table.push(TableEntry { first: (*first).into(), at });
            if let Some(end) = end {
                let inner = inner.iter().map(|offset| offset - first - 1);
                piece::encode(inner, end - first - 1, &mut self.bytes);
            }
        }
        self.piece = piece;
        self.piece.clear();
    }
}
