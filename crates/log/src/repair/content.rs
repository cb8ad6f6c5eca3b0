//! A segment's content before compression, as far as it can be read.

use std::io;

use leftfold_io::{Disk, OpenMode};
use zstd::zstd_safe::{self, DDict};

use super::DamagedBytes;
use super::salvage::positions_in;
use crate::compression::decompress;
use crate::format::{MAX_RECORD, SegmentFooter, SegmentHeader, Tables, crc_of};
use crate::manifest::{LiveFile, SegmentState};
use crate::options::Compression;
use crate::recovery::read_all;
use crate::segment::salt_of;

/// The longest content of a block, whatever a damaged table says.
const MAX_BLOCK: u64 = MAX_RECORD as u64 + (1 << 20);

/// The content of a segment.
pub(super) struct Content {
    /// The file that it is read from.
    pub(super) name: String,
    /// From the header on; zeros where it can't be read.
    pub(super) bytes: Vec<u8>,
    /// Where the frames end, if that is known.
    pub(super) end: Option<u64>,
    /// Where the blocks of a compressed file lie: in the content, and in the file.
    pub(super) stored: Vec<StoredBlock>,
    pub(super) damage: Vec<DamagedBytes>,
    /// The length of the file in bytes.
    pub(super) file: u64,
}

pub(super) struct StoredBlock {
    pub(super) offset: u64,
    pub(super) at: u64,
    pub(super) length: u64,
    /// Whether it is known to be damaged.
    pub(super) damaged: bool,
}

/// Reads a segment from a file, or notes that there is none.
pub(super) fn read(
    disk: &dyn Disk,
    store_id: [u8; 16],
    live: &LiveFile,
    path: Option<&str>,
) -> io::Result<Content> {
    let name = path.map_or_else(|| live.name(), str::to_owned);
    let mut content = Content::of(name);
    match path {
        Some(path) => {
            content.bytes = read_all(&*disk.open(path, OpenMode::Read)?)?.to_vec();
        }
        None => content.note(0, 0, "the file is missing"),
    }
    content.file = content.bytes.len() as u64;
    content.check_header(live, store_id);
    match live.segment_state() {
        Some(SegmentState::Sealed) => content.unseal(live, salt_of(store_id, live.id)),
        Some(SegmentState::Closed) => content.end = Some(live.length),
        _ => {}
    }
    if let Some(end) = content.end {
        // What is missing at the end becomes zeros.
        content.bytes.resize(end as usize, 0);
    }
    Ok(content)
}

/// Returns the first and the last position in a compressed file whose tables are lost.
pub(super) fn positions_without_tables(file: &[u8], salt: u32) -> Option<(u64, u64)> {
    let mut content = Content::of(String::new());
    content.decompress_without_tables(file);
    positions_in(&content.bytes, salt)
}

impl Content {
    fn of(name: String) -> Self {
        let (bytes, stored, damage) = (Vec::new(), Vec::new(), Vec::new());
        Content { name, bytes, end: None, stored, damage, file: 0 }
    }

    pub(super) fn note(&mut self, offset: u64, length: u64, what: &str) {
        let (file, what) = (self.name.clone(), what.to_owned());
        self.damage.push(DamagedBytes { file, offset, length, what });
    }

    fn check_header(&mut self, live: &LiveFile, store_id: [u8; 16]) {
        let what = match SegmentHeader::parse(&self.bytes, store_id, live.id) {
            Ok(header) if header.generation.get() == live.generation => return,
            Ok(_) => "the file is another generation of the segment",
            Err(what) => what,
        };
        if self.file > 0 {
            self.note(0, SegmentHeader::SIZE.min(self.file), what);
        }
    }

