use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;
use event_listener::EventListener;
use leftfold_io::{Clock, Disk, File, Lock, OpenMode, Random, write_atomically};
use parking_lot::Mutex;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use zerocopy::IntoBytes;

use crate::buffers::Buffers;
use crate::create::{STORE, create_segment, open_manifest, read_header, unusable, write_header};
use crate::error::{OpenError, WriteError};
use crate::format::{FEATURE_GENERATIONS, SegmentHeader, StoreHeader};
use crate::head::{Head, HeadCell};
use crate::manifest::{FileKind, LiveFile, MANIFEST, Manifest, REPAIRED, SCAVENGED, SegmentState};
use crate::meters::{Metered, Meters};
use crate::options::{Durability, LogOptions, Packing};
use crate::recovery::{self, Found};
use crate::segment::{Blocks, Segment};
use crate::table::Table;

pub(crate) const LOCK: &str = "LOCK";

/// The reading side of a log. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: LogOptions,
    pub(crate) header: StoreHeader,
    pub(crate) manifest: Manifest,
    pub(crate) segments: ArcSwap<Vec<Arc<Segment>>>,
    pub(crate) head: HeadCell,
    pub(crate) next_position: AtomicU64,
    pub(crate) meters: Arc<Meters>,
    /// Whether the open segment ends behind its last mark.
    pub(crate) unmarked: AtomicBool,
    /// Whether the writer is to close the open segment though it is not full.
    pub(crate) closing_segment: AtomicBool,
    pub(crate) blocks: Cache<(u64, u32, u32), Bytes, ByLength>,
    pub(crate) tables: Cache<(u64, u32), Arc<Table>, ByLength>,
    pub(crate) files: Cache<(u64, u32), Arc<dyn File>>,
    pub(crate) buffers: Buffers,
    pub(crate) lock: Mutex<Option<Box<dyn Lock>>>,
    /// The incompatible features in use.
    features: Mutex<u64>,
}

#[derive(Clone)]
pub(crate) struct ByLength;

impl Weighter<(u64, u32, u32), Bytes> for ByLength {
    fn weight(&self, _: &(u64, u32, u32), bytes: &Bytes) -> u64 {
        bytes.len() as u64
    }
}

impl Weighter<(u64, u32), Arc<Table>> for ByLength {
    fn weight(&self, _: &(u64, u32), table: &Arc<Table>) -> u64 {
        table.weight()
    }
}

/// An opened log, and what the one who opens it must know to start writing.
pub struct Opened {
    /// The log.
    pub log: Log,
    /// The last commit time in it.
    pub commit_time: i64,
    /// Whether the store was made just now.
    pub created: bool,
}

