use std::io;

use leftfold_io::{OpenMode, Random, write_atomically};
use zerocopy::IntoBytes;

use super::salvage::Salvaged;
use super::{DamagedBytes, QUARANTINE, Repair};
use crate::blocks::Blocks;
use crate::create::{STORE, create_segment};
use crate::format::footer::Totals;
use crate::format::{FEATURE_GENERATIONS, SegmentFooter, SegmentHeader};
use crate::frame_builder::{BufferLocation, FrameBuilder, Slot};
use crate::manifest::{FileKind, LiveFile, REPAIRED, SegmentState};
use crate::options::Compression;
use crate::segment::salt_of;

/// Damaged bytes are copied in pieces of this size.
const PIECE: u64 = 1 << 20;

/// The files to replace, all at once.
#[derive(Debug, Clone, Default)]
pub struct Replacements {
    /// Damaged segments, and the files written in their place.
    pub segments: Vec<(LiveFile, LiveFile)>,
    /// Other files that are damaged: they are rebuilt later.
    pub gone: Vec<LiveFile>,
    /// A new open segment, if the last one is no longer open.
    pub opened: Option<LiveFile>,
    /// The last position that is still there.
    pub head: u64,
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
    /// Rewrites a damaged segment as a new generation, which the manifest does not name yet. `lost`
    /// makes the record of a lost position. The segment's index may know more than these records.
    pub fn write(
        &self,
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
            let slot = Slot { position, ticket: 0, commit_time, now: commit_time };
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
        let footer = SegmentFooter::encode(totals, &blocks.entries, None);
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
        self.put(&live.name(), &[header.as_bytes(), &buffer, &footer])?;
        Ok(live)
    }

    /// Creates an open segment behind one that was open; the manifest does not name it yet.
    pub fn open_behind(&self, last: &Salvaged) -> io::Result<LiveFile> {
        let live = LiveFile {
            kind: FileKind::SEGMENT,
            state: SegmentState::Open.code(),
            id: last.live.id + 1,
            generation: 0,
            first: last.last + 1,
            last: 0,
            length: 0,
            detail: 0,
        };
        self.remove(&live.name())?;
        create_segment(&*self.disk, &live, self.identity.header.store_id, last.commit_time)?;
        Ok(live)
    }

    /// Copies damaged bytes to a file of their own; returns its name.
    pub fn quarantine(&self, damaged: &DamagedBytes) -> io::Result<String> {
        self.disk.create_dir(QUARANTINE)?;
        let file = damaged.file.rsplit('/').next().unwrap_or_default();
        let name = format!("{QUARANTINE}/{file}.{}", damaged.offset);
        let from = match self.disk.open(&damaged.file, OpenMode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            from => Some(from?),
        };
        self.remove(&name)?;
        let to = self.disk.open(&name, OpenMode::Create)?;
        let mut done = 0;
        while let Some(from) = &from
            && done < damaged.length
        {
            let mut piece = vec![0; PIECE.min(damaged.length - done) as usize];
            let n = from.read_at(&mut piece, damaged.offset + done)?;
            to.write_at(&piece[..n], done)?;
            done += if n == 0 { damaged.length } else { n as u64 };
        }
        to.sync()?;
        self.disk.sync_dir(QUARANTINE)?;
        Ok(name)
    }

    /// Puts all replacements into the manifest, in one step. The store is another incarnation from
    /// then on: its backups must not replace earlier ones.
    pub fn swap(self, replacements: &Replacements, random: &dyn Random) -> io::Result<()> {
        self.disk.sync_dir("log")?;
        let identity = self.identity.clone().with_features(FEATURE_GENERATIONS);
        let identity = identity.reborn(random.next_u128(), replacements.head);
        write_atomically(&*self.disk, "", STORE, &identity.encode())?;
        let old = |file: &LiveFile| replacements.segments.iter().any(|(old, _)| old == file);
        let gone = |file: &LiveFile| old(file) || replacements.gone.contains(file);
        self.manifest.update(|files| {
            files.retain(|file| !gone(file));
            files.extend(replacements.segments.iter().map(|(_, new)| *new));
            files.extend(replacements.opened);
        })?;
        let replaced = replacements.segments.iter().map(|(old, _)| old);
        for file in replaced.chain(&replacements.gone) {
            // If that fails, the file is removed at the next opening.
            _ = self.disk.remove(&file.name());
        }
        Ok(())
    }

    fn put(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        self.remove(name)?;
        let file = self.disk.open(name, OpenMode::Create)?;
        let mut at = 0;
        for part in parts {
            file.write_at(part, at)?;
            at += part.len() as u64;
        }
        file.sync()
    }

    /// Removes a file that an interrupted attempt has left.
    fn remove(&self, name: &str) -> io::Result<()> {
        match self.disk.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
