//! Repairs a store that is not open: reports every lost event, and rewrites the store without damage.
//!
//! Every lost position gets a placeholder, an event that no read returns, so that positions, versions and
//! ordinals stay. A whole index file of the segment tells the stream and version of a lost event. The file
//! is kept, so conditions on its keys conflict with lost events as before. Otherwise the stream and version
//! follow from the versions that are missing between the events of each stream.

mod lost_postings;
mod missing_versions;
mod report;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use leftfold_index::{FileHead, IndexCache, IndexEntry, IndexError, IndexFile};
use leftfold_io::{Disk, OsRandom, Random, RealDisk};
use leftfold_log::LiveFile;
use leftfold_log::repair::{
    DamagedBytes, IndexOf, Outcome, QUARANTINE, Repair, Replacements, Salvaged, Undone,
    finish_interrupted, forget, undo,
};

use super::open::{INDEX, cannot_open, file_id};
use crate::embedded::events::decode_event;
use crate::error::OpenError;
use crate::keys::Keys;
use leftfold_api::Failure;
use leftfold_api::record::encode_placeholder;
use lost_postings::LostPostings;
use missing_versions::MissingVersions;

pub use report::{LostEvent, RepairReport};

/// The stream of placeholders for lost events of unknown streams.
pub(crate) use leftfold_api::names::LOST as LOST_STREAM;

/// What a repair does with damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepairMode {
    /// Only reports it.
    Report,
    /// Puts damaged files aside, and rewrites the store without them.
    Quarantine,
}

/// Checks the store in a directory, and repairs it if the mode says so. `progress` gets the number of
/// steps that are done, and of all.
pub fn repair(
    dir: impl AsRef<Path>,
    mode: RepairMode,
    progress: impl FnMut(u64, u64),
) -> Result<RepairReport, OpenError> {
    repair_on(existing(dir.as_ref())?, &OsRandom, mode, progress)
}

/// Restores the files of a directory as they were before the last repair. The files of the repair are put
/// aside in turn. Refuses if the store has other events since.
pub fn undo_repair(dir: impl AsRef<Path>) -> Result<Undone, OpenError> {
    Ok(undo(existing(dir.as_ref())?)?)
}

/// Removes what repairs of the store in a directory have put aside; returns the number of files. The
/// repairs can't be undone then.
pub fn forget_repairs(dir: impl AsRef<Path>) -> Result<usize, OpenError> {
    let files = forget(&*existing(dir.as_ref())?)?;
    // Only an empty directory goes.
    _ = std::fs::remove_dir(dir.as_ref().join(QUARANTINE));
    Ok(files)
}

fn existing(dir: &Path) -> Result<Arc<dyn Disk>, OpenError> {
    let disk = RealDisk::existing(dir).map_err(|source| cannot_open(dir, source))?;
    Ok(Arc::new(disk))
}

/// [`repair`] on any disk.
pub fn repair_on(
    disk: Arc<dyn Disk>,
    random: &dyn Random,
    mode: RepairMode,
    mut progress: impl FnMut(u64, u64),
) -> Result<RepairReport, OpenError> {
    let finished = match mode {
        RepairMode::Quarantine => finish_interrupted(&*disk)?,
        RepairMode::Report => None,
    };
    let repair = Repair::open(disk)?;
    let keys = Keys::new(&repair.header().hash_key);
    let mut scan = DamageScan::default();
    let files = repair.segments();
    let steps = files.len() as u64 * 2;
    let faults = repair.faults().to_vec();
    let mut report = RepairReport { faults, finished, ..RepairReport::default() };
    each_segment(&repair, |done, salvaged| {
        progress(done, steps);
        report.events += salvaged.records().count() as u64;
        report.damaged.extend_from_slice(&salvaged.damage);
        scan.segment(&salvaged);
    })?;
    scan.index_files(&repair, &mut report.damaged)?;
    report.checkpoints_uncertain = scan.checkpoints_uncertain();
    if !scan.lost.is_empty() {
        let mut missing = MissingVersions::among(scan.lost_without_index());
        each_segment(&repair, |done, salvaged| {
            progress(files.len() as u64 + done, steps);
            for record in salvaged.records() {
                if let Ok(event) = decode_event(record.clone()) {
                    scan.known.add_stream(&keys, event.stream());
                    missing.add_event(&keys, &event);
                }
            }
        })?;
        report.lost = scan.lost_events(missing);
    }
    progress(steps, steps);
    if mode == RepairMode::Quarantine && report.has_findings() {
        report.quarantined = replace(&repair, &scan, &report, random)?;
    }
    Ok(report)
}

