//! Rewrites a sealed segment: compressed, or with records changed.
//!
//! The frames of the segment are read in order, each record is shown to an [`Edit`], and frames
//! with the same positions, times, append ids and extensions are laid into a new file, block by
//! block. The file becomes the segment when the manifest names it, in one step. Readers of the old
//! file go on: it is removed when the last of them drops it.

use std::io;
use std::sync::Arc;

use leftfold_io::{File, OpenMode};
use thiserror::Error;
use zerocopy::IntoBytes;

use crate::blocks::{BLOCK_BYTES, Blocks};
use crate::catalog::Catalog;
use crate::compression::{BlockCompressor, SAMPLE, SAMPLE_RECORD};
use crate::error::ReadError;
use crate::failure::is_full;
use crate::format::footer::{CompressedTables, Totals};
use crate::format::{
    BlockEntry, CompressedEntry, FEATURE_GENERATIONS, SegmentFooter, SegmentHeader, crc_of,
};
use crate::frame_builder::{BufferLocation, FrameBuilder, Slot};
use crate::frames::FrameView;
use crate::log::Log;
use crate::manifest::{LiveFile, SCAVENGED, SegmentState};
use crate::options::Compression;
use crate::reader::SegmentReader;
use crate::segment::Segment;
use crate::walk::Record;

/// Decides what becomes of the records of a segment that is rewritten.
pub trait Edit {
    /// Decides what becomes of a record.
    fn edit(&mut self, record: &Record) -> Edited;

    /// Whether a compression dictionary may be trained on this record: its bytes may get into it.
    fn may_train(&self, record: &Record) -> bool;

    /// Called after this many bytes of work; may wait. If it returns false, the segment stays as it
    /// was.
    fn go_on(&mut self, bytes: u64) -> bool;
}

/// What becomes of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edited {
    /// The record stays as it is.
    Kept,
    /// The record gets this content.
    Replaced(Vec<u8>),
}

/// Counts of a rewrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RewriteSummary {
    /// Records whose content was replaced.
    pub replaced: u64,
    /// The file's length before.
    pub before: u64,
    /// The file's length now.
    pub after: u64,
}

/// Why a segment was left as it was.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum RewriteError {
    /// It can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The new file can't be written.
    #[error("writing a segment again: {0}")]
    Io(Arc<io::Error>),
    /// There is no sealed segment of this number.
    #[error("segment {0} is not sealed")]
    NotSealed(u64),
    /// [`Edit::go_on`] returned false.
    #[error("writing a segment again was stopped")]
    Stopped,
}

impl From<io::Error> for RewriteError {
    fn from(error: io::Error) -> Self {
        RewriteError::Io(Arc::new(error))
    }
}

impl Log {
    /// Rewrites a sealed segment as a new generation. Only one thread may do so at a time.
    pub fn rewrite(
        &self,
        segment: u64,
        compression: Compression,
        edit: &mut dyn Edit,
    ) -> Result<RewriteSummary, RewriteError> {
        let (catalog, reader) = (self.catalog(), self.reader());
        let sealed = catalog.segment(segment).filter(|found| found.open_body().is_none());
        let old = &sealed.ok_or(RewriteError::NotSealed(segment))?;
        let live = catalog.manifest.files().into_iter().find(|file| file.name() == old.name());
        let live = live.ok_or(RewriteError::NotSealed(segment))?;
        let new = LiveFile { generation: old.generation + 1, ..live };
        let written = write_generation(self, old, [&live, &new], compression, edit);
        let (live, replaced) = written.inspect_err(|_| {
            // On a full disk others need the space.
            _ = catalog.disk.remove(&new.name());
        })?;
        let before = old.length();
        swap(catalog, reader, old, live).inspect_err(|error| {
            // The manifest was not replaced, so it does not name the file.
            if is_full(error) {
                _ = catalog.disk.remove(&live.name());
            }
        })?;
        Ok(RewriteSummary { replaced, before, after: live.length })
    }
}

