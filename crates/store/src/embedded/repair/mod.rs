//! Repair of a store that is not open: says exactly what damage has cost, and makes a store without
//! damage of what is left.
//!
//! Every lost position gets a placeholder, an event that nobody sees, so that positions, versions
//! and ordinals stay. Which stream and version it stands for is known from the segment's index file,
//! if that is whole: then that file is kept, and conditions on what it knows of lost events go on to
//! conflict. Else it follows from the versions that are missing between the events of each stream.

mod known;
mod missing;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use leftfold_index::{FileHead, IndexCache, IndexError, IndexFile};
use leftfold_io::{Disk, OsRandom, Random, RealDisk};
use leftfold_log::LiveFile;
use leftfold_log::repair::{DamagedBytes, IndexOf, Repair, Replacements, Salvaged};

use super::open::{INDEX, cannot_open, id_of};
use crate::embedded::events::recorded;
use crate::error::OpenError;
use crate::keys::Keys;
use known::Known;
use leftfold_api::Failure;
use leftfold_api::record::lost;
use missing::Missing;

/// The stream of lost events whose own is not known.
pub(crate) const LOST_STREAM: &str = "$lost";

/// What is done about damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepairMode {
    /// Nothing: it is only told.
    Report,
    /// Damaged bytes are copied aside, and the store is made whole without them.
    Quarantine,
}

/// What reading all of a store, and repairing it, came to.
#[derive(Debug, Clone, Default)]
pub struct RepairReport {
    /// Events that can be read.
    pub events: u64,
    /// Bytes that are damaged.
    pub damaged: Vec<DamagedBytes>,
    /// Events that are lost by it, in order.
    pub lost: Vec<LostEvent>,
    /// Whether moves of checkpoints may be lost.
    pub checkpoints_uncertain: bool,
    /// Files to which damaged bytes were copied; none if nothing was changed.
    pub quarantined: Vec<String>,
}

/// An event that can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostEvent {
    /// Its position.
    pub position: u64,
    /// Its stream and its version there, if they can be known.
    pub stream: Option<(String, u64)>,
    /// Whether that is certain; if not, the version of the stream is lost, but this position may be
    /// that of another of the lost events near it.
    pub certain: bool,
}

/// Looks through the store in a directory, and repairs it if the mode says so. `progress` hears how
/// many of how many steps are done.
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
    let mut looked = Looked::default();
    let files = repair.segments();
    let steps = files.len() as u64 * 2;
    let mut report = RepairReport::default();
    each_segment(&repair, |done, salvaged| {
        progress(done, steps);
        report.events += salvaged.records().count() as u64;
        report.damaged.extend_from_slice(&salvaged.damage);
        looked.segment(&salvaged);
    })?;
    looked.index_files(&repair, &mut report.damaged)?;
    report.checkpoints_uncertain = looked.checkpoints_uncertain();
    if !looked.lost.is_empty() {
        let mut missing = Missing::among(looked.lost_without_index());
        each_segment(&repair, |done, salvaged| {
            progress(files.len() as u64 + done, steps);
            for record in salvaged.records() {
                if let Ok(event) = recorded(record.clone()) {
                    looked.known.meet(&keys, event.stream());
                    missing.meet(&keys, &event);
                }
            }
        })?;
        report.lost = looked.lost_events(missing);
    }
    progress(steps, steps);
    if mode == RepairMode::Quarantine && !report.damaged.is_empty() {
        report.quarantined = quarantine(&repair, &report.damaged)?;
        replace(repair, &looked, &report.lost, random)?;
    }
    Ok(report)
}

/// Reads one segment after the other.
fn each_segment(repair: &Repair, mut visit: impl FnMut(u64, Salvaged)) -> Result<(), OpenError> {
    let mut floor = i64::MIN;
    for (done, live) in (0..).zip(repair.segments()) {
        let salvaged = repair.salvage(&live, floor)?;
        floor = salvaged.commit_time;
        visit(done, salvaged);
    }
    Ok(())
}

/// What the first look has found.
#[derive(Default)]
struct Looked {
    /// Damaged segments.
    damaged: Vec<LiveFile>,
    /// Lost positions, each with whether its segment's index is whole.
    lost: BTreeMap<u64, bool>,
    /// What whole index files say of lost positions.
    known: Known,
    /// Index files that are damaged, with those that are of no use without them.
    gone: Vec<LiveFile>,
    /// Damaged segments whose index is whole.
    kept: Vec<u64>,
    /// The last segment whose moves of checkpoints may be lost.
    moves_lost: Option<u64>,
    /// The last segment at whose end a whole index file knows all checkpoints.
    moves_known: Option<u64>,
}

