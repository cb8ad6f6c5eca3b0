use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use event_listener::EventListener;
use leftfold_io::{Clock, Disk, Random};

use crate::catalog::{Catalog, SegmentInfo};
use crate::create::{
    Access, STORE, check_identity, lock_as_possible, open_manifest, read_identity, store_exists,
    write_identity,
};
use crate::error::{OpenError, ReadError, WriteError};
use crate::format::{Ancestor, FEATURE_GENERATIONS, StoreHeader};
use crate::head::{Head, HeadCell};
use crate::manifest::{FileKind, LiveFile, MANIFEST};
use crate::meters::{Histogram, Meters};
use crate::opening::{LogEnd, OpenedSegments, find_leftovers, open_segments};
use crate::options::{Durability, LogOptions};
use crate::ownership::Ownership;
use crate::reader::SegmentReader;
use crate::segment::Segment;

/// The reading side of a log. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

/// The parts of a log. Each knows only what it needs; the writer holds some of them too.
struct Shared {
    clock: Arc<dyn Clock>,
    options: LogOptions,
    catalog: Arc<Catalog>,
    reader: SegmentReader,
    head: Arc<HeadCell>,
    meters: Arc<Meters>,
    /// To close the open segment though it is not full.
    roll_request: Arc<Request>,
    /// To sync what was acknowledged early.
    sync_request: Arc<Request>,
    access: Access,
}

/// Whether the writer is asked for something that it would not do yet.
#[derive(Debug, Default)]
pub(crate) struct Request(AtomicBool);

