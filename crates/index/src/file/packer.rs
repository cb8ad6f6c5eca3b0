//! Encodes a list: its first posting, its pieces and, if there are several, a table of them.
//!
//! ```text
//! first (varint), { width (varint), bits } of each piece [, table head, { first, at } of each ]
//! ```
//!
//! The first posting of a piece is in the table; its bits hold up to 255 more. The bits select
//! positions among the `width` positions between the piece's first posting and the next piece's
//! first one. For the last piece, the end is the list's last posting, which is not in the bits
//! either. A sequential reader needs no table. The table follows the pieces, because a list may be
//! as long as the log and is never in memory as a whole.

use zerocopy::IntoBytes;

use super::layout::{TableEntry, TableHead};
use super::{piece, varint};

/// A list under construction.
#[derive(Default)]
pub(super) struct Packer {
    /// The postings of the current piece.
    piece: Vec<u32>,
    /// Encoded bytes that the caller has not written yet.
    bytes: Vec<u8>,
    written: u64,
    table: Vec<TableEntry>,
    count: u64,
}

/// The values of a list's entry.
pub(super) struct ListSummary {
    pub(super) count: u64,
    /// The offset in bytes from the list's start; for a list of one posting, the posting.
    pub(super) at: u64,
}

impl Packer {
    /// Adds a posting. A posting that is not behind the last one is ignored: a list is a set.
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

    /// Returns the encoded bytes that the caller has to write.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Drops the encoded bytes after the caller wrote them.
    pub(super) fn clear_written(&mut self) {
        self.written += self.bytes.len() as u64;
        self.bytes.clear();
    }

    fn position(&self) -> u64 {
        self.written + self.bytes.len() as u64
    }

    /// Ends the list. The caller writes its last bytes, then calls [`Packer::restart`].
    pub(super) fn finish(&mut self) -> ListSummary {
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
        ListSummary { count, at }
    }

    /// Begins the next list.
    pub(super) fn restart(&mut self) {
        self.bytes.clear();
        self.written = 0;
    }

    /// Encodes the current piece, which ends before `next` or is the last one.
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
