//! Merges index files in tiers: [`FAN_IN`] neighbours that cover about equally many segments become one
//! file. A log of n segments has at most `FAN_IN - 1` files for each of its tiers, and every posting is
//! rewritten once for each tier; there are as many as the logarithm of n to the base `FAN_IN`.
//!
//! An interrupted merge leaves only a file that no manifest lists, and is begun again.

use std::sync::Arc;

use leftfold_index::{IndexFile, Part, Target};
use leftfold_log::LiveFile;

use super::files::{failed, live_file};
use crate::embedded::core::Core;
use crate::embedded::open::{INDEX, file_head, open_file, segments_of};
use leftfold_api::Failure;

/// The number of files that are merged into one. Beside eight, three leaves a third fewer bytes (`cargo xtask bench
/// history`), because fewer files repeat the key of a stream; appends are as fast (`cargo xtask bench streams 10`).
const FAN_IN: usize = 3;

/// Returns the first files to be merged: neighbours of one tier.
fn next_merge(files: &[LiveFile]) -> Option<&[LiveFile]> {
    let tier = |file: &LiveFile| segments_of(file).ilog(FAN_IN as u64);
    let neighbours = |pair: &[LiveFile]| pair[0].id + segments_of(&pair[0]) == pair[1].id;
    files.windows(FAN_IN).find(|files| {
        files.iter().all(|file| tier(file) == tier(&files[0])) && files.windows(2).all(neighbours)
    })
}

impl Core {
    /// Does the next merge, and queues another one.
    pub(super) fn merge_index_files(&self) -> Result<(), Failure> {
        let mut files = self.log.other_files();
        files.retain(|file| file.kind == INDEX);
        let Some(inputs) = next_merge(&files) else { return Ok(()) };
        let Some(opened) = self.opened_files(inputs) else { return Ok(()) };
        let Some(live) = self.write_merged(inputs, &opened)? else { return Ok(()) };
        let merged = open_file(self, &live)?;
        self.log
            .replace_files(|old| inputs.contains(old), &[live])
            .map_err(|error| failed("adopting an index file", &error))?;
        self.index.set.rcu(|index| index.with_merged(&opened, merged.clone()));
        opened.iter().for_each(|input| input.retire(self.log.disk().clone()));
        self.maintenance.queue_merge();
        Ok(())
    }

    /// Returns the opened index files, if all of them are in use.
    fn opened_files(&self, files: &[LiveFile]) -> Option<Vec<Arc<IndexFile>>> {
        let index = self.index.set.load_full();
        let open = |live: &LiveFile| {
            let name = live.name();
            index.parts().iter().find_map(|part| match part {
                Part::File(file) if file.name() == name => Some(file.clone()),
                _ => None,
            })
        };
        files.iter().map(open).collect()
    }

    fn write_merged(
        &self,
        inputs: &[LiveFile],
        opened: &[Arc<IndexFile>],
    ) -> Result<Option<LiveFile>, Failure> {
        let (Some(first), Some(last)) = (inputs.first(), inputs.last()) else { return Ok(None) };
        // A name is never reused while a reader may hold the file that had it.
        let generation = inputs.iter().map(|file| file.generation).max().unwrap_or(0) + 1;
        let segments: u64 = inputs.iter().map(segments_of).sum();
        let live = LiveFile {
            detail: u32::try_from(segments - 1).unwrap_or(u32::MAX),
            ..live_file(INDEX, first.id, generation, [first.first, last.last])
        };
        let (name, head) = (live.name(), file_head(self, &live));
        let mut throttle = self.maintenance.throttle();
        let mut before = 0;
        let mut progress = |written: u64| {
            let step = written.saturating_sub(before);
            before = written;
            throttle.wait(step)
        };
        self.write_file(live, |file| {
            let target = Target { name: &name, file, head };
            Ok::<_, Failure>(leftfold_index::merge(opened, target, &mut progress)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(id: u64, segments: u32) -> LiveFile {
        LiveFile { detail: segments - 1, ..live_file(INDEX, id, 0, [id, id]) }
    }

    #[test]
    fn neighbours_of_a_tier_are_merged() {
        let three: Vec<_> = (1..=3).map(|id| file(id, 1)).collect();
        assert_eq!(next_merge(&three).map(|files| files[0].id), Some(1));
        assert_eq!(next_merge(&three[1..]), None);
        let with_gap: Vec<_> = (1..=4).filter(|id| *id != 2).map(|id| file(id, 1)).collect();
        assert_eq!(next_merge(&with_gap), None, "one of them is being made again");
        let mut tiers = vec![file(1, 3)];
        tiers.extend((4..7).map(|id| file(id, 1)));
        assert_eq!(next_merge(&tiers).map(|files| files[0].id), Some(4));
        let next: Vec<_> = (0..3).map(|n| file(1 + 3 * n, 3)).collect();
        assert_eq!(next_merge(&next).map(|files| files[0].id), Some(1));
    }

    #[test]
    fn a_log_of_any_length_has_few_files() {
        let mut files: Vec<LiveFile> = Vec::new();
        for id in 1..=5_000 {
            files.push(file(id, 1));
            while let Some(inputs) = next_merge(&files) {
                let (first, count) = (inputs[0].id, inputs.iter().map(segments_of).sum::<u64>());
                let merged: Vec<_> = inputs.iter().map(|file| file.id).collect();
                files.retain(|file| !merged.contains(&file.id));
                files.push(file(first, count as u32));
                files.sort_by_key(|file| file.id);
            }
            assert!(files.len() <= 2 * 8, "{} files for {id} segments", files.len());
        }
    }
}
