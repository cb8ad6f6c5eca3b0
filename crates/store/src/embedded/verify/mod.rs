//! Verifies a store: reads all segments and index files and compares them.
//!
//! Each segment and each index file is a task for a pool of threads. The task of a segment checks every
//! frame and event, looks up each event by version and id, and sums a keyed digest of each expected posting.
//! The task of an index file sums the digests of its postings. The sums do not depend on the order. So an
//! index file is right if its sum equals that of its segments, and no posting has to stay in memory.

mod backfills;
mod segment;
mod sum;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use leftfold_index::{Fingerprint, IndexEntry, IndexFile, Part};
use leftfold_log::SegmentInfo;

use super::core::Core;
use super::indexes::IndexChange;

use backfills::{BackfillSums, Backfills};
use sum::Sum;

/// The most problems that are listed; all are counted.
const MAX_LISTED: usize = 100;

/// The most threads.
const MAX_THREADS: usize = 16;

/// The report of a verification.
#[derive(Debug, Clone, Default)]
pub struct VerifyReport {
    /// Frames whose checksums were checked.
    pub frames: u64,
    /// Events that were read, and looked up in the index.
    pub events: u64,
    /// Index files whose blocks were all checked.
    pub index_files: u64,
    /// Placeholders of events that were lost before a repair.
    pub lost: u64,
    /// The number of problems.
    pub problem_count: u64,
    /// The first problems.
    pub problems: Vec<Problem>,
    /// The named indexes that differ from their queries. Maintenance fills them again.
    pub refilled: Vec<String>,
}

/// A problem that verification has found.
#[derive(Debug, Clone)]
pub struct Problem {
    /// What is wrong, and where.
    pub message: String,
}

impl VerifyReport {
    fn add_problem(&mut self, message: String) {
        self.problem_count += 1;
        if self.problems.len() < MAX_LISTED {
            self.problems.push(Problem { message });
        }
    }

    fn add(&mut self, other: VerifyReport) {
        self.frames += other.frames;
        self.events += other.events;
        self.index_files += other.index_files;
        self.lost += other.lost;
        self.problem_count += other.problem_count;
        let room = MAX_LISTED.saturating_sub(self.problems.len());
        self.problems.extend(other.problems.into_iter().take(room));
    }
}

/// The segments and files to verify. Holding the index files keeps them on the disk.
struct VerifyRun<'a> {
    core: &'a Arc<Core>,
    segments: Vec<SegmentInfo>,
    files: Vec<Arc<IndexFile>>,
    /// The definitions and removals of named indexes; `None` if they could not be read. Then the expected
    /// postings are unknown.
    changes: Option<Vec<(u64, IndexChange)>>,
    /// The named indexes whose backfills are compared with their queries.
    backfills: Backfills,
}

/// The result of a task.
enum TaskResult {
    Segment(usize, Sum, BackfillSums, VerifyReport),
    /// The last part is the problem with ordinals, if there is one.
    File(usize, Sum, VerifyReport, Option<String>),
}

