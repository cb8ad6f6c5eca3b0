//! Makes one file of several that follow each other in the log.
//!
//! The keys of all inputs are gone through twice, in order. First the keys that have one posting
//! in one input are written, and the lists are counted; so it is known where the entries of the
//! lists end and their postings begin, and then the lists are written. The second time the inputs'
//! singles, which are most of their keys, are left out if none of them becomes part of a list.
//! In memory are the filter (1.3 bytes a key), the directories (4 bytes for 32 keys), the table of
//! the list at hand (8 bytes for 256 postings) and a window on each of the inputs' sections.

use std::sync::Arc;

use super::build::{Builder, Counts};
use super::layout::FileHead;
use super::reader::IndexFile;
use super::run::{Sink, Target};
use super::scan::Postings;
use super::streams::{Found, Group, Streams};
use crate::error::IndexError;

/// Progress is told whenever so many keys and postings were gone through.
const STEP: u64 = 1 << 16;

/// Writes one file in the place of several, which lie one behind the other in the log, in this
/// order; some may be empty. Each list begins with the ordinal that it has in the first of them. A
/// key with one posting in several becomes a list. The attachment is the last one's.
///
/// `progress` is told how many bytes were written and says whether to go on; if not, there is no
/// result, and what was written is litter. Otherwise the result is the file's length. The caller
/// syncs the file. Nothing goes through the shared cache, and every checksum on the way is checked.
pub fn merge(
    inputs: &[Arc<IndexFile>],
    target: Target<'_>,
    progress: &mut dyn FnMut(u64) -> bool,
) -> Result<Option<u64>, IndexError> {
    let shifts = shifts(inputs, &target)?;
    let attachment = inputs.last().map_or(Ok(Vec::new()), |last| last.attachment())?;
    let sum = |of: fn(&IndexFile) -> u64| inputs.iter().map(|input| of(input)).sum::<u64>();
    let keys = Counts {
        lists: sum(|input| input.header.lists.get()),
        singles: sum(|input| input.header.singles.get()),
    };
    let builder = Builder::at_most(target, target.head, keys)?;
    let mut merger = Merger { inputs, shifts, builder, progress, steps: 0 };
    let counted = merger.write_singles().and_then(|counted| merger.write_lists(counted));
    match counted {
        Ok(()) => merger.builder.finish(&attachment).map(|(length, _)| Some(length)),
        Err(Stop::Told) => Ok(None),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// How far each input's offsets are from the new file's.
fn shifts(inputs: &[Arc<IndexFile>], target: &Target<'_>) -> Result<Vec<u32>, IndexError> {
    let FileHead { first, .. } = target.head;
    let mut shifts = Vec::with_capacity(inputs.len());
    let mut next = first;
    for input in inputs {
        let shift = input.first().checked_sub(next).map(|_| input.first() - first);
        let shift = shift.and_then(|shift| u32::try_from(shift).ok());
        shifts.push(shift.ok_or_else(|| target.unfit("the files do not follow each other"))?);
        next = input.last().saturating_add(1).max(next);
    }
    if next > target.head.last.saturating_add(1) {
        return Err(target.unfit("the files go beyond what the new one is to cover"));
    }
    if target.head.positions() > 1 << 32 {
        return Err(target.unfit("the files cover more than 2^32 positions"));
    }
    Ok(shifts)
}

/// Why a merge ends before its end.
enum Stop {
    Told,
    Failed(IndexError),
}

impl From<IndexError> for Stop {
    fn from(error: IndexError) -> Self {
        Stop::Failed(error)
    }
}

/// What was found while the singles were written.
#[derive(Default)]
struct Counted {
    lists: u64,
    /// Whether a key that is single in an input becomes a list.
    joined: bool,
}

struct Merger<'a> {
    inputs: &'a [Arc<IndexFile>],
    shifts: Vec<u32>,
    builder: Builder<Target<'a>>,
    progress: &'a mut dyn FnMut(u64) -> bool,
    /// Keys and postings since progress was told.
    steps: u64,
}

impl Merger<'_> {
    fn write_singles(&mut self) -> Result<Counted, Stop> {
        let mut streams = Streams::new(self.inputs, true)?;
        let (mut group, mut counted) = (Group::default(), Counted::default());
        while streams.next(&mut group)? {
            self.step(group.members.len() as u64)?;
            match group.only_single() {
                Some((input, offset)) => {
                    self.builder.single(group.key, offset + self.shift(input))?;
                }
                None => {
                    counted.lists += u64::from(!group.is_empty());
                    counted.joined |= group.has_single();
                }
            }
        }
        Ok(counted)
    }

    fn write_lists(&mut self, counted: Counted) -> Result<(), Stop> {
        self.builder.begin_lists(counted.lists);
        let mut streams = Streams::new(self.inputs, counted.joined)?;
        let mut postings: Vec<_> = self.inputs.iter().map(Postings::new).collect();
        let mut group = Group::default();
        while streams.next(&mut group)? {
            self.step(group.members.len() as u64)?;
            if group.only_single().is_none() && !group.is_empty() {
                self.write_list(&group, &mut postings)?;
            }
        }
        Ok(())
    }

    fn write_list(&mut self, group: &Group, postings: &mut [Postings]) -> Result<(), Stop> {
        for (input, found) in &group.members {
            let shift = self.shift(*input);
            match (found, postings.get_mut(*input)) {
                (Found::List(listed), Some(postings)) => postings.each_chunk(listed, |chunk| {
                    self.builder.postings(chunk.iter().map(|offset| offset + shift))?;
                    self.step(chunk.len() as u64)
                })?,
                (Found::Single(offset), _) => self.builder.postings([offset + shift])?,
                (Found::List(_), None) => {}
            }
        }
        Ok(self.builder.end_list(group.key, group.ordinal())?)
    }

    /// An input's offsets and its shift lie in what the new file covers: their sum is an offset.
    fn shift(&self, input: usize) -> u32 {
        self.shifts.get(input).copied().unwrap_or_default()
    }

    fn step(&mut self, steps: u64) -> Result<(), Stop> {
        self.steps += steps;
        if self.steps < STEP {
            return Ok(());
        }
        self.steps = 0;
        if (self.progress)(self.builder.written()) { Ok(()) } else { Err(Stop::Told) }
    }
}
