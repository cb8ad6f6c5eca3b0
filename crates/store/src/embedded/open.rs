use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use leftfold_index::{ActivePart, FileHead, IndexFile, Part};
use leftfold_io::{Clock, Disk, Random};
use leftfold_log::{Commit, FileKind, LiveFile, Log, Opened, SegmentInfo};

use super::admit::Admitter;
use super::ancestry::Ancestry;
use super::core::{Core, Progress};
use super::definitions::Definitions;
use super::events::EventCache;
use super::index_view::IndexView;
use super::indexes::IndexList;
use super::maintenance::{ClosedSegment, Maintenance};
use super::options::Options;
use super::rebuild::{RebuildState, decode_moves};
use super::wait_list::WaitList;
use crate::error::OpenError;
use crate::keys::Keys;
use leftfold_api::{Failure, Origin, ReadError};

/// The index file of one or more segments.
pub(crate) const INDEX: FileKind = FileKind(2);
/// A file of a named index's events from before its definition.
pub(crate) const BACKFILL: FileKind = FileKind(3);

pub(crate) fn cannot_open(dir: &Path, source: io::Error) -> OpenError {
    if source.kind() == io::ErrorKind::NotFound {
        return leftfold_log::OpenError::Missing(dir.display().to_string()).into();
    }
    let file = dir.display().to_string();
    leftfold_log::OpenError::Io { file, source: Arc::new(source) }.into()
}

pub(crate) fn thread_error(source: io::Error) -> OpenError {
    let (what, message) = ("starting a thread".to_owned(), source.to_string());
    Failure::Disk { what, message }.into()
}

/// Opens the log, and rebuilds the state in memory.
pub(crate) fn open(
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    options: Options,
    commit: &dyn Commit,
) -> Result<(Opened, Arc<Core>, Admitter), OpenError> {
    let mut log_options = options.log.clone();
    log_options.identity = options.identity.or(log_options.identity);
    let opened = Log::open(disk, clock.clone(), random.clone(), log_options, options.create)?;
    let log = opened.log.clone();
    let keys = Keys::new(&log.header().hash_key);
    let header = log.header();
    let origin = Origin::new(&header.store_id, &header.incarnation);
    let core = Arc::new(Core {
        origin,
        ancestry: Ancestry::new(log.ancestors()),
        keys,
        random,
        clock,
        index: IndexView::new(options.index_cache_bytes, options.head_cache),
        definitions: Definitions::new(options.head_cache),
        maintenance: Arc::new(Maintenance::new(
            options.maintenance_bytes_per_second,
            options.compression,
        )),
        events: EventCache::new(options.event_cache_bytes),
        progress: Progress {
            known: AtomicU64::new(log.head().position),
            admitted: AtomicU64::new(0),
        },
        wait_list: WaitList::default(),
        limits: options.limits.within_format(),
        has_gaps: commit.positions_of_empty() > 0,
        is_replica: AtomicBool::new(options.replica),
        partition_of: options.partition_of,
        log,
    });
    let active = load_index(&core)?;
    core.maintenance.queue_merge();
    core.load_stream_limits()?;
    core.load_rules().map_err(as_failure)?;
    let admitter = Admitter::new(core.clone(), active, commit.positions_of_empty());
    Ok((opened, core, admitter))
}

