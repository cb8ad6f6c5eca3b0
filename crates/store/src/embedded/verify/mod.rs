//! Reads everything and holds it against everything.
//!
//! Segments and index files are tasks that threads take one after the other. A segment's task
//! checks every frame and every event, looks each up by version and id, and adds up a keyed digest
//! of each posting that its events should have; an index file's task adds up those that it has.
//! The sums do not depend on the order, so an index file over any number of segments is right if
//! its sum is theirs, and nothing has to be held in memory.

mod segment;
mod sum;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use leftfold_index::{IndexFile, Key, Part};
use leftfold_log::SegmentInfo;

use super::core::Core;
use super::indexes::Change;
use super::open::{PAST, open_file};
use sum::Sum;

/// At most so many findings are listed; all are counted.
const LISTED: usize = 100;

/// At most so many threads.
const THREADS: usize = 16;

/// What reading everything came to.
#[derive(Debug, Clone, Default)]
pub struct Verified {
    /// Frames whose checksums were checked.
    pub frames: u64,
    /// Events that were read and looked up.
    pub events: u64,
    /// Index files whose every block was checked.
    pub index_files: u64,
    /// Events that were lost by damage before a repair.
    pub lost: u64,
    /// How much was found to be wrong.
    pub wrong: u64,
    /// The first of it.
    pub findings: Vec<Finding>,
}

/// Something that is not as it should be.
#[derive(Debug, Clone)]
pub struct Finding {
    /// A sentence on what and where.
    pub message: String,
}

impl Verified {
    fn found(&mut self, message: String) {
        self.wrong += 1;
        if self.findings.len() < LISTED {
            self.findings.push(Finding { message });
        }
    }

    fn add(&mut self, other: Verified) {
        self.frames += other.frames;
        self.events += other.events;
        self.index_files += other.index_files;
        self.lost += other.lost;
        self.wrong += other.wrong;
        let room = LISTED.saturating_sub(self.findings.len());
        self.findings.extend(other.findings.into_iter().take(room));
    }
}

/// Everything that is to be checked, as it is at one moment. Holding the files keeps them.
struct Work<'a> {
    core: &'a Arc<Core>,
    segments: Vec<SegmentInfo>,
    files: Vec<Arc<IndexFile>>,
    /// Definitions and removals of named indexes; none if they could not be read. Then nobody can
    /// say what index files should hold.
    changes: Option<Vec<(u64, Change)>>,
}

/// What a task came to.
enum Done {
    Segment(usize, Sum, Verified),
    /// With what is wrong with ordinals, if anything is.
    File(usize, Sum, Verified, Option<String>),
}