/// A segment, as those above see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its number.
    pub id: u64,
    /// The position of its first record, or where that would be.
    pub first: u64,
    /// The position of its last record; one less than the first if there is none.
    pub last: u64,
    /// Whether it is sealed.
    pub sealed: bool,
    /// Whether it is the one that is written to.
    pub active: bool,
    /// Bytes of its file.
    pub bytes: u64,
    /// How its blocks are stored.
    pub packing: Packing,
    /// Whether payloads were removed from it.
    pub scavenged: bool,
    /// Whether it was damaged, and its index knows more of it than it does itself.
    pub repaired: bool,
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
        if !create && !exists(&*disk)? {
            return Err(OpenError::Missing(disk.describe()));
        }
        let lock = disk.lock(LOCK).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => OpenError::Locked(disk.describe()),
            _ => OpenError::io(LOCK, error),
        })?;
        // Looked at again: somebody may have created it in between.
        let header = if exists(&*disk)? {
            read_header(&*disk)?
        } else {
            write_header(&*disk, &*clock, &*random)?
        };
        for dir in ["log", "index"] {
            disk.create_dir(dir).map_err(|error| OpenError::io(dir, error))?;
        }
        let (manifest, created) = open_manifest(&disk, &header)?;
        let cache = options.cache_bytes;
        let shared = Shared {
            blocks: Cache::with_weighter((cache >> 14) as usize, cache, ByLength),
            tables: Cache::with_weighter(64, cache / 4, ByLength),
            files: Cache::new(options.open_files),
            buffers: Buffers::default(),
            segments: ArcSwap::default(),
            head: HeadCell::default(),
            next_position: AtomicU64::new(1),
            meters: Arc::default(),
            unmarked: AtomicBool::new(false),
            closing_segment: AtomicBool::new(false),
            lock: Mutex::new(Some(lock)),
            features: Mutex::new(header.incompatible_features.get()),
            disk,
            clock,
            options,
            header,
            manifest,
        };
        let litter = shared.litter()?;
        let commit_time = shared.open_segments()?;
        for name in litter {
            shared.disk.remove(&name).map_err(|error| OpenError::io(&name, error))?;
        }
        Ok(Opened { log: Log { shared: Arc::new(shared) }, commit_time, created })
    }

    /// Lets others open the log. For whoever has stopped the writer; reads go on.
    pub fn unlock(&self) {
        self.shared.lock.lock().take();
    }

    /// Why the writer has stopped, if it failed.
    pub fn failure(&self) -> Option<WriteError> {
        self.shared.head.failure()
    }

    /// Appends of each turn of the writer, which one write and one sync serve.
    pub fn batches(&self) -> Metered {
        self.shared.meters.batch.look()
    }

    /// Microseconds of each sync.
    pub fn syncs(&self) -> Metered {
        self.shared.meters.sync.look()
    }

    /// How many blocks were asked for and found in memory, and how many were not.
    pub fn cache_hits_and_misses(&self) -> (u64, u64) {
        (self.shared.blocks.hits(), self.shared.blocks.misses())
    }

    /// Whether acknowledgements may come before the sync.
    pub fn is_relaxed(&self) -> bool {
        self.shared.options.durability != Durability::Synced
    }

    /// Who this store is.
    pub fn header(&self) -> &StoreHeader {
        &self.shared.header
    }

    /// The disk that the log lies on.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.shared.disk
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
        let files = self.shared.manifest.files().into_iter();
        files.filter(|file| file.kind != FileKind::SEGMENT).collect()
    }

    /// Lets the writer close the open segment when it has nothing else to do, though it is not full;
    /// one that holds nothing stays open. Wakes [`Log::listen`] when that is done.
    pub fn close_segment(&self) {
        self.shared.closing_segment.store(true, Ordering::Release);
    }

    /// Takes files that lie ready on the disk into the manifest, in the place of those of the same
    /// name. On failure nothing changed.
    pub fn adopt(&self, files: &[LiveFile]) -> std::io::Result<()> {
        let names: Vec<_> = files.iter().map(LiveFile::name).collect();
        self.shared.manifest.update(|live| {
            live.retain(|file| !names.contains(&file.name()));
            live.extend_from_slice(files);
        })
    }

    /// Takes files that lie ready on the disk into the manifest, in the place of those that are
    /// `replaced`, which stay on the disk. On failure nothing changed.
    pub fn replace_files(
        &self,
        replaced: impl Fn(&LiveFile) -> bool,
        files: &[LiveFile],
    ) -> std::io::Result<()> {
        if files.iter().any(|file| file.detail != 0) {
            self.shared.use_features(FEATURE_GENERATIONS)?;
        }
        self.shared.manifest.update(|live| {
            live.retain(|file| file.kind == FileKind::SEGMENT || !replaced(file));
            live.extend_from_slice(files);
        })
    }

    /// Takes files out of the manifest, then off the disk.
    pub fn discard(&self, unwanted: impl Fn(&LiveFile) -> bool) -> std::io::Result<()> {
        let gone: Vec<_> = self.other_files().into_iter().filter(|file| unwanted(file)).collect();
        self.shared.manifest.update(|live| live.retain(|file| !gone.contains(file)))?;
        gone.iter().try_for_each(|file| self.shared.disk.remove(&file.name()))
    }

    /// All segments, in order.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let segments = self.shared.segments.load_full();
        let count = segments.len();
        let info = |(i, segment): (usize, &Arc<Segment>)| SegmentInfo {
            id: segment.id,
            first: segment.first_position,
            last: segment.last_position(),
            sealed: segment.open_body().is_none(),
            active: i + 1 == count,
            bytes: segment.length(),
            packing: Packing::of(segment.detail).unwrap_or_default(),
            scavenged: segment.detail & SCAVENGED != 0,
            repaired: segment.detail & REPAIRED != 0,
        };
        segments.iter().enumerate().map(info).collect()
    }
}

impl Shared {
    /// Files that the manifest does not know: left over where the power went before it could.
    fn litter(&self) -> Result<Vec<String>, OpenError> {
        let live: HashSet<_> = self.manifest.files().iter().map(LiveFile::name).collect();
        let mut present = HashSet::new();
        for dir in ["log", "index"] {
            let names = self.disk.list(dir).map_err(|error| OpenError::io(dir, error))?;
            present.extend(names.iter().map(|name| format!("{dir}/{name}")));
        }
        self.refuse_missing(&live, &present)?;
        let mut litter: Vec<_> = present.difference(&live).cloned().collect();
        litter.sort();
        litter.iter().try_for_each(|name| self.refuse_orphan(name))?;
        Ok(litter)
    }

    /// A segment that is not there has a newer generation, perhaps: then this manifest is not the
    /// newest, and what looks like litter is the data.
    fn refuse_missing(
        &self,
        live: &HashSet<String>,
        present: &HashSet<String>,
    ) -> Result<(), OpenError> {
        match live.difference(present).filter(|name| name.ends_with(".seg")).min() {
            None => Ok(()),
            Some(name) => {
                let why =
                    "it is missing, yet MANIFEST names it: that is too old, or the file is lost";
                Err(unusable(name, why))
            }
        }
    }

