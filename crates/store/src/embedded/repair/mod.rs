//! Repairs a store that is not open: reports every lost event, and rewrites the store without damage.
//!
//! Every lost position gets a placeholder, an event that no read returns, so that positions, versions and
//! ordinals stay. A whole index file of the segment tells the stream and version of a lost event. The file
//! is kept, so conditions on its keys conflict with lost events as before. Otherwise the stream and version
//! follow from the versions that are missing between the events of each stream.

mod lost_postings;
mod missing_versions;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use leftfold_index::{FileHead, IndexCache, IndexError, IndexFile};
use leftfold_io::{Disk, OsRandom, Random, RealDisk};
use leftfold_log::LiveFile;
use leftfold_log::repair::{DamagedBytes, IndexOf, Repair, Replacements, Salvaged};

use super::open::{INDEX, cannot_open, file_id};
use crate::embedded::events::decode_event;
use crate::error::OpenError;
use crate::keys::Keys;
use leftfold_api::Failure;
use leftfold_api::record::encode_placeholder;
use lost_postings::LostPostings;
use missing_versions::MissingVersions;

/// The stream of placeholders for lost events of unknown streams.
pub(crate) use leftfold_api::names::LOST as LOST_STREAM;

/// What a repair does with damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepairMode {
    /// Only reports it.
    Report,
    /// Copies damaged bytes to other files, and rewrites the store without them.
    Quarantine,
}

/// The report of a repair.
#[derive(Debug, Clone, Default)]
pub struct RepairReport {
    /// The number of events that can be read.
    pub events: u64,
    /// The damaged bytes.
    pub damaged: Vec<DamagedBytes>,
    /// The lost events, in the order of the log.
    pub lost: Vec<LostEvent>,
    /// Whether checkpoint moves may be lost.
    pub checkpoints_uncertain: bool,
    /// The files to which damaged bytes were copied; empty if nothing was changed.
    pub quarantined: Vec<String>,
}

/// An event that was lost by damage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostEvent {
    /// Its position.
    pub position: u64,
    /// Its stream and its version, if they are known.
    pub stream: Option<(String, u64)>,
    /// Whether the position is certain. If not, the version is lost, but its position may be that of
    /// another lost event nearby.
    pub certain: bool,
}

/// Checks the store in a directory, and repairs it if the mode says so. `progress` gets the number of
/// steps that are done, and of all.
pub fn repair(
    dir: impl AsRef<Path>,
    mode: RepairMode,
    progress: impl FnMut(u64, u64),
) -> Result<RepairReport, OpenError> {
    let disk = RealDisk::existing(&dir).map_err(|source| cannot_open(dir.as_ref(), source))?;
    repair_on(Arc::new(disk), &OsRandom, mode, progress)
}

/// [`repair`] on any disk.
pub fn repair_on(
    disk: Arc<dyn Disk>,
    random: &dyn Random,
    mode: RepairMode,
    mut progress: impl FnMut(u64, u64),
) -> Result<RepairReport, OpenError> {
    let repair = Repair::open(disk)?;
    let keys = Keys::new(&repair.header().hash_key);
    let mut scan = DamageScan::default();
    let files = repair.segments();
    let steps = files.len() as u64 * 2;
    let mut report = RepairReport::default();
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
    if mode == RepairMode::Quarantine && !report.damaged.is_empty() {
        report.quarantined = quarantine(&repair, &report.damaged)?;
        replace(repair, &scan, &report.lost, random)?;
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
        for live in &files {
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
        file.verify(|key, ordinal, positions| {
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

fn quarantine(repair: &Repair, damaged: &[DamagedBytes]) -> Result<Vec<String>, OpenError> {
    let copy = |damaged| repair.quarantine(damaged).map_err(|error| failed("quarantine", &error));
    damaged.iter().map(copy).collect()
}

/// Rewrites the damaged segments and replaces them all at once.
fn replace(
    repair: Repair,
    scan: &DamageScan,
    lost_events: &[LostEvent],
    random: &dyn Random,
) -> Result<(), OpenError> {
    let mut replacements = Replacements { gone: scan.removed.clone(), ..Replacements::default() };
    let by_position: BTreeMap<_, _> =
        lost_events.iter().map(|event| (event.position, &event.stream)).collect();
    let last = repair.segments().last().map(|live| live.id);
    let (mut unnamed, mut outcome) = (0, Ok(()));
    each_segment(&repair, |_, salvaged| {
        let live = salvaged.live;
        replacements.head = salvaged.last;
        if outcome.is_err() || salvaged.damage.is_empty() {
            return;
        }
        let mut placeholder = |position| match by_position.get(&position) {
            Some(Some((stream, version))) => encode_placeholder(stream, *version, position),
            _ => {
                unnamed += 1;
                encode_placeholder(LOST_STREAM, unnamed - 1, position)
            }
        };
        let mut write = || {
            let knows_more = scan.indexed.contains(&live.id) && salvaged.lost().next().is_some();
            let index = if knows_more { IndexOf::Before } else { IndexOf::Now };
            let new = repair.write(&salvaged, index, &mut placeholder)?;
            replacements.segments.push((live, new));
            if Some(live.id) == last {
                replacements.opened = Some(repair.open_behind(&salvaged)?);
            }
            Ok(())
        };
        outcome = write().map_err(|error| failed("rewriting a segment", &error));
    })?;
    outcome?;
    repair.swap(&replacements, random).map_err(|error| failed("replacing damaged files", &error))
}

fn failed(what: &'static str, error: &io::Error) -> OpenError {
    Failure::Disk { what: what.to_owned(), message: error.to_string() }.into()
}
