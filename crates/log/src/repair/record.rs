//! The record of a repair: which files it replaced, and what they held.

use std::fmt::Write as _;
use std::io;
use std::ops::RangeInclusive;

use leftfold_io::{Disk, OpenMode, read_whole};

use crate::format::crc_of;

/// A directory for what repairs have replaced.
pub const QUARANTINE: &str = "quarantine";

const FIRST_LINE: &str = "leftfold repair 1";
/// The record of a repair that is done.
const DONE: &str = "record";
/// The record of a repair that is replacing files.
const PENDING: &str = "pending";
/// A record has a line for each file of the store and for each lost range.
const RECORD_LIMIT: u64 = 256 << 20;
/// Files are read in pieces of this size.
const PIECE: u64 = 1 << 20;

/// The length and the checksum of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileSum {
    pub(super) length: u64,
    pub(super) crc: u32,
}

impl FileSum {
    pub(super) fn of(bytes: &[u8]) -> Self {
        FileSum { length: bytes.len() as u64, crc: crc_of(0, &[bytes]) }
    }

    /// Sums a file up, and shows it piece by piece.
    pub(super) fn read(
        disk: &dyn Disk,
        name: &str,
        mut piece: impl FnMut(&[u8], u64) -> io::Result<()>,
    ) -> io::Result<Self> {
        let file = disk.open(name, OpenMode::Read)?;
        let (mut sum, mut buffer) = (FileSum::of(&[]), vec![0; PIECE as usize]);
        loop {
            let n = file.read_at(&mut buffer, sum.length)?;
            let Some(read) = buffer.get(..n).filter(|read| !read.is_empty()) else {
                return Ok(sum);
            };
            piece(read, sum.length)?;
            sum.length += n as u64;
            sum.crc = crc_of(sum.crc, &[read]);
        }
    }
}

/// A file of the store before the repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileBefore {
    pub(super) name: String,
    pub(super) sum: FileSum,
    /// Whether it was put aside, because the repair replaces or removes it.
    pub(super) is_aside: bool,
}

/// The outcome of a repair.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The number of events that were left.
    pub events: u64,
    /// The last position.
    pub head: u64,
    /// The lost positions, in order.
    pub lost: Vec<RangeInclusive<u64>>,
}

/// The record of a repair.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) number: u64,
    /// The repair that this one undoes.
    pub(super) undoes: Option<u64>,
    pub(super) outcome: Outcome,
    pub(super) before: Vec<FileBefore>,
    /// The files that are put in place.
    pub(super) after: Vec<(String, FileSum)>,
}

/// Returns where a file of the store is put aside.
pub(super) fn aside_name(number: u64, name: &str) -> String {
    format!("{QUARANTINE}/{number:04}.was.{}", name.replace('/', "."))
}

/// Returns where a file is written before it is put in its place.
pub(super) fn staged_name(number: u64, name: &str) -> String {
    format!("{QUARANTINE}/{number:04}.new.{}", name.replace('/', "."))
}

pub(super) fn pending_name(number: u64) -> String {
    format!("{QUARANTINE}/{number:04}.{PENDING}")
}

pub(super) fn done_name(number: u64) -> String {
    format!("{QUARANTINE}/{number:04}.{DONE}")
}

