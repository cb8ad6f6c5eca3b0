use std::sync::Arc;

use leftfold_index::{Active, Expr, Part, Toward};
use leftfold_log::SegmentInfo;

use super::core::Core;
use super::open::{INDEX, PAST, open_file};
use super::rebuild::Rebuilt;
use crate::error::ReadError;
use crate::query::Field;
use crate::recorded::Recorded;

/// At most so many findings are listed; all are counted.
const LISTED: usize = 100;

/// What reading everything came to.
#[derive(Debug, Clone, Default)]
pub struct Verified {
    /// Frames whose checksums were checked.
    pub frames: u64,
    /// Events that were read and looked up.
    pub events: u64,
    /// Index files whose every block was checked.
    pub index_files: u64,
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
}

/// Reads every frame, looks up every event under every key that it should have, and compares what
/// each index file holds to what the log says it should hold.
pub(crate) fn verify(
    core: &Arc<Core>,
    mut progress: impl FnMut(u64, u64),
) -> Result<Verified, ReadError> {
    let mut verified = Verified::default();
    let segments = core.log.segments();
    let total = segments.len() as u64;
    let mut expected =
        Rebuilt { keys: core.keys, checkpoints: Default::default(), named: Default::default() };
    for (done, segment) in (0..).zip(&segments) {
        progress(done, total);
        verify_segment(core, segment, &mut expected, &mut verified);
    }
    let ready: Vec<_> = core.named.read().values().filter(|n| n.is_ready()).cloned().collect();
    let of_ready = |id| ready.iter().any(|named| named.defined_at == id);
    for live in core.log.other_files().iter().filter(|f| f.kind == PAST && of_ready(f.id)) {
        verified.index_files += 1;
        let checked = open_file(core, live).and_then(|file| file.verify(|_, _, _| ()));
        if let Err(error) = checked {
            verified.found(error.to_string());
        }
    }
    progress(total, total);
    Ok(verified)
}

fn verify_segment(
    core: &Arc<Core>,
    segment: &SegmentInfo,
    expected: &mut Rebuilt,
    verified: &mut Verified,
) {
    let postings = Arc::new(Active::new(segment.first));
    let mut next = segment.first;
    let read = core.log.each_frame(segment.id, |frame| {
        verified.frames += 1;
        for record in &frame.records {
            if record.position != next {
                verified.found(format!("position {next} is missing before {}", record.position));
            }
            next = record.position + 1;
            verified.events += 1;
            match Recorded::new(record.clone()) {
                Ok(event) => verify_event(core, &event, verified),
                Err(error) => verified.found(error.to_string()),
            }
        }
        if let Err(error) = expected.frame(frame, &postings) {
            verified.found(error.to_string());
        }
    });
    if let Err(error) = read {
        return verified.found(error.to_string());
    }
    verify_file(core, segment, &postings, verified);
}

/// The event must be found under its version and its id.
fn verify_event(core: &Core, event: &Recorded, verified: &mut Verified) {
    let index = core.index.load();
    let (position, head) = (event.position(), core.log.head().position);
    let stream = core.keys.of(Field::Stream, event.stream());
    let by_version = index.nth(&stream, event.version(), head);
    let mut check = |found: Result<Option<u64>, _>, by: &str| match found {
        Ok(Some(found)) if found == position || by == "id" && found < position => {}
        Ok(found) => verified.found(format!(
            "the event at position {position} is not found by its {by}: the index says {found:?}"
        )),
        Err(error) => {
            let error: leftfold_index::IndexError = error;
            verified.found(error.to_string());
        }
    };
    check(by_version, "version");
    check(index.first(&core.keys.event(&stream, event.id()), head), "id");
}

/// The file must hold the same postings as are made from the log now.
fn verify_file(
    core: &Core,
    segment: &SegmentInfo,
    postings: &Arc<Active>,
    verified: &mut Verified,
) {
    let files = core.log.other_files();
    let live = files.iter().find(|file| file.kind == INDEX && file.id == segment.id);
    // A file that is being made (again) is not in use yet: the postings in memory are.
    let in_use = |live: &&leftfold_log::LiveFile| {
        core.index.load().parts().iter().any(|part| match part {
            Part::File(file) => (file.first(), file.last()) == (live.first, live.last),
            Part::Active(_) => false,
        })
    };
    let Some(live) = live.filter(in_use) else { return };
    verified.index_files += 1;
    let (mut held, mut wrong) = (0, Vec::new());
    let made = leftfold_index::IndexSet::default().with_part(Part::Active(postings.clone()));
    let checked = open_file(core, live).and_then(|file| {
        file.verify(|key, _ordinal, positions| {
            held += positions.len() as u64;
            let range = [segment.first, segment.last];
            let mut matches = match made.matches(&Expr::Key(key), range, Toward::Later) {
                Ok(matches) => matches,
                Err(error) => return wrong.push(error.to_string()),
            };
            let same = positions.iter().all(|p| matches!(matches.next(), Ok(Some(m)) if m == *p));
            if !same || !matches!(matches.next(), Ok(None)) {
                wrong.push(format!(
                    "{}: the postings of {key:?} are not those of the log",
                    live.name()
                ));
            }
        })
    });
    wrong.into_iter().for_each(|message| verified.found(message));
    match checked {
        Err(error) => verified.found(error.to_string()),
        Ok(()) if held != postings.len() => verified.found(format!(
            "{} holds {held} postings, the log says {}",
            live.name(),
            postings.len()
        )),
        Ok(()) => {}
    }
}
