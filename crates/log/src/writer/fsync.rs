use std::time::{Duration, Instant};

use super::commit::{Batch, Commit, Confirmation, Progress};
use super::tail::Tail;
use crate::error::WriteError;
use crate::options::Durability;

/// The commit of a log on one disk: `fdatasync` of the tail, at once or (relaxed) within a time.
#[derive(Debug)]
pub struct FsyncCommit {
    durability: Durability,
    /// The last batch that is written and not synced, and since when there is one.
    unsynced: Option<(Confirmation, Instant)>,
}

impl FsyncCommit {
    /// Returns a commit that syncs as the durability demands.
    pub fn new(durability: Durability) -> Self {
        FsyncCommit { durability, unsynced: None }
    }

    fn sync(&mut self, tail: &mut Tail) -> Result<Progress, WriteError> {
        let Some((last, _)) = self.unsynced else { return Ok(Progress::Pending) };
        tail.sync()?;
        self.unsynced = None;
        Ok(Progress::Confirmed(last))
    }
}

impl Commit for FsyncCommit {
    /// The sync ends within the turn.
    fn max_in_flight(&self) -> usize {
        1
    }

    fn submit(&mut self, batch: &Batch<'_>, tail: &mut Tail) -> Result<Progress, WriteError> {
        let Durability::Relaxed(within) = self.durability else {
            tail.sync()?;
            return Ok(Progress::Confirmed(batch.confirmation()));
        };
        let since = self.unsynced.map_or_else(Instant::now, |(_, since)| since);
        self.unsynced = Some((batch.confirmation(), since));
        if since.elapsed() >= within { self.sync(tail) } else { Ok(Progress::Acknowledged) }
    }

    fn poll(&mut self, tail: &mut Tail) -> Result<Progress, WriteError> {
        match (self.durability, self.unsynced) {
            (Durability::Relaxed(within), Some((_, since))) if since.elapsed() >= within => {
                self.sync(tail)
            }
            _ => Ok(Progress::Pending),
        }
    }

    fn flush(&mut self, tail: &mut Tail) -> Result<Progress, WriteError> {
        self.sync(tail)
    }

    fn flush_within(&self) -> Option<Duration> {
        match (self.durability, self.unsynced) {
            (Durability::Relaxed(within), Some(_)) => Some(within),
            _ => None,
        }
    }
}