/// Returns the numbers of all records of a kind, in order.
fn numbers(disk: &dyn Disk, kind: &str) -> io::Result<Vec<u64>> {
    let names = disk.list(QUARANTINE)?;
    let parts = names.iter().filter_map(|name| name.split_once('.'));
    let of_kind = parts.filter(|(_, rest)| *rest == kind);
    let mut numbers: Vec<_> = of_kind.filter_map(|(number, _)| number.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Returns the number of the repair that was interrupted, if there is one.
pub(crate) fn pending(disk: &dyn Disk) -> io::Result<Option<u64>> {
    Ok(numbers(disk, PENDING)?.pop())
}

/// Returns the numbers of the repairs that are done.
pub(super) fn done(disk: &dyn Disk) -> io::Result<Vec<u64>> {
    numbers(disk, DONE)
}

/// Whether a file of the quarantine is a record.
pub(super) fn is_record(name: &str) -> bool {
    name.split_once('.').is_some_and(|(_, kind)| kind == DONE)
}

impl Record {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut text = format!("{FIRST_LINE}\nnumber {}\n", self.number);
        let mut line = |line: std::fmt::Arguments<'_>| _ = writeln!(text, "{line}");
        if let Some(undone) = self.undoes {
            line(format_args!("undoes {undone}"));
        }
        let Outcome { events, head, lost } = &self.outcome;
        line(format_args!("events {events}"));
        line(format_args!("head {head}"));
        for range in lost {
            line(format_args!("lost {} {}", range.start(), range.end()));
        }
        for FileBefore { name, sum: FileSum { length, crc }, is_aside } in &self.before {
            let kind = if *is_aside { "aside" } else { "kept" };
            line(format_args!("{kind} {length} {crc:08x} {name}"));
        }
        for (name, FileSum { length, crc }) in &self.after {
            line(format_args!("put {length} {crc:08x} {name}"));
        }
        let crc = crc_of(0, &[text.as_bytes()]);
        text.push_str(&format!("crc {crc:08x}\n"));
        text.into_bytes()
    }

    /// Reads a record, or says in a sentence what is wrong with it.
    pub(super) fn load(disk: &dyn Disk, name: &str) -> io::Result<Self> {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, format!("{name} is damaged"));
        let bytes = read_whole(disk, name, RECORD_LIMIT)?;
        Self::parse(&bytes).ok_or_else(damaged)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (text, crc) = text.strip_suffix('\n')?.rsplit_once('\n')?;
        let (body, mut record) = (format!("{text}\n"), Record::default());
        if crc != format!("crc {:08x}", crc_of(0, &[body.as_bytes()])) {
            return None;
        }
        let mut lines = text.lines();
        if lines.next() != Some(FIRST_LINE) {
            return None;
        }
        for line in lines {
            let (kind, rest) = line.split_once(' ')?;
            let number = || rest.parse().ok();
            match kind {
                "number" => record.number = number()?,
                "undoes" => record.undoes = Some(number()?),
                "events" => record.outcome.events = number()?,
                "head" => record.outcome.head = number()?,
                "lost" => {
                    let (first, last) = rest.split_once(' ')?;
                    record.outcome.lost.push(first.parse().ok()?..=last.parse().ok()?);
                }
                "aside" | "kept" => {
                    let (name, sum) = file(rest)?;
                    record.before.push(FileBefore { name, sum, is_aside: kind == "aside" });
                }
                "put" => record.after.push(file(rest)?),
                _ => return None,
            }
        }
        Some(record)
    }

    /// The files that were put aside and are not replaced: they are removed.
    pub(super) fn removed(&self) -> impl Iterator<Item = &str> {
        let is_put = |name: &str| self.after.iter().any(|(put, _)| put == name);
        let aside = self.before.iter().filter(|file| file.is_aside);
        aside.map(|file| &*file.name).filter(move |name| !is_put(name))
    }
}

fn file(rest: &str) -> Option<(String, FileSum)> {
    let mut parts = rest.splitn(3, ' ');
    let (length, crc) = (parts.next()?.parse().ok()?, parts.next()?);
    let sum = FileSum { length, crc: u32::from_str_radix(crc, 16).ok()? };
    Some((parts.next()?.to_owned(), sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_wrote_and_notices_every_flipped_bit() {
        let sum = FileSum::of(b"content");
        let file = |name: &str, is_aside| FileBefore { name: name.to_owned(), sum, is_aside };
        let record = Record {
            number: 3,
            undoes: Some(2),
            outcome: Outcome { events: 7, head: 9, lost: vec![4..=4, 6..=8] },
            before: vec![
                file("MANIFEST", true),
                file("log/a name.seg", true),
                file("STORE", false),
            ],
            after: vec![("MANIFEST".to_owned(), sum)],
        };
        let bytes = record.encode();
        assert_eq!(Record::parse(&bytes).unwrap(), record);
        assert_eq!(record.removed().collect::<Vec<_>>(), ["log/a name.seg"]);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Record::parse(&flipped), None, "bit {bit}");
        }
    }
}
