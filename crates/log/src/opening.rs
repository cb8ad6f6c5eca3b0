//! What an opening finds on the disk: the segments that the manifest names, and leftover files.

use std::collections::HashSet;
use std::sync::Arc;

use leftfold_io::{Disk, File, OpenMode};

use crate::create::{Access, unusable};
use crate::error::OpenError;
use crate::format::SegmentHeader;
use crate::manifest::{FileKind, LiveFile, MANIFEST, Manifest, SegmentState};
use crate::options::{Compression, Keep};
use crate::ownership::Replaced;
use crate::recovery::{self, Recovered};
use crate::segment::Segment;

/// The segments of a log, and its end.
pub(crate) struct OpenedSegments {
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) end: LogEnd,
}

/// Where a log ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogEnd {
    /// The position of the next record.
    pub(crate) next_position: u64,
    /// The last commit time.
    pub(crate) commit_time: i64,
    /// Whether frames follow the last mark.
    pub(crate) is_unmarked: bool,
}

/// Returns the files that the manifest does not name: a crash left them before it could. Refuses
/// what suggests that the manifest is not the newest.
pub(crate) fn find_leftovers(
    disk: &dyn Disk,
    manifest: &Manifest,
) -> Result<Vec<String>, OpenError> {
    let files = manifest.files();
    let live: HashSet<_> = files.iter().map(LiveFile::name).collect();
    let mut present = HashSet::new();
    for dir in ["log", "index"] {
        let names = disk.list(dir).map_err(|error| OpenError::io(dir, error))?;
        present.extend(names.iter().map(|name| format!("{dir}/{name}")));
    }
    refuse_missing(&live, &present)?;
    let mut leftovers: Vec<_> = present.difference(&live).cloned().collect();
    leftovers.sort();
    leftovers.iter().try_for_each(|name| refuse_orphan(disk, &files, name))?;
    Ok(leftovers)
}

/// A segment that is not there may have a newer generation: then this manifest is not the newest,
/// and what looks like a leftover is the data.
fn refuse_missing(live: &HashSet<String>, present: &HashSet<String>) -> Result<(), OpenError> {
    match live.difference(present).filter(|name| name.ends_with(".seg")).min() {
        None => Ok(()),
        Some(name) => {
            let why = "it is missing, yet MANIFEST names it: that is too old, or the file is lost";
            Err(unusable(name, why))
        }
    }
}

/// A segment that holds anything was in a manifest once, unless another generation of it is there:
/// this manifest is not the newest.
fn refuse_orphan(disk: &dyn Disk, files: &[LiveFile], name: &str) -> Result<(), OpenError> {
    let number = |name: &str| name.split('.').next().map(str::to_owned);
    if files.iter().any(|file| number(&file.name()) == number(name)) {
        return Ok(());
    }
    let failed = |error| OpenError::io(name, error);
    let file = disk.open(name, OpenMode::Read).map_err(failed)?;
    if name.ends_with(".seg") && file.len().map_err(failed)? > SegmentHeader::SIZE {
        return Err(unusable(MANIFEST, format!("it does not know of {name}: it is too old")));
    }
    Ok(())
}

/// Opens the segments that the manifest names.
pub(crate) fn open_segments(
    disk: &dyn Disk,
    store_id: [u8; 16],
    manifest: &Manifest,
    access: Access,
    keep: Keep,
) -> Result<OpenedSegments, OpenError> {
    let opening = Opening { disk, store_id, manifest, access, keep };
    let mut segments = Vec::new();
    let mut end = LogEnd { next_position: 1, commit_time: i64::MIN, is_unmarked: false };
    for live in manifest.files().iter().filter(|file| file.kind == FileKind::SEGMENT) {
        if live.first < end.next_position {
            let why = format!("it names {} from {} on, too early", live.name(), live.first);
            return Err(unusable(MANIFEST, why));
        }
        let segment = match live.segment_state() {
            Some(SegmentState::Sealed) if Compression::of(live.detail).is_some() => {
                Segment::sealed(store_id, live)
            }
            Some(SegmentState::Sealed) | None => {
                let why = "it holds a segment in a state that this release does not know";
                return Err(unusable(MANIFEST, why));
            }
            Some(state) => opening.open_segment(live, state, &mut end)?,
        };
        segments.push(Arc::new(segment));
    }
    Ok(OpenedSegments { segments, end })
}

struct Opening<'a> {
    disk: &'a dyn Disk,
    store_id: [u8; 16],
    manifest: &'a Manifest,
    access: Access,
    keep: Keep,
}

impl Opening<'_> {
    fn open_segment(
        &self,
        live: &LiveFile,
        state: SegmentState,
        end: &mut LogEnd,
    ) -> Result<Segment, OpenError> {
        let name = live.name();
        let mode = match self.access {
            Access::Write => OpenMode::Write,
            Access::Read => OpenMode::Read,
        };
        let file = self.disk.open(&name, mode).map_err(|error| OpenError::io(&name, error))?;
        let data_end = (state == SegmentState::Closed).then_some(live.length);
        let term = self.manifest.term();
        let recovered: Recovered =
            recovery::examine(self.store_id, live, &file, data_end, term, self.keep)?;
        if (state, self.access) == (SegmentState::Open, Access::Write) {
            self.begin_to_write(&*file, live, &recovered, end)?;
        }
        (end.next_position, end.commit_time) = (recovered.next_position, recovered.commit_time);
        Ok(recovered.into_segment(self.store_id, live, file))
    }

    /// Begins a term, and then makes the recovered frames durable. Another writer that had the store sees the
    /// new manifest before it acknowledges anything.
    fn begin_to_write(
        &self,
        file: &dyn File,
        live: &LiveFile,
        recovered: &Recovered,
        end: &mut LogEnd,
    ) -> Result<(), OpenError> {
        let name = live.name();
        let begun = self.manifest.begin_term(recovered.last_term, live.id, recovered.end);
        let term = begun.map_err(|error| match Replaced::of(&error) {
            Some(_) => OpenError::Locked(self.disk.describe()),
            None => OpenError::io(MANIFEST, error),
        })?;
        let failed = |error| OpenError::io(&name, error);
        if !recovered.is_end_unchanged(file).map_err(failed)? {
            return Err(OpenError::Locked(self.disk.describe()));
        }
        recovery::settle(file, recovered).map_err(failed)?;
        let is_far = term.is_far_from(recovered.last_term);
        end.is_unmarked = recovered.mark < recovered.end || is_far;
        Ok(())
    }
}