/// Visits all segments, in order.
fn each_segment(repair: &Repair, mut visit: impl FnMut(u64, Salvaged)) -> Result<(), OpenError> {
    let mut floor = i64::MIN;
    for (done, live) in (0..).zip(repair.segments()) {
        let salvaged = repair.salvage(&live, floor)?;
        floor = salvaged.commit_time;
        visit(done, salvaged);
    }
    Ok(())
}

/// The result of the first pass.
#[derive(Default)]
struct DamageScan {
    /// The damaged segments.
    damaged: Vec<LiveFile>,
    /// The lost positions, each with whether its index file is whole.
    lost: BTreeMap<u64, bool>,
    /// The postings of lost positions in whole index files.
    known: LostPostings,
    /// The index files to remove: damaged ones, and those that are useless without them.
    removed: Vec<LiveFile>,
    /// The damaged segments whose index file is whole.
    indexed: Vec<u64>,
    /// The last segment whose checkpoint moves may be lost.
    moves_lost: Option<u64>,
    /// The last segment whose checkpoints are in a whole index file.
    moves_known: Option<u64>,
}

impl DamageScan {
    fn segment(&mut self, salvaged: &Salvaged) {
        if !salvaged.damage.is_empty() {
            self.damaged.push(salvaged.live);
            self.moves_lost = Some(salvaged.live.id);
        }
        self.lost.extend(salvaged.lost().map(|position| (position, false)));
    }

    /// Checks all index files, and reads the postings of lost positions from whole ones.
    fn index_files(
        &mut self,
        repair: &Repair,
        damaged: &mut Vec<DamagedBytes>,
    ) -> Result<(), OpenError> {
        let files = repair.other_files();
        for live in files {
            match self.index_file(repair, live) {
                Ok(()) if live.kind == INDEX => self.use_whole_file(live),
                Ok(()) => {}
                Err(IndexError::Damaged { file, offset, what }) => {
                    let length = live.length.saturating_sub(offset);
                    damaged.push(DamagedBytes { file, offset, length, what: what.to_owned() });
                    self.removed.push(*live);
                }
                // A missing index file is made again when the store is opened.
                Err(IndexError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Failure::from(error).into()),
            }
        }
        let parts = |file: &&LiveFile| {
            self.removed.iter().any(|part| (part.kind, part.id) == (file.kind, file.id))
        };
        self.removed = files.iter().filter(parts).copied().collect();
        Ok(())
    }

    fn index_file(&mut self, repair: &Repair, live: &LiveFile) -> Result<(), IndexError> {
        let store_id = repair.header().store_id;
        let head = FileHead { store_id, id: file_id(live), first: live.first, last: live.last };
        let cache = Arc::new(IndexCache::new(0));
        let file = IndexFile::open(&**repair.disk(), &live.name(), head, cache)?;
        let (lost, mut found) = (&self.lost, Vec::new());
        file.verify_in_chunks(|entry| {
            // A fingerprint names no stream.
            let IndexEntry::List { key, ordinal, positions } = entry else { return };
            for (ordinal, position) in (ordinal..).zip(positions) {
                if live.kind == INDEX && lost.contains_key(position) {
                    found.push((key, ordinal, *position));
                }
            }
        })?;
        found.into_iter().for_each(|(key, ordinal, at)| self.known.add_posting(key, ordinal, at));
        Ok(())
    }

