//! The administration of all partitions, one after another.

use std::path::Path;

use leftfold_api::{
    Administration, AdministrationError, BackupReport, Engine, Failure, Progress, ReadError,
    ScavengeReport, Stat, VerifySummary,
};

use super::{Part, PartitionedStore};

impl<S: Part> PartitionedStore<S> {
    /// Returns the administration of each partition.
    fn administrations(&self) -> impl ExactSizeIterator<Item = &dyn Administration> {
        self.partitions().map(Engine::administration)
    }
}

impl<S: Part> Administration for PartitionedStore<S> {
    /// The sums over all partitions; the id and the age are those of partition 0.
    fn stat(&self) -> Result<Stat, ReadError> {
        let mut sum = self.shared.first().administration().stat()?;
        for partition in self.administrations().skip(1) {
            let stat = partition.stat()?;
            sum.events += stat.events;
            sum.streams += stat.streams;
            sum.bookkeeping_events += stat.bookkeeping_events;
            sum.last_position += stat.last_position;
            sum.checkpoints += stat.checkpoints;
            sum.checkpoints_allowed += stat.checkpoints_allowed;
            sum.segments += stat.segments;
            sum.sealed += stat.sealed;
            sum.compressed += stat.compressed;
            sum.log_bytes += stat.log_bytes;
            sum.index_bytes += stat.index_bytes;
            sum.index_files += stat.index_files;
            sum.clock_behind_micros = sum.clock_behind_micros.max(stat.clock_behind_micros);
            sum.maintenance_failure = sum.maintenance_failure.or(stat.maintenance_failure);
        }
        Ok(sum)
    }

    fn seal(&self) -> Result<(), Failure> {
        self.administrations().try_for_each(|partition| partition.seal())
    }

    fn scavenge(&self, progress: Progress<'_>) -> Result<ScavengeReport, ReadError> {
        let (mut sum, all) = (ScavengeReport::default(), self.shared.count() as u64);
        for (done, partition) in (1..).zip(self.administrations()) {
            sum = add_scavenged(sum, partition.scavenge(&mut |_, _| {})?);
            progress(done, all);
        }
        Ok(sum)
    }

    fn reclaimable(&self) -> Result<ScavengeReport, ReadError> {
        let mut all = self.administrations().map(|partition| partition.reclaimable());
        all.try_fold(ScavengeReport::default(), |sum, part| Ok(add_scavenged(sum, part?)))
    }

    fn verify(&self, go_on: &mut dyn FnMut() -> bool) -> Result<VerifySummary, ReadError> {
        let mut sum = VerifySummary::default();
        for partition in self.administrations() {
            let part = partition.verify(go_on)?;
            sum.frames += part.frames;
            sum.events += part.events;
            sum.index_files += part.index_files;
            sum.lost += part.lost;
            sum.problem_count += part.problem_count;
            sum.problems.extend(part.problems);
            sum.refilled.extend(part.refilled);
        }
        Ok(sum)
    }

    /// Backs each partition up into a directory that has its number as its name. Each has a backup of its own moment.
    fn backup(
        &self,
        to: &Path,
        progress: Progress<'_>,
    ) -> Result<BackupReport, AdministrationError> {
        let (mut reports, all) = (Vec::new(), self.shared.count() as u64);
        for (number, partition) in self.administrations().enumerate() {
            reports.push(partition.backup(&to.join(number.to_string()), &mut |_, _| {})?);
            progress(number as u64 + 1, all);
        }
        let heads = reports.iter().map(|report| report.head.position().unwrap_or_default());
        let sum = |count: fn(&BackupReport) -> u64| reports.iter().map(count).sum();
        Ok(BackupReport {
            number: reports.iter().map(|report| report.number).max().unwrap_or_default(),
            head: self.shared.cursor(&heads.collect::<Vec<_>>()),
            files_copied: sum(|report| report.files_copied),
            bytes_copied: sum(|report| report.bytes_copied),
            files_kept: sum(|report| report.files_kept),
            bytes_kept: sum(|report| report.bytes_kept),
            files_left_out: sum(|report| report.files_left_out),
        })
    }
}

fn add_scavenged(one: ScavengeReport, other: ScavengeReport) -> ScavengeReport {
    ScavengeReport {
        segments: one.segments + other.segments,
        events: one.events + other.events,
        payload_bytes: one.payload_bytes + other.payload_bytes,
        file_bytes: one.file_bytes + other.file_bytes,
    }
}
