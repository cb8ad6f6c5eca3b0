//! The store, as a server asks it.

use std::path::Path;

use leftfold_api::{
    Administration, AdministrationError, Append, AppendError, Appended, BackupReport, BoxFuture,
    Engine, Failure, Histogram, Invalid, Meters, Progress, Query, ReadError, ScavengeReport, Stat,
    VerifySummary,
};

use crate::store::Partitioned;

impl Engine for Partitioned {
    fn append_here(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(self.append_by_caller(append))
    }

    fn append_system(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(self.append_of_system(append))
    }

    fn expand(&self, query: &Query) -> Result<Query, Invalid> {
        Engine::expand(self.shared.first(), query)
    }

    /// The sums over all partitions.
    fn meters(&self) -> Meters {
        let mut all = self.partitions().iter().map(|store| store.meters());
        let first = all.next().unwrap_or_else(|| self.shared.first().meters());
        all.fold(first, |sum, meters| Meters {
            batches: add(sum.batches, &meters.batches),
            syncs: add(sum.syncs, &meters.syncs),
            log_cache: add_pair(sum.log_cache, meters.log_cache),
            index_cache: add_pair(sum.index_cache, meters.index_cache),
            position: sum.position + meters.position,
            clock_behind_micros: sum.clock_behind_micros.max(meters.clock_behind_micros),
            maintenance_failure: sum.maintenance_failure.or(meters.maintenance_failure),
            checkpoints: sum.checkpoints + meters.checkpoints,
            checkpoints_allowed: sum.checkpoints_allowed + meters.checkpoints_allowed,
        })
    }

    fn failure(&self) -> Option<Failure> {
        self.partitions().iter().find_map(|store| store.failure())
    }

    fn administration(&self) -> &dyn Administration {
        self
    }
}

impl Administration for Partitioned {
    /// The sums over all partitions; the id and the age are those of partition 0.
    fn stat(&self) -> Result<Stat, ReadError> {
        let mut sum = self.shared.first().stat()?;
        for store in self.partitions().iter().skip(1) {
            let stat = store.stat()?;
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
        self.partitions().iter().try_for_each(|store| store.seal())
    }

    fn scavenge(&self, progress: Progress<'_>) -> Result<ScavengeReport, ReadError> {
        let (mut sum, all) = (ScavengeReport::default(), self.partitions().len() as u64);
        for (done, store) in (1..).zip(self.partitions()) {
            sum = add_scavenged(sum, store.scavenge(|_, _| {})?);
            progress(done, all);
        }
        Ok(sum)
    }

    fn reclaimable(&self) -> Result<ScavengeReport, ReadError> {
        let mut all = self.partitions().iter().map(|store| store.reclaimable());
        all.try_fold(ScavengeReport::default(), |sum, part| Ok(add_scavenged(sum, part?)))
    }

    /// The store is in memory: it has no backups.
    fn verify(&self, go_on: &mut dyn FnMut() -> bool) -> Result<VerifySummary, ReadError> {
        let mut sum = VerifySummary::default();
        for store in self.partitions() {
            let part = Administration::verify(store, go_on)?;
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

    fn backup(
        &self,
        _to: &Path,
        _progress: Progress<'_>,
    ) -> Result<BackupReport, AdministrationError> {
        let message = "a store of many partitions in memory has no backups";
        Err(Box::new(ReadError::from(Invalid::new("backups_off", message))))
    }
}

fn add(mut sum: Histogram, other: &Histogram) -> Histogram {
    sum.sum += other.sum;
    sum.counts.resize(sum.counts.len().max(other.counts.len()), 0);
    sum.counts.iter_mut().zip(&other.counts).for_each(|(sum, count)| *sum += count);
    sum
}

fn add_pair(one: (u64, u64), other: (u64, u64)) -> (u64, u64) {
    (one.0 + other.0, one.1 + other.1)
}

fn add_scavenged(one: ScavengeReport, other: ScavengeReport) -> ScavengeReport {
    ScavengeReport {
        segments: one.segments + other.segments,
        events: one.events + other.events,
        payload_bytes: one.payload_bytes + other.payload_bytes,
        file_bytes: one.file_bytes + other.file_bytes,
    }
}