impl Request {
    pub(crate) fn is_made(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn make(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn withdraw(&self) {
        self.0.store(false, Ordering::Release);
    }

    /// Withdraws the request; returns whether it was made.
    pub(crate) fn take(&self) -> bool {
        self.is_made() && self.0.swap(false, Ordering::AcqRel)
    }
}

/// An opened log, and what its writer must know to start.
pub struct Opened {
    /// The log.
    pub log: Log,
    /// The last commit time in it.
    pub commit_time: i64,
    /// Whether the store was made just now.
    pub created: bool,
    pub(crate) end: LogEnd,
}

impl Log {
    /// Opens the log of a disk, creating the store if there is none and `create` says so.
    pub fn open(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        options: LogOptions,
        create: bool,
    ) -> Result<Opened, OpenError> {
        if !create && !store_exists(&*disk)? {
            return Err(OpenError::Missing(disk.describe()));
        }
        let (lock, access) = lock_as_possible(&*disk)?;
        let ownership = Arc::new(Ownership::new(disk.clone(), lock));
        if crate::repair::is_interrupted(&*disk)? {
            return Err(OpenError::RepairInterrupted);
        }
        // Looked at again: another process may have created it in between.
        let identity = if store_exists(&*disk)? {
            read_identity(&*disk)?
        } else {
            write_identity(&*disk, &*clock, &*random, options.identity)?
        };
        check_identity(&*disk, &identity.header, options.identity)?;
        ownership.hold_store().map_err(|error| OpenError::io(STORE, error))?;
        for dir in ["log", "index"].into_iter().filter(|_| access == Access::Write) {
            disk.create_dir(dir).map_err(|error| OpenError::io(dir, error))?;
        }
        let header = &identity.header;
        let (manifest, created) = open_manifest(&*disk, &ownership, header)?;
        let leftovers = find_leftovers(&*disk, &manifest)?;
        let OpenedSegments { segments, end } =
            open_segments(&*disk, header.store_id, &manifest, access, options.keep)?;
        for name in leftovers.into_iter().filter(|_| access == Access::Write) {
            disk.remove(&name).map_err(|error| OpenError::io(&name, error))?;
        }
        let head = HeadCell::default();
        head.publish(Head { position: end.next_position - 1, ticket: 0 });
        let shared = Shared {
            clock,
            reader: SegmentReader::new(disk.clone(), header.store_id, &options),
            options,
            catalog: Arc::new(Catalog::new(disk, ownership, identity, manifest, segments)),
            head: Arc::new(head),
            meters: Arc::default(),
            roll_request: Arc::default(),
            sync_request: Arc::default(),
            access,
        };
        let log = Log { shared: Arc::new(shared) };
        Ok(Opened { log, commit_time: end.commit_time, created, end })
    }

    /// Notes in the store's header that it uses a feature which older releases do not know. Writes
    /// the header the first time only.
    pub fn use_feature(&self, feature: u64) -> std::io::Result<()> {
        self.shared.catalog.use_features(feature)
    }

    /// Lets others open the log, once its writer has stopped; reads go on.
    pub fn unlock(&self) {
        self.shared.catalog.ownership.unlock();
    }

    /// Whether the store was opened for reading only, because its directory can't be written.
    pub fn is_read_only(&self) -> bool {
        self.shared.access == Access::Read
    }

    /// Returns the name and the mode of a file of the store that others than its owner may use.
    pub fn find_exposed_file(&self) -> io::Result<Option<(String, u32)>> {
        let (disk, files) = (self.disk(), self.shared.catalog.manifest.files());
        // Others can't reach what is in a closed directory.
        if !disk.status("")?.is_open_to_others() {
            return Ok(None);
        }
        let open = files.iter().find(|file| file.is_open_segment()).map(LiveFile::name);
        for name in [STORE.to_owned(), MANIFEST.to_owned()].into_iter().chain(open) {
            let status = disk.status(&name)?;
            if status.is_open_to_others() {
                return Ok(Some((name, status.permissions)));
            }
        }
        Ok(None)
    }

    /// Lets the writer sync soon what it has acknowledged early: with its next turn, or when it has had
    /// nothing to do for a moment.
    pub fn sync_soon(&self) {
        self.shared.sync_request.make();
    }

    /// Returns why the writer waits, if the disk is full or no file descriptor is left.
    pub fn stalled(&self) -> Option<WriteError> {
        self.shared.head.stalled()
    }

    /// Returns why the writer has stopped, if it failed, or why it waits.
    pub fn failure(&self) -> Option<WriteError> {
        self.shared.head.failure().or_else(|| self.shared.head.stalled())
    }

    /// Counts the appends of each batch, which one write and one sync serve.
    pub fn batches(&self) -> Histogram {
        self.shared.meters.batch.read()
    }

    /// Counts the microseconds of each sync.
    pub fn syncs(&self) -> Histogram {
        self.shared.meters.sync.read()
    }

    /// Returns by how many microseconds the clock is behind the last commit time: the clock was set back, or
    /// was ahead once. Until then all appends have that commit time.
    pub fn clock_behind_micros(&self) -> u64 {
        let last = self.shared.meters.commit_time.load(std::sync::atomic::Ordering::Relaxed);
        u64::try_from(last.saturating_sub(self.clock().now_micros())).unwrap_or(0)
    }

    /// Returns how many blocks were asked for and found in memory, and how many were not.
    pub fn cache_hits_and_misses(&self) -> (u64, u64) {
        self.shared.reader.cache_hits_and_misses()
    }

    /// Whether acknowledgements may come before the sync.
    pub fn is_relaxed(&self) -> bool {
        self.shared.options.durability != Durability::Synced
    }

    /// The header of the store: its identity.
    pub fn header(&self) -> &StoreHeader {
        &self.shared.catalog.identity.header
    }

    /// The earlier incarnations of the store, oldest first.
    pub fn ancestors(&self) -> &[Ancestor] {
        self.shared.catalog.identity.ancestors()
    }

    /// The disk that holds the log.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.shared.catalog.disk
    }

    /// How far the log is durable.
    pub fn head(&self) -> Head {
        self.shared.head.get()
    }

    /// Wakes when the head has moved or the log is closed; listen first, then look at the head.
    pub fn listen(&self) -> EventListener {
        self.shared.head.listen()
    }

    /// Whether the writer has stopped, by failure or because it was closed: the head will not move.
    pub fn is_closed(&self) -> bool {
        self.shared.head.is_closed()
    }

    /// The live files that are not segments.
    pub fn other_files(&self) -> Vec<LiveFile> {
        let files = self.shared.catalog.manifest.files().into_iter();
        files.filter(|file| file.kind != FileKind::SEGMENT).collect()
    }

    /// Lets the writer close the open segment when it has nothing else to do, though it is not full;
    /// one that holds nothing stays open. Wakes [`Log::listen`] when that is done.
    pub fn close_segment(&self) {
        self.shared.roll_request.make();
    }

    /// Names finished files in the manifest, in the place of those of the same name. On failure
    /// nothing has changed.
    pub fn adopt(&self, files: &[LiveFile]) -> io::Result<()> {
        let names: Vec<_> = files.iter().map(LiveFile::name).collect();
        self.shared.catalog.manifest.update(|live| {
            live.retain(|file| !names.contains(&file.name()));
            live.extend_from_slice(files);
        })
    }

    /// Names finished files in the manifest, in the place of those that are `replaced`, which stay on
    /// the disk. On failure nothing has changed.
    pub fn replace_files(
        &self,
        replaced: impl Fn(&LiveFile) -> bool,
        files: &[LiveFile],
    ) -> io::Result<()> {
        let catalog = &self.shared.catalog;
        if files.iter().any(|file| file.detail != 0) {
            catalog.use_features(FEATURE_GENERATIONS)?;
        }
        catalog.manifest.update(|live| {
            live.retain(|file| file.kind == FileKind::SEGMENT || !replaced(file));
            live.extend_from_slice(files);
        })
    }

    /// Removes files from the manifest, then from the disk.
    pub fn discard(&self, unwanted: impl Fn(&LiveFile) -> bool) -> io::Result<()> {
        let files: Vec<_> = self.other_files().into_iter().filter(|file| unwanted(file)).collect();
        let catalog = &self.shared.catalog;
        catalog.manifest.update(|live| live.retain(|file| !files.contains(file)))?;
        files.iter().try_for_each(|file| catalog.disk.remove(&file.name()))
    }

    /// Describes all segments, in order.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.shared.catalog.infos()
    }

    /// Counts the records of all segments; those of the open one though they are not durable yet. Reads the
    /// footers of sealed segments.
    pub fn count_records(&self) -> Result<u64, ReadError> {
        let segments = self.shared.catalog.segments();
        let records = |segment: &Arc<Segment>| match segment.open_body() {
            Some(body) => Ok(body.blocks.read().records),
            None => Ok(self.shared.reader.table(segment)?.records),
        };
        segments.iter().map(records).sum()
    }

    pub(crate) fn catalog(&self) -> &Arc<Catalog> {
        &self.shared.catalog
    }

    pub(crate) fn reader(&self) -> &SegmentReader {
        &self.shared.reader
    }

    pub(crate) fn options(&self) -> &LogOptions {
        &self.shared.options
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    pub(crate) fn head_cell(&self) -> &Arc<HeadCell> {
        &self.shared.head
    }

    pub(crate) fn meters(&self) -> &Arc<Meters> {
        &self.shared.meters
    }

    pub(crate) fn roll_request(&self) -> &Arc<Request> {
        &self.shared.roll_request
    }

    pub(crate) fn sync_request(&self) -> &Arc<Request> {
        &self.shared.sync_request
    }
}