impl Looked {
    fn segment(&mut self, salvaged: &Salvaged) {
        if !salvaged.damage.is_empty() {
            self.damaged.push(salvaged.live);
            self.moves_lost = Some(salvaged.live.id);
        }
        self.lost.extend(salvaged.lost().map(|position| (position, false)));
    }

    /// Checks all index files; asks those of damaged segments what they know of what is lost.
    fn index_files(
        &mut self,
        repair: &Repair,
        damaged: &mut Vec<DamagedBytes>,
    ) -> Result<(), OpenError> {
        let files = repair.other_files();
        for live in &files {
            match self.index_file(repair, live) {
                Ok(()) if live.kind == INDEX => self.is_whole(live),
                Ok(()) => {}
                Err(IndexError::Damaged { file, offset, what }) => {
                    let length = live.length.saturating_sub(offset);
                    damaged.push(DamagedBytes { file, offset, length, what: what.to_owned() });
                    self.gone.push(*live);
                }
                // One that is missing is made again in any case.
                Err(IndexError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Failure::from(error).into()),
            }
        }
        let parts = |file: &&LiveFile| {
            self.gone.iter().any(|gone| (gone.kind, gone.id) == (file.kind, file.id))
        };
        self.gone = files.iter().filter(parts).copied().collect();
        Ok(())
    }

    fn index_file(&mut self, repair: &Repair, live: &LiveFile) -> Result<(), IndexError> {
        let store_id = repair.header().store_id;
        let head = FileHead { store_id, id: id_of(live), first: live.first, last: live.last };
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
        found.into_iter().for_each(|(key, ordinal, at)| self.known.says(key, ordinal, at));
        Ok(())
    }

    fn is_whole(&mut self, live: &LiveFile) {
        for (_, has_index) in self.lost.range_mut(live.first..=live.last.max(live.first)) {
            *has_index = true;
        }
        let of_it = |segment: &&LiveFile| {
            segment.first <= segment.last && (live.first..=live.last).contains(&segment.first)
        };
        self.kept.extend(self.damaged.iter().filter(of_it).map(|segment| segment.id));
        self.moves_known = self.moves_known.max(Some(live.id + u64::from(live.detail)));
    }

    fn checkpoints_uncertain(&self) -> bool {
        self.moves_lost.is_some() && self.moves_known < self.moves_lost
    }

    fn lost_without_index(&self) -> Vec<u64> {
        self.lost.iter().filter(|(_, has_index)| !**has_index).map(|(at, _)| *at).collect()
    }

    fn lost_events(&self, missing: Missing) -> Vec<LostEvent> {
        let mut known = self.known.by_position();
        let mut found = missing.places(known.values());
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

/// Writes what is damaged again and puts it in its place.
fn replace(
    repair: Repair,
    looked: &Looked,
    lost_events: &[LostEvent],
    random: &dyn Random,
) -> Result<(), OpenError> {
    let mut replacements = Replacements { gone: looked.gone.clone(), ..Replacements::default() };
    let by_position: BTreeMap<_, _> =
        lost_events.iter().map(|event| (event.position, &event.stream)).collect();
    let last = repair.segments().last().map(|live| live.id);
    let (mut unnamed, mut outcome) = (0, Ok(()));
    each_segment(&repair, |_, salvaged| {
        let live = salvaged.live;
        if outcome.is_err() || salvaged.damage.is_empty() {
            return;
        }
        let mut placeholder = |position| match by_position.get(&position) {
            Some(Some((stream, version))) => lost(stream, *version, position),
            _ => {
                unnamed += 1;
                lost(LOST_STREAM, unnamed - 1, position)
            }
        };
        let mut write = || {
            let knows_more = looked.kept.contains(&live.id) && salvaged.lost().next().is_some();
            let index = if knows_more { IndexOf::Before } else { IndexOf::Now };
            let new = repair.write(&salvaged, index, &mut placeholder)?;
            replacements.segments.push((live, new));
            if Some(live.id) == last {
                replacements.opened = Some(repair.open_behind(&salvaged)?);
            }
            Ok(())
        };
        outcome = write().map_err(|error| failed("writing a segment again", &error));
    })?;
    outcome?;
    repair.swap(&replacements, random).map_err(|error| failed("replacing what is damaged", &error))
}

fn failed(what: &'static str, error: &io::Error) -> OpenError {
    Failure::Disk { what: what.to_owned(), message: error.to_string() }.into()
}
