use std::io;
use std::sync::Arc;

use leftfold_io::{Disk, File, OpenMode};

use super::copy::read_through;
use super::error::BackupError;
use super::snapshot::{self, PinnedSegment};
use super::target::Target;
use crate::catalog::Catalog;
use crate::create::STORE;
use crate::format::{BackupFile, BackupList, crc_of};
use crate::log::Log;
use crate::manifest::{self, LiveFile, MANIFEST};
use crate::reader::SegmentReader;

/// Lets the caller of a backup pace it, stop it, and leave files out.
pub trait Guide {
    /// Called after every piece; may wait. If it returns false, the backup before stays the last one.
    fn go_on(&mut self, step: Step) -> bool;

    /// Whether a file that is not a segment is whole. One that is missing or damaged is left out, and
    /// rebuilt from the log after a restore.
    fn is_whole(&mut self, file: &LiveFile) -> bool;
}

/// The progress of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Bytes that were copied since the step before.
    pub copied: u64,
    /// Bytes in the backup so far.
    pub done: u64,
    /// Bytes in it at the end.
    pub total: u64,
}

/// Counts of a finished backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BackupSummary {
    /// Its number in its directory, from 1.
    pub number: u64,
    /// The last position in it.
    pub head: u64,
    /// Files that were copied.
    pub files_copied: u64,
    /// Their bytes.
    pub bytes_copied: u64,
    /// Files that an earlier backup has copied.
    pub files_kept: u64,
    /// Their bytes.
    pub bytes_kept: u64,
    /// Files that are not in it because they are missing or damaged; they can be rebuilt.
    pub files_left_out: u64,
}

/// Where the files of a backup go, one after the other.
pub(super) trait Destination {
    /// Returns the list of the last whole backup there.
    fn last(&self) -> &BackupList;

    /// Whether a file of that list is still there.
    fn has(&self, listed: &BackupFile) -> bool;

    /// Begins a file. The one before has ended.
    fn begin(&mut self, file: &BackupFile) -> Result<(), BackupError>;

    /// Appends bytes to the file that was begun.
    fn write(&mut self, piece: &[u8]) -> Result<(), BackupError>;

    /// Ends the file, all of whose bytes are there.
    fn end(&mut self, crc: u32) -> Result<(), BackupError>;

    /// Makes what this list names the backup.
    fn finish(&mut self, list: &BackupList) -> Result<(), BackupError>;
}

impl Log {
    /// Makes a backup. `others` are the live files that are not segments; the caller has looked them
    /// up before, so that none covers more than the segments of the backup.
    pub fn backup(
        &self,
        target: &dyn Disk,
        others: &[LiveFile],
        guide: &mut dyn Guide,
    ) -> Result<BackupSummary, BackupError> {
        let header = &self.catalog().identity.header;
        self.back_up(others, guide, |head, _| Target::open(target, header, head))
    }

    /// Makes a backup at a destination, which is opened with the last position and the bytes of segments and other files.
    pub(super) fn back_up<D: Destination>(
        &self,
        others: &[LiveFile],
        guide: &mut dyn Guide,
        open: impl FnOnce(u64, u64) -> Result<D, BackupError>,
    ) -> Result<BackupSummary, BackupError> {
        let catalog = &**self.catalog();
        let segments = snapshot::segments(catalog);
        // Its frames tell the head: the log publishes it a moment after they are durable, and a backup that was made
        // in between would be of a later state than the next one.
        let head = match segments.last() {
            Some(last) => last.check(self.reader())?,
            None => self.head().position,
        };
        let total = segments.iter().map(|segment| segment.length).sum::<u64>()
            + others.iter().map(|file| file.length).sum::<u64>();
        let mut destination = open(head, total)?;
        let to = &mut destination;
        let (number, time) = (to.last().number + 1, self.clock().now_micros());
        let (store_id, incarnation) =
            (catalog.identity.header.store_id, catalog.identity.header.incarnation);
        let list = BackupList { store_id, incarnation, number, time, ..BackupList::default() };
        let summary = BackupSummary { number, head, ..BackupSummary::default() };
        let (reader, live) = (self.reader(), Vec::new());
        let run = BackupRun { catalog, reader, to, guide, list, live, summary, done: 0, total };
        run.take(segments, others)
    }
}

/// A backup that is being made.
struct BackupRun<'a> {
    catalog: &'a Catalog,
    reader: &'a SegmentReader,
    to: &'a mut dyn Destination,
    guide: &'a mut dyn Guide,
    list: BackupList,
    /// What the backup's manifest names.
    live: Vec<LiveFile>,
    summary: BackupSummary,
    done: u64,
    total: u64,
}

/// A file to be backed up.
struct SourceFile {
    stored: String,
    restored: String,
    length: u64,
}