/// Loads the index: from files where they exist, otherwise from the log into memory. Returns the part
/// that the writer continues.
fn load_index(core: &Arc<Core>) -> Result<Arc<ActivePart>, OpenError> {
    let files = core.log.other_files();
    let mut rebuilt = RebuildState {
        keys: core.keys,
        checkpoints: BTreeMap::new(),
        indexes: IndexList::default(),
        lost: false,
    };
    let mut active = Arc::new(ActivePart::new(1));
    // As long as every part is a file, indexes and checkpoints are read from the last file.
    let mut last_file: Option<Arc<IndexFile>> = None;
    // The last segment that the current file covers.
    let mut covered = 0;
    for segment in core.log.segments() {
        let used = match segment.id <= covered {
            true => last_file.clone(),
            false => index_file(core, &files, &segment).map(|(file, last)| {
                covered = last;
                core.index.set.rcu(|index| index.with_part(Part::File(file.clone())));
                file
            }),
        };
        if let Some(file) = used {
            if !segment.sealed {
                core.maintenance.queue_seal(segment.id);
            } else if segment.compression < core.maintenance.compression {
                core.maintenance.queue_compression(segment.id);
            }
            last_file = Some(file);
            continue;
        }
        if let Some(file) = last_file.take() {
            rebuilt.load_from_file(core, &file)?;
        }
        active = Arc::new(ActivePart::new(segment.first));
        let mut failed = None;
        core.log.each_frame(segment.id, |frame| {
            failed = failed.take().or(rebuilt.frame(frame, &active).err());
        })?;
        failed.map_or(Ok(()), Err)?;
        core.index.set.rcu(|index| index.with_part(Part::Active(active.clone())));
        if !segment.active {
            let checkpoints = &rebuilt.checkpoints;
            core.maintenance.queue_index_file(ClosedSegment::new(
                segment,
                active.clone(),
                checkpoints,
            ));
            // Otherwise the postings of all segments could be in memory at once.
            core.maintenance.make_room(core);
        }
    }
    *core.definitions.checkpoints.write() = rebuilt.checkpoints;
    core.definitions.indexes.load(rebuilt.indexes);
    bind_backfills(core, &files)?;
    Ok(active)
}

/// Returns the index file that begins with a segment, and the last segment that it covers. Returns `None`
/// if the file is missing or damaged; it is then made again from the log.
fn index_file(
    core: &Core,
    files: &[LiveFile],
    segment: &SegmentInfo,
) -> Option<(Arc<IndexFile>, u64)> {
    let live = files.iter().find(|file| file.kind == INDEX && file.id == segment.id)?;
    Some((open_file(core, live).ok()?, live.id + segments_of(live) - 1))
}

/// Returns the number of segments that an index file covers.
pub(crate) fn segments_of(file: &LiveFile) -> u64 {
    u64::from(file.detail) + 1
}

/// Whether an index file covers a segment.
pub(crate) fn covers(file: &LiveFile, segment: u64) -> bool {
    (file.id..file.id + segments_of(file)).contains(&segment)
}

pub(crate) fn open_file(
    core: &Core,
    live: &LiveFile,
) -> Result<Arc<IndexFile>, leftfold_index::IndexError> {
    let cache = core.index.cache.clone();
    IndexFile::open(&**core.log.disk(), &live.name(), file_head(core, live), cache)
}

pub(crate) fn file_head(core: &Core, live: &LiveFile) -> FileHead {
    let (store_id, id) = (core.log.header().store_id, file_id(live));
    FileHead { store_id, id, first: live.first, last: live.last }
}

/// Returns the id in a file's header. Files of different kinds have different ids.
pub(crate) fn file_id(live: &LiveFile) -> u64 {
    u64::from(live.kind.0) << 56 ^ u64::from(live.generation) << 40 ^ live.id
}

/// Adds the backfill files of named indexes. An index without usable files is filled again.
fn bind_backfills(core: &Arc<Core>, files: &[LiveFile]) -> Result<(), OpenError> {
    let named: Vec<_> = core.definitions.indexes.durable().iter().cloned().collect();
    for named in named {
        let of_index =
            files.iter().filter(|file| file.kind == BACKFILL && file.id == named.defined_at);
        let backfill: Result<Vec<_>, _> = of_index.map(|live| open_file(core, live)).collect();
        match backfill {
            Ok(files) if !files.is_empty() => {
                core.index.add_backfill(&named, &files);
                named.finish_backfill(Ok(()));
            }
            _ => core.maintenance.queue_index_change(Some(named), None),
        }
    }
    Ok(())
}

/// Returns the failure of a read that the store makes for itself, whose input is valid.
pub(crate) fn as_failure(error: ReadError) -> Failure {
    match error {
        ReadError::Failure(failure) => failure,
        other => {
            Failure::Disk { what: "reading definitions".to_owned(), message: other.to_string() }
        }
    }
}

impl RebuildState {
    /// Loads checkpoints and named indexes as they were at the end of an index file.
    fn load_from_file(&mut self, core: &Arc<Core>, file: &IndexFile) -> Result<(), OpenError> {
        self.checkpoints = decode_moves(&file.attachment()?).collect();
        self.indexes = IndexList::default();
        let changes = core.index_changes(file.last()).map_err(as_failure)?;
        changes.iter().for_each(|(position, change)| self.change(*position, change));
        Ok(())
    }
}
