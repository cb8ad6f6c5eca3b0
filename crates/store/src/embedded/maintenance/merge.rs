//! Index files are merged in tiers: whenever so many neighbours cover about equally many segments,
//! one file takes their place. So a log of n segments has about `FAN_IN` times the logarithm of n
//! files, and every posting is written again so often.
//!
//! A merge that is cut short leaves nothing but a file that no manifest names, and is begun again.

use std::sync::Arc;

use leftfold_index::{IndexFile, Part, Target};
use leftfold_log::LiveFile;

use super::files::{failed, live_file};
use crate::embedded::core::Core;
use crate::embedded::open::{INDEX, head_of, open_file, segments_of};
use leftfold_api::Failure;

/// So many files become one.
const FAN_IN: usize = 8;

/// The first files that are due to be merged: neighbours of one tier.
fn due(files: &[LiveFile]) -> Option<&[LiveFile]> {
    let tier = |file: &LiveFile| segments_of(file).ilog(FAN_IN as u64);
    let neighbours = |pair: &[LiveFile]| pair[0].id + segments_of(&pair[0]) == pair[1].id;
    files.windows(FAN_IN).find(|files| {
        files.iter().all(|file| tier(file) == tier(&files[0])) && files.windows(2).all(neighbours)
    })
}

impl Core {
    /// Merges what is due first, and says that there may be more.
    pub(super) fn merge_indexes(&self) -> Result<(), Failure> {
        let mut files = self.log.other_files();
        files.retain(|file| file.kind == INDEX);
        let Some(inputs) = due(&files) else { return Ok(()) };
        let Some(held) = self.in_use(inputs) else { return Ok(()) };
        let Some(live) = self.write_merged(inputs, &held)? else { return Ok(()) };
        let merged = open_file(self, &live)?;
        self.log
            .replace_files(|old| inputs.contains(old), &[live])
            .map_err(|error| failed("adopting an index file", &error))?;
        self.index.set.rcu(|index| index.with_merged(&held, merged.clone()));
        held.iter().for_each(|input| input.retire(self.log.disk().clone()));
        self.maintenance.unmerged();
        Ok(())
    }

    fn in_use(&self, files: &[LiveFile]) -> Option<Vec<Arc<IndexFile>>> {
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
        held: &[Arc<IndexFile>],
    ) -> Result<Option<LiveFile>, Failure> {
        let (Some(first), Some(last)) = (inputs.first(), inputs.last()) else { return Ok(None) };
        // No name is used again while a reader may still hold the file that had it.
        let generation = inputs.iter().map(|file| file.generation).max().unwrap_or(0) + 1;
        let segments: u64 = inputs.iter().map(segments_of).sum();
        let live = LiveFile {
            detail: u32::try_from(segments - 1).unwrap_or(u32::MAX),
            ..live_file(INDEX, first.id, generation, [first.first, last.last])
        };
        let (name, head) = (live.name(), head_of(self, &live));
        let mut pace = self.maintenance.pace();
        let mut before = 0;
        let mut progress = |written: u64| {
            let step = written.saturating_sub(before);
            before = written;
            pace.go_on(step)
        };
        self.put_file(live, |file| {
            let target = Target { name: &name, file, head };
            Ok::<_, Failure>(leftfold_index::merge(held, target, &mut progress)?)
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
    fn so_many_neighbours_of_a_tier_are_due() {
        let eight: Vec<_> = (1..=8).map(|id| file(id, 1)).collect();
        assert_eq!(due(&eight).map(|files| files[0].id), Some(1));
        assert_eq!(due(&eight[1..]), None);
        let with_gap: Vec<_> = (1..=9).filter(|id| *id != 4).map(|id| file(id, 1)).collect();
        assert_eq!(due(&with_gap), None, "one of them is being made again");
        let mut tiers = vec![file(1, 8)];
        tiers.extend((9..17).map(|id| file(id, 1)));
        assert_eq!(due(&tiers).map(|files| files[0].id), Some(9));
        let next: Vec<_> = (0..8).map(|n| file(1 + 8 * n, 8)).collect();
        assert_eq!(due(&next).map(|files| files[0].id), Some(1));
    }

    #[test]
    fn a_log_of_any_length_has_few_files() {
        let mut files: Vec<LiveFile> = Vec::new();
        for id in 1..=5_000 {
            files.push(file(id, 1));
            while let Some(inputs) = due(&files) {
                let (first, count) = (inputs[0].id, inputs.iter().map(segments_of).sum::<u64>());
                let gone: Vec<_> = inputs.iter().map(|file| file.id).collect();
                files.retain(|file| !gone.contains(&file.id));
                files.push(file(first, count as u32));
                files.sort_by_key(|file| file.id);
            }
            assert!(files.len() <= 7 * 5, "{} files for {id} segments", files.len());
        }
    }
}
