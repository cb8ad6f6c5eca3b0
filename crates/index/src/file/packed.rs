use std::sync::Arc;

use zerocopy::{FromZeros, IntoBytes};

use super::layout::{ListInfo, Section, TableEntry, TableHead};
use super::reader::IndexFile;
use super::{piece, varint};
use crate::error::IndexError;

/// A packed list. A posting is found by reading one entry of its table and one piece.
#[derive(Clone)]
pub(crate) struct PackedList {
    file: Arc<IndexFile>,
    pub(crate) first: u32,
    pub(crate) last: u32,
    count: usize,
    pieces: Pieces,
}

/// The pieces of a list. Offsets are in payload.
#[derive(Clone, Copy)]
enum Pieces {
    /// The start of the bits of the only piece.
    One(u64),
    /// The starts of the list and of its table.
    Table { start: u64, table: u64 },
}

/// The bounds of a piece.
#[derive(Clone, Copy)]
struct Piece {
    first: u32,
    /// The last posting of the list's last piece, or the first posting of the next piece.
    end: u32,
    at: u64,
}

impl PackedList {
    /// Opens a list of two or more postings.
    pub(super) fn open(file: &Arc<IndexFile>, info: &ListInfo) -> Result<Self, IndexError> {
        let Section { at, length } = file.header.postings;
        let count = info.count as usize;
        if info.at > length.get() {
            return Err(file.damaged(at.get(), "a list goes beyond the postings"));
        }
        let rest = length.get() - info.at;
        let at = at.get() + info.at;
        let (ends, pieces) = if count <= piece::MOST {
            open_one(file, at, rest)
        } else {
            open_table(file, at, [rest, info.at, count as u64])
        }?;
        let Some([first, last]) = ends.filter(|[_, last]| u64::from(*last) < file.positions())
        else {
            return Err(file.damaged(at, "the head of a list makes no sense"));
        };
        Ok(PackedList { file: file.clone(), first, last, count, pieces })
    }

    /// Returns the first posting of a piece.
    pub(crate) fn leader(&self, number: usize) -> Result<u32, IndexError> {
        match self.pieces {
            Pieces::Table { table, .. } if number > 0 => {
                let mut entry = TableEntry::new_zeroed();
                self.file.read(entry_at(table, number), entry.as_mut_bytes())?;
                Ok(entry.first.get())
            }
            _ => Ok(self.first),
        }
    }

    /// Replaces the content of `to` with the postings of a piece.
    pub(crate) fn chunk(&self, number: usize, to: &mut Vec<u32>) -> Result<(), IndexError> {
        to.clear();
        let Some(left) = self.count.checked_sub(number * piece::MOST) else { return Ok(()) };
        let Piece { first, end, at } = self.piece(number)?;
        let is_last = left <= piece::MOST;
        to.push(first);
        let whole = if left == 1 { first == end } else { self.inner([first, end], left, at, to)? };
        if is_last && left > 1 {
            to.push(end);
        }
        let inside = u64::from(end) < self.file.positions();
        if whole && inside { Ok(()) } else { Err(self.file.damaged(at, "a list makes no sense")) }
    }

    /// Appends the postings of a piece that its bits hold; returns whether the bits are valid.
    fn inner(
        &self,
        [first, end]: [u32; 2],
        left: usize,
        at: u64,
        to: &mut Vec<u32>,
    ) -> Result<bool, IndexError> {
        let Some(width) = end.checked_sub(first).and_then(|span| span.checked_sub(1)) else {
            return Ok(false);
        };
        let count = inner_count(left);
        let mut bits = [0; piece::MOST_BYTES];
        let length = piece::bytes_of(count, width) as usize;
        let Some(bits) = bits.get_mut(..length) else { return Ok(false) };
        let postings = self.file.header.postings;
        let section = Section::new(at, length as u64);
        if section.end_within(postings.at.get() + postings.length.get()).is_none() {
            return Ok(false);
        }
        self.file.read(at, bits)?;
        Ok(piece::decode(bits, count, width, first + 1, to))
    }

    fn piece(&self, number: usize) -> Result<Piece, IndexError> {
        let (start, table) = match self.pieces {
            Pieces::One(at) => return Ok(Piece { first: self.first, end: self.last, at }),
            Pieces::Table { start, table } => (start, table),
        };
        let mut entries = [TableEntry::new_zeroed(); 2];
        let is_last = (number + 1) * piece::MOST >= self.count;
        let wanted = entries.get_mut(..if is_last { 1 } else { 2 }).unwrap_or_default();
        self.file.read(entry_at(table, number), wanted.as_mut_bytes())?;
        let [here, next] = entries;
        let end = if is_last { self.last } else { next.first.get() };
        Ok(Piece { first: here.first.get(), end, at: start + u64::from(here.at.get()) })
    }
}

/// Returns the number of postings in a piece's bits, if `left` postings of the list remain.
///
/// The bits hold all postings but the piece's first and the list's last.
pub(super) fn inner_count(left: usize) -> u32 {
    let inner = if left > piece::MOST { piece::MOST - 1 } else { left.saturating_sub(2) };
    inner as u32
}

type ListHead = (Option<[u32; 2]>, Pieces);

fn open_one(file: &IndexFile, at: u64, rest: u64) -> Result<ListHead, IndexError> {
    let mut head = [0; 2 * varint::MOST_BYTES];
    let n = (head.len() as u64).min(rest) as usize;
    let head = head.get_mut(..n).unwrap_or_default();
    file.read(at, head)?;
    let read = || {
        let (first, length) = varint::read(head)?;
        let (width, more) = varint::read(head.get(length..)?)?;
        Some(([first, first.checked_add(width)?.checked_add(1)?], length + more))
    };
    let found = read();
    let length = found.map_or(0, |(_, length)| length as u64);
    Ok((found.map(|(ends, _)| ends), Pieces::One(at + length)))
}

/// Opens a list with a table. `rest` bytes of the postings follow its start, `before` precede it.
fn open_table(
    file: &IndexFile,
    table: u64,
    [rest, before, count]: [u64; 3],
) -> Result<ListHead, IndexError> {
    let mut head = (TableHead::new_zeroed(), TableEntry::new_zeroed());
    let length = count.div_ceil(piece::MOST as u64) * size_of::<TableEntry>() as u64;
    if length + size_of::<TableHead>() as u64 > rest {
        return Ok((None, Pieces::One(table)));
    }
    file.read(table, head.0.as_mut_bytes())?;
    file.read(entry_at(table, 0), head.1.as_mut_bytes())?;
    let ends = [head.1.first.get(), head.0.last.get()];
    let start = table.checked_sub(head.0.before.get().into());
    let sound = u64::from(head.0.before.get()) <= before && ends[0] < ends[1];
    let pieces = Pieces::Table { start: start.unwrap_or_default(), table };
    Ok((Some(ends).filter(|_| sound), pieces))
}

fn entry_at(table: u64, number: usize) -> u64 {
    table + (size_of::<TableHead>() + number * size_of::<TableEntry>()) as u64
}