    /// Finds the frames of a sealed segment by its tables, or without them as far as possible.
    fn unseal(&mut self, live: &LiveFile, salt: u32) {
        let file = std::mem::take(&mut self.bytes);
        let is_compressed = !matches!(Compression::of(live.detail), Some(Compression::Off));
        let at = live.length.saturating_sub(SegmentFooter::SIZE as u64) as usize;
        let last = file.get(at..live.length as usize).unwrap_or_default();
        let footer = match SegmentFooter::parse(last, live.id) {
            Ok(footer) => footer,
            Err(what) => {
                if self.file > 0 {
                    self.note(at as u64, last.len() as u64, what);
                }
                return match is_compressed {
                    true => self.decompress_without_tables(&file),
                    false => self.bytes = file,
                };
            }
        };
        let from = footer.tables_at() as usize;
        let tables = file.get(from..at).unwrap_or_default();
        if let Err(what) = footer.parse_tables(tables) {
            self.note(from as u64, tables.len() as u64, what);
        }
        let end = footer.data_end.get();
        match footer.split_tables(tables) {
            _ if !footer.is_compressed() => self.bytes = file,
            Ok(tables) => self.decompress(salt, &file, &tables, end),
            Err(_) => self.decompress_without_tables(&file),
        }
        self.end = Some(end);
    }

    fn decompress(&mut self, salt: u32, file: &[u8], tables: &Tables<'_>, end: u64) {
        let dictionary =
            (!tables.dictionary.is_empty()).then(|| DDict::try_create(tables.dictionary)).flatten();
        self.bytes = file.get(..SegmentHeader::SIZE as usize).unwrap_or_default().to_vec();
        self.bytes.resize(SegmentHeader::SIZE as usize, 0);
        let next = tables.blocks.iter().skip(1).map(|block| block.offset.get()).chain([end]);
        for ((block, entry), next) in tables.blocks.iter().zip(tables.compressed).zip(next) {
            let (offset, at) = (block.offset.get(), entry.stored_at.get());
            let length = u64::from(entry.stored_bytes.get());
            let content = next.saturating_sub(offset);
            if offset != self.bytes.len() as u64 || content > MAX_BLOCK {
                // The tables are damaged here: the end of what they are good for.
                return;
            }
            let stored = file.get(at as usize..(at + length) as usize).unwrap_or_default();
            let mut unpacked = vec![0; content as usize];
            // With a wrong checksum it may still be right, and its frames can tell.
            let right = crc_of(salt, &[stored]) == entry.crc.get();
            let done = decompress(stored, dictionary.as_ref(), &mut unpacked[..], content as usize)
                .is_ok();
            if !done {
                unpacked.fill(0);
            }
            if !right || !done {
                let length = length.min(self.file.saturating_sub(at));
                self.note(at, length, "a compressed block can't be unpacked, or is not the same");
            }
            self.bytes.extend_from_slice(&unpacked);
            self.stored.push(StoredBlock { offset, at, length, damaged: !right || !done });
        }
    }

    /// Compressed blocks tell their own lengths. Those that need the dictionary are lost.
    fn decompress_without_tables(&mut self, file: &[u8]) {
        let mut at = SegmentHeader::SIZE as usize;
        self.bytes = file.get(..at).unwrap_or_default().to_vec();
        self.bytes.resize(at, 0);
        while let Some(rest) = file.get(at..) {
            let Ok(length) = zstd_safe::find_frame_compressed_size(rest) else { return };
            let stored = rest.get(..length).unwrap_or_default();
            let content = zstd_safe::get_frame_content_size(stored).ok().flatten();
            let Some(content) = content.filter(|content| *content <= MAX_BLOCK) else { return };
            let mut unpacked = vec![0; content as usize];
            let offset = self.bytes.len() as u64;
            if decompress(stored, None, &mut unpacked[..], content as usize).is_err() {
                unpacked.fill(0);
            }
            self.bytes.extend_from_slice(&unpacked);
            let length = length as u64;
            self.stored.push(StoredBlock { offset, at: at as u64, length, damaged: false });
            at += length as usize;
        }
    }
}