/// Writes and syncs a generation that the manifest does not name yet; returns it and the number of records
/// that were replaced.
fn write_generation(
    log: &Log,
    old: &Arc<Segment>,
    [live, new]: [&LiveFile; 2],
    compression: Compression,
    edit: &mut dyn Edit,
) -> Result<(LiveFile, u64), RewriteError> {
    let mut generation = Generation::start(log, old, new, compression, edit)?;
    let mut frames = log.reader().frames_of(old)?;
    while let Some(frame) = frames.next()? {
        generation.frame(&frame, edit)?;
    }
    let replaced = generation.replaced;
    Ok((generation.finish(old, live)?, replaced))
}

/// Puts the new file in the segment's place.
fn swap(
    catalog: &Catalog,
    reader: &SegmentReader,
    old: &Segment,
    live: LiveFile,
) -> io::Result<()> {
    catalog.use_features(FEATURE_GENERATIONS)?;
    catalog.replace_with_sealed(live)?;
    reader.forget(old);
    old.retire(catalog.disk.clone());
    Ok(())
}

/// Samples records from the whole segment to train a dictionary on.
fn samples(
    reader: &SegmentReader,
    segment: &Arc<Segment>,
    edit: &dyn Edit,
) -> Result<Vec<Vec<u8>>, ReadError> {
    let blocks = reader.with_blocks(segment, |blocks, _| blocks.len())?;
    let wanted = (SAMPLE as u64 / BLOCK_BYTES) as usize;
    let (mut samples, mut bytes) = (Vec::new(), 0);
    for index in (0..blocks).step_by((blocks / wanted).max(1)) {
        let Some(block) = reader.block(segment, index)? else { break };
        let mut walk = reader.walk_to(&block, block.end)?;
        while let Some(record) = block.next_record(&mut walk, 0)? {
            let fits = record.bytes.len() <= SAMPLE_RECORD && bytes < SAMPLE;
            if fits && edit.may_train(&record) {
                bytes += record.bytes.len();
                samples.push(record.bytes.to_vec());
            }
        }
    }
    Ok(samples)
}

/// A generation of a segment while it is written.
struct Generation {
    file: Arc<dyn File>,
    of: GenerationInfo,
    /// Content that is not written to the file yet.
    buffer: Vec<u8>,
    /// Where `buffer` begins, before compression.
    base: u64,
    /// Where what is stored ends.
    stored: u64,
    blocks: Blocks,
    compressed: Vec<CompressedEntry>,
    compressor: Option<BlockCompressor>,
    replaced: u64,
}

/// Describes the generation.
struct GenerationInfo {
    disk: Arc<dyn leftfold_io::Disk>,
    number: u32,
    compression: Compression,
    salt: u32,
}

impl Generation {
    fn start(
        log: &Log,
        old: &Arc<Segment>,
        new: &LiveFile,
        compression: Compression,
        edit: &dyn Edit,
    ) -> Result<Self, RewriteError> {
        let (catalog, reader, number) = (log.catalog(), log.reader(), new.generation);
        let header = reader.header_of(old)?;
        let compressor = match compression {
            Compression::Off => None,
            Compression::Fast => Some(BlockCompressor::new(compression, &[], 0)?),
            Compression::Small => {
                let bytes = reader.data_end(old)?;
                Some(BlockCompressor::new(compression, &samples(reader, old, edit)?, bytes)?)
            }
        };
        let name = new.name();
        // An attempt that was cut short may have left it.
        _ = catalog.disk.remove(&name);
        let file = catalog.disk.open(&name, OpenMode::Create)?;
        let numbers = [old.id, old.first_position];
        let store_id = catalog.identity.header.store_id;
        let header =
            SegmentHeader::of_generation(number, store_id, numbers, header.commit_floor.get());
        file.write_at(header.as_bytes(), 0)?;
        let disk = catalog.disk.clone();
        Ok(Generation {
            file,
            of: GenerationInfo { disk, number, compression, salt: old.salt },
            buffer: Vec::new(),
            base: SegmentHeader::SIZE,
            stored: SegmentHeader::SIZE,
            blocks: Blocks::closed_after(compression.block_bytes()),
            compressed: Vec::new(),
            compressor,
            replaced: 0,
        })
    }

