use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use leftfold_index::{ActivePart, FileHead, IndexFile, Part};
use leftfold_io::{Clock, Disk, Random};
use leftfold_log::{FileKind, LiveFile, Log, Opened, SegmentInfo};

use super::admit::Admitter;
use super::core::{Core, Progress};
use super::definitions::Definitions;
use super::events::EventCache;
use super::index_view::IndexView;
use super::indexes::IndexList;
use super::maintenance::{Closed, Maintenance};
use super::options::Options;
use super::rebuild::{Rebuilt, decode_moves};
use super::wakes::Wakes;
use crate::error::OpenError;
use crate::keys::Keys;
use leftfold_api::{Failure, Origin, ReadError};

/// The index of a segment.
pub(crate) const INDEX: FileKind = FileKind(2);
/// A part of a named index's past.
pub(crate) const PAST: FileKind = FileKind(3);

pub(crate) fn cannot_open(dir: &Path, source: io::Error) -> OpenError {
    if source.kind() == io::ErrorKind::NotFound {
        return leftfold_log::OpenError::Missing(dir.display().to_string()).into();
    }
    let file = dir.display().to_string();
    leftfold_log::OpenError::Io { file, source: Arc::new(source) }.into()
}

pub(crate) fn no_thread(source: io::Error) -> OpenError {
    let (what, message) = ("starting a thread".to_owned(), source.to_string());
    Failure::Disk { what, message }.into()
}

/// Opens the log, then makes what is in memory again.
pub(crate) fn open(
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    options: Options,
) -> Result<(Opened, Arc<Core>, Admitter), OpenError> {
    let opened =
        Log::open(disk, clock.clone(), random.clone(), options.log.clone(), options.create)?;
    let log = opened.log.clone();
    let keys = Keys::new(&log.header().hash_key);
    let header = log.header();
    let origin = Origin::new(&header.store_id, &header.incarnation);
    let core = Arc::new(Core {
        origin,
        keys,
        random,
        clock,
        index: IndexView::new(options.index_cache_bytes, options.head_cache),
        definitions: Definitions::new(options.head_cache),
        maintenance: Arc::new(Maintenance::new(options.upkeep_bytes_per_second, options.packing)),
        events: EventCache::new(options.event_cache_bytes),
        progress: Progress {
            known: AtomicU64::new(log.head().position),
            admitted: AtomicU64::new(0),
        },
        wakes: Wakes::default(),
        limits: options.limits.within_format(),
        partition_of: options.partition_of,
        log,
    });
    let active = fill(&core)?;
    core.maintenance.unmerged();
    core.find_limited_streams()?;
    core.load_rules().map_err(as_failure)?;
    let admitter = Admitter::new(core.clone(), active);
    Ok((opened, core, admitter))
}

/// Puts the index together: files where they are, memory where the log is not sealed yet or a
/// file is missing. Gives the part that the writer goes on with.
fn fill(core: &Arc<Core>) -> Result<Arc<ActivePart>, OpenError> {
    let files = core.log.other_files();
    let mut rebuilt = Rebuilt {
        keys: core.keys,
        checkpoints: BTreeMap::new(),
        indexes: IndexList::default(),
        lost: false,
    };
    let mut active = Arc::new(ActivePart::new(1));
    // While every part so far is a file, indexes and checkpoints are read from the last of them.
    let mut last_file: Option<Arc<IndexFile>> = None;
    // The last segment that the file at hand covers.
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
                core.maintenance.unsealed(segment.id);
            } else if segment.packing < core.maintenance.packing {
                core.maintenance.unpacked(segment.id);
            }
            last_file = Some(file);
            continue;
        }
        if let Some(file) = last_file.take() {
            rebuilt.catch_up(core, &file)?;
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
            core.maintenance.add(Closed::new(segment, active.clone(), checkpoints));
            // Without their files, all segments would be in memory at once.
            core.maintenance.make_room(core);
        }
    }
    *core.definitions.checkpoints.write() = rebuilt.checkpoints;
    core.definitions.indexes.open_with(rebuilt.indexes);
    take_past(core, &files)?;
    Ok(active)
}

/// The index file that begins with a segment, if there is one that can be used, and the last
/// segment that it covers. One that is missing or damaged is made again from the log.
fn index_file(
    core: &Core,
    files: &[LiveFile],
    segment: &SegmentInfo,
) -> Option<(Arc<IndexFile>, u64)> {
    let live = files.iter().find(|file| file.kind == INDEX && file.id == segment.id)?;
    Some((open_file(core, live).ok()?, live.id + segments_of(live) - 1))
}

/// How many segments an index file covers.
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
    IndexFile::open(&**core.log.disk(), &live.name(), head_of(core, live), cache)
}

pub(crate) fn head_of(core: &Core, live: &LiveFile) -> FileHead {
    let (store_id, id) = (core.log.header().store_id, id_of(live));
    FileHead { store_id, id, first: live.first, last: live.last }
}

/// Files of different kinds never pass for each other, whatever their numbers.
pub(crate) fn id_of(live: &LiveFile) -> u64 {
    u64::from(live.kind.0) << 56 ^ u64::from(live.generation) << 40 ^ live.id
}

/// Binds what is known of the past of named indexes; what is not known is looked for again.
fn take_past(core: &Arc<Core>, files: &[LiveFile]) -> Result<(), OpenError> {
    let named: Vec<_> = core.definitions.indexes.durable().iter().cloned().collect();
    for named in named {
        let of_it = files.iter().filter(|file| file.kind == PAST && file.id == named.defined_at);
        let past: Result<Vec<_>, _> = of_it.map(|live| open_file(core, live)).collect();
        match past {
            Ok(past) if !past.is_empty() => {
                core.index.add_backfill(&named, &past);
                named.filled(Ok(()));
            }
            _ => core.maintenance.named(Some(named), None),
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

impl Rebuilt {
    /// Reads checkpoints and named indexes as they were at the end of a file.
    fn catch_up(&mut self, core: &Arc<Core>, file: &IndexFile) -> Result<(), OpenError> {
        self.checkpoints = decode_moves(&file.attachment()?).collect();
        self.indexes = IndexList::default();
        let changes = core.index_changes(file.last()).map_err(as_failure)?;
        changes.iter().for_each(|(position, change)| self.change(*position, change));
        Ok(())
    }
}