    /// A segment that holds anything was in a manifest once, unless another generation of it is
    /// there: this manifest is not the newest.
    fn refuse_orphan(&self, name: &str) -> Result<(), OpenError> {
        let number = |name: &str| name.split('.').next().map(str::to_owned);
        let known = |file: &LiveFile| number(&file.name()) == number(name);
        if self.manifest.files().iter().any(known) {
            return Ok(());
        }
        let failed = |error| OpenError::io(name, error);
        let file = self.disk.open(name, OpenMode::Read).map_err(failed)?;
        if name.ends_with(".seg") && file.len().map_err(failed)? > SegmentHeader::SIZE {
            return Err(unusable(MANIFEST, format!("it does not know of {name}: it is too old")));
        }
        Ok(())
    }

    /// The store's header with all features that are in use.
    pub(crate) fn header_now(&self) -> StoreHeader {
        self.header.clone().with_features(*self.features.lock())
    }

    /// Notes in the store's header that it uses features which older releases do not know.
    pub(crate) fn use_features(&self, features: u64) -> std::io::Result<()> {
        let mut in_use = self.features.lock();
        if *in_use & features != features {
            let header = self.header.clone().with_features(*in_use | features);
            write_atomically(&*self.disk, "", STORE, header.as_bytes())?;
            *in_use |= features;
        }
        Ok(())
    }

    /// Opens what the manifest names; gives the last commit time.
    fn open_segments(&self) -> Result<i64, OpenError> {
        let store_id = self.header.store_id;
        let files = self.manifest.files();
        let (mut segments, mut next, mut commit_time) = (Vec::new(), 1, i64::MIN);
        for live in files.iter().filter(|file| file.kind == FileKind::SEGMENT) {
            if live.first < next {
                let why = format!("it names {} from {} on, too early", live.name(), live.first);
                return Err(unusable(MANIFEST, why));
            }
            let segment = match live.segment_state() {
                Some(SegmentState::Sealed) if Packing::of(live.detail).is_some() => {
                    Segment::sealed(store_id, live)
                }
                Some(SegmentState::Sealed) | None => {
                    let why = "it holds a segment in a state that this release does not know";
                    return Err(unusable(MANIFEST, why));
                }
                Some(state) => {
                    let (segment, found_next, found_time) = self.open_segment(live, state)?;
                    (next, commit_time) = (found_next, found_time);
                    segment
                }
            };
            segments.push(Arc::new(segment));
        }
        self.segments.store(Arc::new(segments));
        self.next_position.store(next, Ordering::Release);
        self.head.publish(Head { position: next - 1, ticket: 0 });
        Ok(commit_time)
    }

    fn open_segment(
        &self,
        live: &LiveFile,
        state: SegmentState,
    ) -> Result<(Segment, u64, i64), OpenError> {
        let name = live.name();
        let failed = |error| OpenError::io(&name, error);
        let file = self.disk.open(&name, OpenMode::Write).map_err(failed)?;
        let data_end = (state == SegmentState::Closed).then_some(live.length);
        let found: Found = recovery::examine(self.header.store_id, live, &file, data_end)?;
        if state == SegmentState::Open {
            recovery::settle(&*file, &found).map_err(failed)?;
            self.unmarked.store(found.mark < found.end, Ordering::Release);
        }
        let (next, commit_time) = (found.next_position, found.commit_time);
        Ok((found.into_segment(self.header.store_id, live, file), next, commit_time))
    }

    /// A new open segment, its file on the disk and in the manifest.
    pub(crate) fn new_segment(
        &self,
        [id, first_position]: [u64; 2],
        commit_floor: i64,
        closed: Option<LiveFile>,
    ) -> std::io::Result<Arc<Segment>> {
        let store_id = self.header.store_id;
        let live = LiveFile {
            kind: FileKind::SEGMENT,
            state: SegmentState::Open.code(),
            id,
            generation: 0,
            first: first_position,
            last: 0,
            length: 0,
            detail: 0,
        };
        let file = create_segment(&*self.disk, &live, store_id, commit_floor)?;
        self.manifest.update(|files| {
            files.retain(|file| Some((file.kind, file.id)) != closed.map(|c| (c.kind, c.id)));
            files.extend(closed);
            files.push(live);
        })?;
        let numbers = [id, first_position, SegmentHeader::SIZE];
        Ok(Arc::new(Segment::open(store_id, numbers, file, Blocks::default())))
    }
}

pub(crate) fn exists(disk: &dyn Disk) -> Result<bool, OpenError> {
    match disk.open(STORE, OpenMode::Read) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(OpenError::io(STORE, error)),
    }
}