impl BackupRun<'_> {
    fn take(
        mut self,
        segments: Vec<PinnedSegment>,
        others: &[LiveFile],
    ) -> Result<BackupSummary, BackupError> {
        let last = segments.len().saturating_sub(1);
        for (at, segment) in segments.into_iter().enumerate() {
            self.segment(&segment, at == last)?;
        }
        self.others(others)?;
        self.put(STORE, &self.catalog.identity_now().encode())?;
        let sequence = self.catalog.manifest.sequence();
        let manifest = manifest::encode(&self.catalog.identity.header, sequence, &mut self.live);
        self.put(MANIFEST, &manifest)?;
        self.list.head = self.summary.head;
        self.to.finish(&self.list)?;
        Ok(self.summary)
    }

    fn segment(&mut self, pinned: &PinnedSegment, last: bool) -> Result<(), BackupError> {
        let restored = pinned.live.name();
        let wanted = SourceFile { stored: pinned.stored(), restored, length: pinned.length };
        let kept = self.keep(&wanted);
        // Damage is never copied, least of all over a whole file. The last one is checked before.
        if !last && !kept {
            pinned.check(self.reader)?;
        }
        if !kept {
            let file = pinned.file(self.reader)?;
            self.copy(&*file, wanted)?;
        }
        self.live.push(pinned.live);
        Ok(())
    }

    /// Copies the other files. Of files of the same kind and number, all are copied or none.
    fn others(&mut self, others: &[LiveFile]) -> Result<(), BackupError> {
        let mut gone = Vec::new();
        for file in others {
            let name = file.name();
            let wanted = SourceFile { stored: name.clone(), restored: name, length: file.length };
            if self.keep(&wanted) {
                self.live.push(*file);
                continue;
            }
            match self.open_other(file)? {
                Some(source) => {
                    self.copy(&*source, wanted)?;
                    self.live.push(*file);
                }
                None => gone.push((file.kind, file.id)),
            }
        }
        let is_gone = |file: &&LiveFile| gone.contains(&(file.kind, file.id));
        let names: Vec<_> = others.iter().filter(is_gone).map(LiveFile::name).collect();
        self.live.retain(|file| !is_gone(&file));
        self.list.files.retain(|file| !names.contains(&file.restored));
        self.summary.files_left_out = names.len() as u64;
        Ok(())
    }

    fn open_other(&mut self, file: &LiveFile) -> Result<Option<Arc<dyn File>>, BackupError> {
        if !self.guide.is_whole(file) {
            return Ok(None);
        }
        let disk = &self.catalog.disk;
        match disk.open(&file.name(), OpenMode::Read) {
            Ok(source) => Ok(Some(source)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(BackupError::io(&disk.describe(), &file.name(), error)),
        }
    }

    /// Keeps a file that the backup before has, if it is still there; returns whether it did.
    fn keep(&mut self, wanted: &SourceFile) -> bool {
        let Some(listed) = self.to.last().files.iter().find(|file| wanted.is(file)) else {
            return false;
        };
        if !self.to.has(listed) {
            return false;
        }
        let listed = listed.clone();
        self.summary.files_kept += 1;
        self.summary.bytes_kept += listed.length;
        self.done += listed.length;
        self.list.files.push(listed);
        true
    }

    /// Returns a name that the backup before does not use.
    fn free_name(&self, wanted: &SourceFile) -> String {
        let summary = |file: &BackupFile| file.stored == wanted.stored && !wanted.is(file);
        match self.to.last().files.iter().any(summary) {
            true => format!("{}.{}", wanted.stored, self.list.number),
            false => wanted.stored.clone(),
        }
    }

    fn copy(&mut self, from: &dyn File, wanted: SourceFile) -> Result<(), BackupError> {
        let (stored, store) = (self.free_name(&wanted), self.catalog.disk.describe());
        let SourceFile { restored, length, .. } = wanted;
        let mut file = BackupFile { stored, restored, length, crc: 0 };
        self.to.begin(&file)?;
        let (to, guide, done, total) =
            (&mut *self.to, &mut *self.guide, &mut self.done, self.total);
        let write = |_, piece: &[u8]| {
            to.write(piece)?;
            let copied = piece.len() as u64;
            *done += copied;
            match guide.go_on(Step { copied, done: *done, total }) {
                true => Ok(()),
                false => Err(BackupError::Stopped),
            }
        };
        let unread = |error| BackupError::io(&store, &file.restored, error);
        file.crc = read_through(from, length, write, unread)?;
        self.to.end(file.crc)?;
        self.copied(file);
        Ok(())
    }

    /// Puts bytes into the backup, under a name with its number.
    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), BackupError> {
        let (stored, length) = (format!("{name}.{}", self.list.number), bytes.len() as u64);
        let crc = crc_of(0, &[bytes]);
        let file = BackupFile { stored, restored: name.to_owned(), length, crc };
        self.to.begin(&file)?;
        self.to.write(bytes)?;
        self.to.end(crc)?;
        self.copied(file);
        Ok(())
    }

    fn copied(&mut self, file: BackupFile) {
        self.summary.files_copied += 1;
        self.summary.bytes_copied += file.length;
        self.list.files.push(file);
    }
}

impl SourceFile {
    /// Whether a listed file is this one. Files never change under their names, so name and length
    /// tell.
    fn is(&self, listed: &BackupFile) -> bool {
        let same = listed.restored == self.restored && listed.length == self.length;
        let rest = listed.stored.strip_prefix(&self.stored);
        same && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}