    fn use_whole_file(&mut self, live: &LiveFile) {
        for (_, has_index) in self.lost.range_mut(live.first..=live.last.max(live.first)) {
            *has_index = true;
        }
        let is_covered = |segment: &&LiveFile| {
            segment.first <= segment.last && (live.first..=live.last).contains(&segment.first)
        };
        self.indexed.extend(self.damaged.iter().filter(is_covered).map(|segment| segment.id));
        self.moves_known = self.moves_known.max(Some(live.id + u64::from(live.detail)));
    }

    fn checkpoints_uncertain(&self) -> bool {
        self.moves_lost.is_some() && self.moves_known < self.moves_lost
    }

    fn lost_without_index(&self) -> Vec<u64> {
        self.lost.iter().filter(|(_, has_index)| !**has_index).map(|(at, _)| *at).collect()
    }

    fn lost_events(&self, missing: MissingVersions) -> Vec<LostEvent> {
        let mut known = self.known.by_position();
        let mut found = missing.assign_positions(known.values());
        let event = |position: &u64| {
            let (stream, certain) = match (known.remove(position), found.remove(position)) {
                (Some(stream), _) => (Some(stream), true),
                (None, Some((stream, certain))) => (Some(stream), certain),
                (None, None) => (None, false),
            };
            LostEvent { position: *position, stream, certain }
        };
        self.lost.keys().map(event).collect()
    }
}

/// Rewrites the damaged segments and replaces them all at once; returns what was put aside.
fn replace(
    repair: &Repair,
    scan: &DamageScan,
    report: &RepairReport,
    random: &dyn Random,
) -> Result<Vec<String>, OpenError> {
    let rewriting = |error: io::Error| failed("rewriting a segment", &error);
    let mut change = repair.begin().map_err(rewriting)?;
    let mut replacements = Replacements { gone: scan.removed.clone(), ..Replacements::default() };
    let by_position: BTreeMap<_, _> =
        report.lost.iter().map(|event| (event.position, &event.stream)).collect();
    let last = repair.segments().last().map(|live| live.id);
    let mut unnamed = 0;
    let mut placeholder = |position| match by_position.get(&position) {
        Some(Some((stream, version))) => encode_placeholder(stream, *version, position),
        _ => {
            unnamed += 1;
            encode_placeholder(LOST_STREAM, unnamed - 1, position)
        }
    };
    let (mut head, mut floor) = (0, i64::MIN);
    for live in repair.segments() {
        let salvaged = repair.salvage(&live, floor)?;
        (head, floor) = (salvaged.last, salvaged.commit_time);
        let is_damaged = !salvaged.damage.is_empty();
        if is_damaged {
            let knows_more = scan.indexed.contains(&live.id) && salvaged.lost().next().is_some();
            let index = if knows_more { IndexOf::Before } else { IndexOf::Now };
            let new = repair.write(&mut change, &salvaged, index, &mut placeholder);
            replacements.segments.push((live, new.map_err(rewriting)?));
        }
        if Some(live.id) == last && (is_damaged || repair.needs_open()) {
            let opened = repair.open_behind(&mut change, Some(&salvaged));
            replacements.opened = Some(opened.map_err(rewriting)?);
        }
    }
    if last.is_none() {
        replacements.opened = Some(repair.open_behind(&mut change, None).map_err(rewriting)?);
    }
    let outcome = Outcome { events: report.events, head, lost: report.lost_ranges() };
    repair
        .swap(change, &replacements, outcome, random)
        .map_err(|error| failed("replacing damaged files", &error))
}

fn failed(what: &'static str, error: &io::Error) -> OpenError {
    Failure::Disk { what: what.to_owned(), message: error.to_string() }.into()
}