pub(crate) fn verify(core: &Arc<Core>, mut progress: impl FnMut(u64, u64)) -> Verified {
    let mut verified = Verified::default();
    let work = Work::new(core, &mut verified);
    let total = work.segments.len() + work.files.len();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    let (mut done, next) = (Vec::new(), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let (tell, hear) = mpsc::channel();
        for _ in 0..threads.min(total) {
            let (work, next, tell) = (&work, &next, tell.clone());
            scope.spawn(move || {
                loop {
                    let task = next.fetch_add(1, Ordering::Relaxed);
                    // Nobody hears any more only if the other side has panicked.
                    if task >= total || tell.send(work.task(task)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(tell);
        progress(0, total as u64);
        for one in hear {
            done.push(one);
            progress(done.len() as u64, total as u64);
        }
    });
    work.compare(done, &mut verified);
    work.check_pasts(&mut verified);
    verified
}

impl<'a> Work<'a> {
    fn new(core: &'a Arc<Core>, verified: &mut Verified) -> Self {
        let changes = core.index_changes(core.log.head().position);
        let changes = changes.map_err(|error| verified.found(error.to_string())).ok();
        let index = core.index.set.load_full();
        let files = index.parts().iter().filter_map(|part| match part {
            Part::File(file) => Some(file.clone()),
            // What is in memory was made from the log.
            Part::Active(_) => None,
        });
        let files = files.collect();
        Work { core, segments: core.log.segments(), files, changes }
    }

    fn task(&self, task: usize) -> Done {
        let mut verified = Verified::default();
        match self.segments.get(task) {
            Some(segment) => {
                let sum = self.segment(segment, &mut verified);
                Done::Segment(task, sum, verified)
            }
            None => {
                let at = task - self.segments.len();
                let (sum, ordinals) = self.file(&self.files[at], &mut verified);
                Done::File(at, sum, verified, ordinals)
            }
        }
    }

    /// Adds up what a file holds, and checks that it goes on where those before it end.
    fn file(&self, file: &Arc<IndexFile>, verified: &mut Verified) -> (Sum, Option<String>) {
        verified.index_files += 1;
        let (mut sum, mut wrong, mut key_before) = (Sum::default(), None, None);
        let index = self.core.index.set.load_full();
        let checked = file.verify_in_chunks(|key, ordinal, positions| {
            positions.iter().for_each(|position| sum.add(&key, *position));
            // A long list comes in several pieces: where it begins counts.
            let begins = key_before.replace(key) != Some(key);
            // Two postings make a list; a list knows how many come before it.
            if begins && positions.len() > 1 && wrong.is_none() && !self.has_past(&key) {
                match index.count(&key, file.first() - 1) {
                    Ok(before) if before == ordinal || sum::is_single(ordinal) => {}
                    Ok(before) => wrong = Some(format!("{before} postings, not {ordinal}")),
                    Err(error) => wrong = Some(error.to_string()),
                }
            }
        });
        if let Err(error) = checked {
            verified.found(error.to_string());
        }
        (sum, wrong.map(|wrong| format!("{}: a list comes after {wrong}", file.name())))
    }

    fn has_past(&self, key: &Key) -> bool {
        self.core
            .definitions
            .indexes
            .durable()
            .iter()
            .any(|named| named.keys().any(|of| of == *key))
    }

    /// Each file must hold what its segments' events should have.
    fn compare(&self, done: Vec<Done>, verified: &mut Verified) {
        let (mut segments, mut files) = (BTreeMap::new(), BTreeMap::new());
        let mut first_lost = u64::MAX;
        let mut wrong_ordinals = Vec::new();
        for one in done {
            let (to, at, sum, part) = match one {
                Done::Segment(at, sum, part) => (&mut segments, at, sum, part),
                Done::File(at, sum, part, wrong) => {
                    wrong_ordinals.extend(wrong);
                    (&mut files, at, sum, part)
                }
            };
            if part.lost > 0 {
                first_lost = first_lost.min(self.segments[at].first);
            }
            let sound = part.wrong == 0 && self.changes.is_some();
            to.insert(at, sound.then_some(sum));
            verified.add(part);
        }
        // What was lost was counted before it was lost, and may be known to nobody now.
        if verified.lost == 0 {
            wrong_ordinals.into_iter().for_each(|wrong| verified.found(wrong));
        }
        for (at, held) in files {
            let file = &self.files[at];
            let range = file.first()..=file.last();
            let inside = |segment: &SegmentInfo| {
                range.contains(&segment.first) && range.contains(&segment.last)
            };
            // It may know what was lost since it was made, or be of an index whose definition was.
            if file.last() >= first_lost {
                continue;
            }
            let numbered = self.segments.iter().enumerate();
            let of_file = numbered.filter(|(_, segment)| inside(segment)).map(|(at, _)| at);
            let expected: Option<Sum> = of_file.map(|at| *segments.get(&at)?).sum();
            // Where something could not be read, that has been said.
            if let (Some(expected), Some(held)) = (expected, held)
                && expected != held
            {
                let name = file.name();
                verified.found(format!(
                    "{name}: its postings are not those of the log: {held}, not {expected}"
                ));
            }
        }
    }

    /// Checks the files of named indexes' pasts that are in use.
    fn check_pasts(&self, verified: &mut Verified) {
        let core = self.core;
        let ready: Vec<_> =
            core.definitions.indexes.durable().iter().filter(|n| n.is_ready()).cloned().collect();
        let of_ready = |id| ready.iter().any(|named| named.defined_at == id);
        for live in core.log.other_files().iter().filter(|f| f.kind == PAST && of_ready(f.id)) {
            verified.index_files += 1;
            let checked = open_file(core, live).and_then(|file| file.verify(|_, _, _| ()));
            if let Err(error) = checked {
                verified.found(error.to_string());
            }
        }
    }
}
