//! Merges files of adjacent parts into one.
//!
//! The merge writes the event ids of all inputs, in the order of their fingerprints; it drops none of
//! several equal ones, which may be different ids. Then it visits the lists twice. The first pass
//! counts them, which fixes the end of the list entries and the start of the postings. The second
//! pass writes the lists.
//! In memory are the filter (1.3 bytes per list), the tags (1.5 bytes per id), the directories
//! (4 bytes per 32 keys), the table of the current list (8 bytes per 256 postings) and a window of
//! each section of the inputs.

use std::sync::Arc;

use super::build::{Builder, Counts};
use super::ids::MergedIds;
use super::layout::{FileHead, LISTS_OF_IDS};
use super::reader::IndexFile;
use super::run::{Sink, Target};
use super::scan::Postings;
use super::streams::{Group, Streams};
use crate::error::IndexError;

/// Keys and postings between two calls of `progress`.
const STEP: u64 = 1 << 16;

/// Merges the files of adjacent parts, given in the order of the log, into one file.
///
/// Inputs may be empty. Each list begins with its ordinal in the first input that has it. The
/// attachment is that of the last input.
///
/// `progress` receives the number of bytes written and returns whether to continue. If it returns
/// false, the result is `None`, and the caller removes the unfinished file. Otherwise the result is
/// the file's length. The caller syncs the file. The merge checks every checksum and does not use
/// the shared cache.
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
        ids: sum(|input| input.header.ids.get()),
    };
    let lists_ids = inputs.iter().any(|input| input.header.lists_ids());
    let flags = if lists_ids { LISTS_OF_IDS } else { 0 };
    let builder = Builder::at_most(target, target.head, keys, flags)?;
    let mut merger = Merger { inputs, shifts, builder, progress, steps: 0 };
    match merger.write_ids().and_then(|()| merger.write_lists()) {
        Ok(()) => merger.builder.finish(&attachment).map(|(length, _)| Some(length)),
        Err(Stop::Cancelled) => Ok(None),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// Returns the distance of each input's offsets from those of the new file.
fn shifts(inputs: &[Arc<IndexFile>], target: &Target<'_>) -> Result<Vec<u32>, IndexError> {
    let FileHead { first, .. } = target.head;
    let mut shifts = Vec::with_capacity(inputs.len());
    let mut next = first;
    for input in inputs {
        let shift = input.first().checked_sub(next).map(|_| input.first() - first);
        let shift = shift.and_then(|shift| u32::try_from(shift).ok());
        shifts.push(shift.ok_or_else(|| target.unwritable("the files are not in log order"))?);
        next = input.last().saturating_add(1).max(next);
    }
    if next > target.head.last.saturating_add(1) {
        return Err(target.unwritable("the files end behind the last position of the new file"));
    }
    if target.head.positions() > 1 << 32 {
        return Err(target.unwritable("the files cover more than 2^32 positions"));
    }
    Ok(shifts)
}

/// The reason for an early end of a merge.
enum Stop {
    Cancelled,
    Failed(IndexError),
}

impl From<IndexError> for Stop {
    fn from(error: IndexError) -> Self {
        Stop::Failed(error)
    }
}

struct Merger<'a> {
    inputs: &'a [Arc<IndexFile>],
    shifts: Vec<u32>,
    builder: Builder<Target<'a>>,
    progress: &'a mut dyn FnMut(u64) -> bool,
    /// Keys and postings since the last call of `progress`.
    steps: u64,
}

impl Merger<'_> {
    fn write_ids(&mut self) -> Result<(), Stop> {
        let mut ids = MergedIds::new(self.inputs)?;
        while let Some((id, input, offset)) = ids.next()? {
            self.step(1)?;
            self.builder.id(id, offset + self.shift(input))?;
        }
        Ok(())
    }

    fn count_lists(&mut self) -> Result<u64, Stop> {
        let mut streams = Streams::new(self.inputs)?;
        let (mut group, mut lists) = (Group::default(), 0);
        while streams.next(&mut group)? {
            self.step(group.members.len() as u64)?;
            lists += u64::from(!group.is_empty());
        }
        Ok(lists)
    }

    fn write_lists(&mut self) -> Result<(), Stop> {
        let lists = self.count_lists()?;
        self.builder.begin_lists(lists)?;
        let mut streams = Streams::new(self.inputs)?;
        let mut postings: Vec<_> = self.inputs.iter().map(Postings::new).collect();
        let mut group = Group::default();
        while streams.next(&mut group)? {
            self.step(group.members.len() as u64)?;
            if !group.is_empty() {
                self.write_list(&group, &mut postings)?;
            }
        }
        Ok(())
    }

    fn write_list(&mut self, group: &Group, postings: &mut [Postings]) -> Result<(), Stop> {
        for (input, list) in &group.members {
            let shift = self.shift(*input);
            let Some(postings) = postings.get_mut(*input) else { continue };
            postings.each_chunk(list, |chunk| {
                self.builder.postings(chunk.iter().map(|offset| offset + shift))?;
                self.step(chunk.len() as u64)
            })?;
        }
        Ok(self.builder.end_list(group.key, group.ordinal())?)
    }

    /// Returns the shift of an input. An offset of the input plus its shift is an offset of the new
    /// file.
    fn shift(&self, input: usize) -> u32 {
        self.shifts.get(input).copied().unwrap_or_default()
    }

    fn step(&mut self, steps: u64) -> Result<(), Stop> {
        self.steps += steps;
        if self.steps < STEP {
            return Ok(());
        }
        self.steps = 0;
        if (self.progress)(self.builder.written()) { Ok(()) } else { Err(Stop::Cancelled) }
    }
}