    fn frame(&mut self, frame: &FrameView, edit: &mut dyn Edit) -> Result<(), RewriteError> {
        if frame.header.is_mark() {
            return Ok(());
        }
        let slot = Slot {
            position: frame.header.first_position.get(),
            ticket: 0,
            commit_time: frame.header.commit_time.get(),
            last_commit_time: frame.header.commit_time.get(),
            now: frame.header.commit_time.get(),
        };
        let location = BufferLocation { base: self.base, salt: self.of.salt, synced_mark: 0 };
        let mut builder = FrameBuilder::new(&mut self.buffer, location, slot);
        builder.append_id(u128::from_le_bytes(frame.header.append_id));
        for extension in frame.extensions() {
            builder.extension(extension.kind, extension.value);
        }
        for record in &frame.records {
            match edit.edit(record) {
                Edited::Kept => builder.record(record.time, &record.bytes),
                Edited::Replaced(bytes) => {
                    self.replaced += 1;
                    builder.record(record.time, &bytes);
                }
            }
        }
        builder.finish(&mut self.blocks);
        self.store_blocks(false)?;
        match edit.go_on(frame.header.total() as u64) {
            true => Ok(()),
            false => Err(RewriteError::Stopped),
        }
    }

    /// Writes the blocks that are complete; at the end, all of them.
    fn store_blocks(&mut self, all: bool) -> io::Result<()> {
        let mut done = 0;
        loop {
            let next = self.compressed.len();
            let following = self.blocks.entries.get(next + 1).map(|block| block.offset.get());
            let end = match following {
                Some(offset) => (offset - self.base) as usize,
                None if all && self.blocks.entries.len() > next => self.buffer.len(),
                None => break,
            };
            self.store(done, end)?;
            done = end;
        }
        self.buffer.drain(..done);
        self.base += done as u64;
        Ok(())
    }

    fn store(&mut self, from: usize, to: usize) -> io::Result<()> {
        let content = &self.buffer[from..to];
        let compressed =
            self.compressor.as_mut().map(|compressor| compressor.compress(content)).transpose()?;
        let stored = compressed.as_deref().unwrap_or(content);
        self.file.write_at(stored, self.stored)?;
        self.compressed.push(CompressedEntry {
            stored_at: self.stored.into(),
            stored_bytes: (stored.len() as u32).into(),
            crc: crc_of(self.of.salt, &[stored]).into(),
        });
        self.stored += stored.len() as u64;
        Ok(())
    }

    /// Completes and syncs the file; the manifest does not name it yet.
    fn finish(mut self, old: &Segment, live: &LiveFile) -> Result<LiveFile, RewriteError> {
        self.blocks.begin_at(SegmentHeader::SIZE, old.first_position, !self.buffer.is_empty());
        self.store_blocks(true)?;
        let totals = Totals {
            segment: old.id,
            first_position: old.first_position,
            last_position: live.last,
            data_end: self.base,
            records: self.blocks.records,
            frames: self.blocks.frames,
            commit_max: self.blocks.commit_max,
            generation: self.of.number,
        };
        let entries: &[BlockEntry] = &self.blocks.entries;
        let tables = self.compressor.as_ref().map(|compressor| CompressedTables {
            at: self.stored,
            entries: &self.compressed,
            dictionary: &compressor.dictionary,
        });
        let footer = SegmentFooter::encode(totals, entries, tables);
        self.file.write_at(&footer, self.stored)?;
        self.file.sync()?;
        self.of.disk.sync_dir("log")?;
        let scavenged = if self.replaced > 0 { SCAVENGED } else { 0 };
        Ok(LiveFile {
            state: SegmentState::Sealed.code(),
            generation: self.of.number,
            length: self.stored + footer.len() as u64,
            detail: live.with_compression(self.of.compression) | scavenged,
            ..*live
        })
    }
}
