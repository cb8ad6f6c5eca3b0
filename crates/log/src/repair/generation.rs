use std::collections::HashSet;
use std::io;

use leftfold_io::Random;
use zerocopy::IntoBytes;

use super::record::Outcome;
use super::salvaged::Salvaged;
use super::transaction::Transaction;
use super::{Repair, is_open};
use crate::blocks::Blocks;
use crate::create::STORE;
use crate::format::footer::Totals;
use crate::format::{FEATURE_FINGERPRINTS, FEATURE_GENERATIONS, SegmentFooter, SegmentHeader};
use crate::frame_builder::{BufferLocation, FrameBuilder, Slot};
use crate::manifest::{self, FileKind, LiveFile, MANIFEST, REPAIRED, SegmentState};
use crate::options::Compression;
use crate::segment::salt_of;

/// The files to replace, all at once.
#[derive(Debug, Clone, Default)]
pub struct Replacements {
    /// Damaged segments, and the files written in their place.
    pub segments: Vec<(LiveFile, LiveFile)>,
    /// Other files that are damaged: they are rebuilt later.
    pub gone: Vec<LiveFile>,
    /// A new open segment, if the last one is no longer open.
    pub opened: Option<LiveFile>,
}

/// The index of a repaired segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexOf {
    /// That of the undamaged segment: it knows more of the lost records.
    Before,
    /// One that is built from the repaired segment.
    Now,
}

impl Repair {
    /// Begins to write what replaces damaged files.
    pub fn begin(&self) -> io::Result<Transaction<'_>> {
        Transaction::begin(&*self.disk)
    }

    /// Rewrites a damaged segment as a new generation. `lost` makes the record of a lost position. The
    /// segment's index may know more than these records.
    pub fn write(
        &self,
        change: &mut Transaction<'_>,
        salvaged: &Salvaged,
        index: IndexOf,
        mut lost: impl FnMut(u64) -> Vec<u8>,
    ) -> io::Result<LiveFile> {
        let (old, store_id) = (&salvaged.live, self.identity.header.store_id);
        let salt = salt_of(store_id, old.id);
        let (mut buffer, mut blocks) = (Vec::new(), Blocks::default());
        for frame in &salvaged.frames {
            let (position, commit_time) = (frame.first, frame.commit_time);
            let place = BufferLocation { base: SegmentHeader::SIZE, salt, synced_mark: 0 };
            let slot = Slot {
                position,
                ticket: 0,
                commit_time,
                last_commit_time: commit_time,
                now: commit_time,
            };
            let mut builder = FrameBuilder::new(&mut buffer, place, slot);
            builder.append_id(frame.append_id);
            frame
                .extensions()
                .for_each(|extension| builder.extension(extension.kind, extension.value));
            for (position, record) in (position..).zip(&frame.records) {
                match record {
                    Some(record) => builder.record(record.time, &record.bytes),
                    None => builder.record(commit_time, &lost(position)),
                }
            }
            builder.finish(&mut blocks);
        }
        let generation = old.generation + 1;
        let data_end = SegmentHeader::SIZE + buffer.len() as u64;
        let totals = Totals {
            segment: old.id,
            first_position: old.first,
            last_position: salvaged.last,
            data_end,
            records: blocks.records,
            frames: blocks.frames,
            commit_max: blocks.commit_max,
            generation,
        };
        let footer = SegmentFooter::encode(totals, &blocks.sealed(), None);
        let numbers = [old.id, old.first];
        let header = SegmentHeader::of_generation(generation, store_id, numbers, salvaged.floor);
        let repaired = if index == IndexOf::Before { REPAIRED } else { 0 };
        let live = LiveFile {
            state: SegmentState::Sealed.code(),
            generation,
            last: salvaged.last,
            length: data_end + footer.len() as u64,
            detail: old.with_compression(Compression::Off) | repaired,
            ..*old
        };
        change.stage(&live.name(), &[header.as_bytes(), &buffer, &footer])?;
        Ok(live)
    }

    /// Whether the last segment is not open, though one must be.
    pub fn needs_open(&self) -> bool {
        !self.sources.last().is_some_and(|source| is_open(&source.live))
    }

    /// Creates an open segment behind the last one, or the first one of a log that has none.
    pub fn open_behind(
        &self,
        change: &mut Transaction<'_>,
        last: Option<&Salvaged>,
    ) -> io::Result<LiveFile> {
        let live = LiveFile {
            kind: FileKind::SEGMENT,
            state: SegmentState::Open.code(),
            id: last.map_or(1, |last| last.live.id + 1),
            generation: 0,
            first: last.map_or(1, |last| last.last + 1),
            last: 0,
            length: 0,
            detail: 0,
        };
        let floor = last.map_or(i64::MIN, |last| last.commit_time);
        let store_id = self.identity.header.store_id;
        let header = SegmentHeader::new(store_id, live.id, live.first, floor);
        change.stage(&live.name(), &[header.as_bytes()])?;
        Ok(live)
    }

    /// Makes all replacements, after what they replace was put aside; returns the names of that. The store
    /// is another incarnation from then on: its backups must not replace earlier ones.
    pub fn swap(
        &self,
        mut change: Transaction<'_>,
        replacements: &Replacements,
        outcome: Outcome,
        random: &dyn Random,
    ) -> io::Result<Vec<String>> {
        // A header that was made again may have forgotten the features.
        let features = FEATURE_GENERATIONS | FEATURE_FINGERPRINTS;
        let identity = self.identity.clone().with_features(features);
        let identity = identity.reborn(random.next_u128(), outcome.head);
        let old = |file: &LiveFile| replacements.segments.iter().any(|(old, _)| old == file);
        let all = self.sources.iter().map(|source| &source.live).chain(&self.others);
        let mut files: Vec<_> =
            all.filter(|file| !old(file) && !replacements.gone.contains(file)).copied().collect();
        files.extend(replacements.segments.iter().map(|(_, new)| *new));
        files.extend(replacements.opened);
        let manifest = manifest::encode(&identity.header, self.sequence + 1, &mut files);
        change.stage(STORE, &[&identity.encode()])?;
        change.stage(MANIFEST, &[&manifest])?;
        // The open segment changes later, so that undoing needs a copy of it.
        let unchanged =
            files.iter().filter(|file| !is_open(file) || replacements.opened == Some(**file));
        let kept: HashSet<_> = unchanged.map(LiveFile::name).collect();
        for file in files.iter().filter(|file| !kept.contains(&file.name())) {
            change.stage_copy(&file.name(), &file.name())?;
        }
        change.commit(|name| kept.contains(name), None, outcome)
    }
}