pub(crate) fn verify(core: &Arc<Core>, mut progress: impl FnMut(u64, u64)) -> VerifyReport {
    let mut report = VerifyReport::default();
    let work = VerifyRun::new(core, &mut report);
    let total = work.segments.len() + work.files.len();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    let (mut done, next) = (Vec::new(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let (sender, results) = mpsc::channel();
        for _ in 0..threads.min(total) {
            let (work, next, sender) = (&work, &next, sender.clone());
            scope.spawn(move || {
                loop {
                    let task = next.fetch_add(1, Ordering::Relaxed);
                    // Sending fails only if the receiving thread has panicked.
                    if task >= total || sender.send(work.task(task)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        progress(0, total as u64);
        for result in results {
            done.push(result);
            progress(done.len() as u64, total as u64);
        }
    });
    let expected = work.compare(done, &mut report);
    work.check_backfills(expected, &mut report);
    report
}

/// Verifies on this thread, at the speed of maintenance. Returns `None` if `go_on` returned false, or the
/// store is being closed.
pub(crate) fn verify_slowly(
    core: &Arc<Core>,
    go_on: &mut dyn FnMut() -> bool,
) -> Option<VerifyReport> {
    let mut report = VerifyReport::default();
    let work = VerifyRun::new(core, &mut report);
    let (mut done, mut throttle) = (Vec::new(), core.maintenance.throttle());
    for task in 0..work.segments.len() + work.files.len() {
        // Index files are small beside their segments, and read with them.
        let bytes = work.segments.get(task).map_or(0, |segment| segment.bytes);
        if !go_on() || !throttle.wait(bytes) {
            return None;
        }
        done.push(work.task(task));
    }
    let expected = work.compare(done, &mut report);
    work.check_backfills(expected, &mut report);
    Some(report)
}

impl<'a> VerifyRun<'a> {
    fn new(core: &'a Arc<Core>, report: &mut VerifyReport) -> Self {
        let changes = core.index_changes(core.log.head().position);
        let changes = changes.map_err(|error| report.add_problem(error.to_string())).ok();
        let index = core.index.set.load_full();
        let files = index.parts().iter().filter_map(|part| match part {
            Part::File(file) => Some(file.clone()),
            // Parts in memory were made from the log.
            Part::Active(_) => None,
        });
        let files = files.collect();
        let backfills = Backfills::new(core);
        VerifyRun { core, segments: core.log.segments(), files, changes, backfills }
    }

    fn task(&self, task: usize) -> TaskResult {
        let mut report = VerifyReport::default();
        match self.segments.get(task) {
            Some(segment) => {
                let (sum, backfills) = self.segment(segment, &mut report);
                TaskResult::Segment(task, sum, backfills, report)
            }
            None => {
                let at = task - self.segments.len();
                let (sum, ordinals) = self.file(&self.files[at], &mut report);
                TaskResult::File(at, sum, report, ordinals)
            }
        }
    }

    /// Sums the postings of a file, and checks that its ordinals continue those of earlier files.
    fn file(&self, file: &Arc<IndexFile>, report: &mut VerifyReport) -> (Sum, Option<String>) {
        report.index_files += 1;
        let (mut sum, mut wrong, mut key_before) = (Sum::default(), None, None);
        let index = self.core.index.set.load_full();
        let checked = file.verify_in_chunks(|entry| {
            let (key, ordinal, positions) = match entry {
                IndexEntry::List { key, ordinal, positions } => (key, ordinal, positions),
                IndexEntry::Id { fingerprint, position } => return sum.add(fingerprint, position),
            };
            let fingerprint = Fingerprint::of(&key);
            positions.iter().for_each(|position| sum.add(fingerprint, *position));
            // A long list comes in several chunks; only the first one has the ordinal to check.
            let begins = key_before.replace(key) != Some(key);
            // Only a list of two or more postings stores its first ordinal.
            if begins && positions.len() > 1 && wrong.is_none() && !index.has_backfill(&key) {
                match index.count(&key, file.first() - 1) {
                    Ok(before) if before == ordinal || sum::is_single(ordinal) => {}
                    Ok(before) => {
                        wrong = Some(format!("{before} earlier postings, but says {ordinal}"))
                    }
                    Err(error) => wrong = Some(error.to_string()),
                }
            }
        });
        if let Err(error) = checked {
            report.add_problem(error.to_string());
        }
        (sum, wrong.map(|wrong| format!("{}: a list has {wrong}", file.name())))
    }

    /// Compares the sum of each index file with that of its segments. Returns the expected sums of the
    /// backfills, unless segments are unreadable or events are lost.
    fn compare(&self, done: Vec<TaskResult>, report: &mut VerifyReport) -> Option<BackfillSums> {
        let (mut segments, mut files) = (BTreeMap::new(), BTreeMap::new());
        let mut first_lost = u64::MAX;
        let mut wrong_ordinals = Vec::new();
        let mut expected_backfills = Some(BackfillSums::default());
        for one in done {
            let (to, at, sum, part) = match one {
                TaskResult::Segment(at, sum, backfills, part) => {
                    let is_sound = part.problem_count == 0 && part.lost == 0;
                    expected_backfills = expected_backfills.filter(|_| is_sound);
                    if let Some(all) = &mut expected_backfills {
                        all.add(&backfills);
                    }
                    (&mut segments, at, sum, part)
                }
                TaskResult::File(at, sum, part, wrong) => {
                    wrong_ordinals.extend(wrong);
                    (&mut files, at, sum, part)
                }
            };
            if part.lost > 0 {
                first_lost = first_lost.min(self.segments[at].first);
            }
            let sound = part.problem_count == 0 && self.changes.is_some();
            to.insert(at, sound.then_some(sum));
            report.add(part);
        }
        // Lost events still count in ordinals, but the index may not list them any more.
        if report.lost == 0 {
            wrong_ordinals.into_iter().for_each(|wrong| report.add_problem(wrong));
        }
        for (at, held) in files {
            let file = &self.files[at];
            let range = file.first()..=file.last();
            let inside = |segment: &SegmentInfo| {
                range.contains(&segment.first) && range.contains(&segment.last)
            };
            // The file may list events that were lost later, or belong to an index whose definition was.
            if file.last() >= first_lost {
                continue;
            }
            let numbered = self.segments.iter().enumerate();
            let of_file = numbered.filter(|(_, segment)| inside(segment)).map(|(at, _)| at);
            let expected: Option<Sum> = of_file.map(|at| *segments.get(&at)?).sum();
            // Unreadable segments and files have been reported already.
            if let (Some(expected), Some(held)) = (expected, held)
                && expected != held
            {
                let name = file.name();
                report.add_problem(format!(
                    "{name}: its postings differ from the log: expected {expected}, found {held}"
                ));
            }
        }
        expected_backfills
    }
}
