use leftfold_api::{
    BackupReport, Failure, Invalid, ScavengeReport, Stat, Timestamp, VerifySummary,
};

use crate::point::{bytes, cursor};
use crate::v1;

impl v1::StatResponse {
    /// Makes the answer: size and state, and what scavenging would remove if the request asks for it.
    pub fn new(stat: &Stat, reclaimable: Option<ScavengeReport>) -> Self {
        v1::StatResponse {
            store_id: bytes::Bytes::copy_from_slice(&stat.store_id.to_be_bytes()),
            created: stat.created.0,
            events: stat.events,
            streams: stat.streams,
            checkpoints: stat.checkpoints,
            indexes: stat.indexes,
            segments: stat.segments,
            sealed: stat.sealed,
            packed: stat.compressed,
            log_bytes: stat.log_bytes,
            index_bytes: stat.index_bytes,
            index_files: stat.index_files,
            upkeep_failure: stat.maintenance_failure.as_ref().map(Failure::to_string),
            reclaimable: reclaimable.map(v1::Reclaimed::from),
            clock_behind_micros: stat.clock_behind_micros,
            bookkeeping_events: stat.bookkeeping_events,
            last_position: stat.last_position,
            checkpoints_allowed: stat.checkpoints_allowed,
        }
    }

    /// Returns the store's size and state.
    pub fn stat(&self) -> Stat {
        let id = self.store_id.as_ref().try_into().map(u128::from_be_bytes);
        let failure = |message: &String| Failure::Remote {
            code: "disk_failed",
            message: message.clone(),
            can_retry: false,
        };
        Stat {
            store_id: id.unwrap_or_default(),
            created: Timestamp(self.created),
            events: self.events,
            streams: self.streams,
            checkpoints: self.checkpoints,
            indexes: self.indexes,
            segments: self.segments,
            sealed: self.sealed,
            compressed: self.packed,
            log_bytes: self.log_bytes,
            index_bytes: self.index_bytes,
            index_files: self.index_files,
            maintenance_failure: self.upkeep_failure.as_ref().map(failure),
            clock_behind_micros: self.clock_behind_micros,
            bookkeeping_events: self.bookkeeping_events,
            last_position: self.last_position,
            checkpoints_allowed: self.checkpoints_allowed,
        }
    }
}

impl From<ScavengeReport> for v1::Reclaimed {
    fn from(scavenged: ScavengeReport) -> Self {
        v1::Reclaimed {
            segments: scavenged.segments,
            events: scavenged.events,
            payload_bytes: scavenged.payload_bytes,
            file_bytes: scavenged.file_bytes,
        }
    }
}

impl From<v1::Reclaimed> for ScavengeReport {
    fn from(reclaimed: v1::Reclaimed) -> Self {
        ScavengeReport {
            segments: reclaimed.segments,
            events: reclaimed.events,
            payload_bytes: reclaimed.payload_bytes,
            file_bytes: reclaimed.file_bytes,
        }
    }
}

impl From<VerifySummary> for v1::VerifyResponse {
    fn from(found: VerifySummary) -> Self {
        v1::VerifyResponse {
            frames: found.frames,
            events: found.events,
            index_files: found.index_files,
            lost: found.lost,
            problem_count: found.problem_count,
            problems: found.problems,
            refilled: found.refilled,
        }
    }
}

impl From<v1::VerifyResponse> for VerifySummary {
    fn from(found: v1::VerifyResponse) -> Self {
        VerifySummary {
            frames: found.frames,
            events: found.events,
            index_files: found.index_files,
            lost: found.lost,
            problem_count: found.problem_count,
            problems: found.problems,
            refilled: found.refilled,
        }
    }
}

impl From<BackupReport> for v1::BackupResponse {
    fn from(done: BackupReport) -> Self {
        v1::BackupResponse {
            number: done.number,
            head: bytes(done.head),
            files_copied: done.files_copied,
            bytes_copied: done.bytes_copied,
            files_kept: done.files_kept,
            bytes_kept: done.bytes_kept,
            files_left_out: done.files_left_out,
        }
    }
}

impl TryFrom<v1::BackupResponse> for BackupReport {
    type Error = Invalid;

    fn try_from(done: v1::BackupResponse) -> Result<Self, Invalid> {
        Ok(BackupReport {
            number: done.number,
            head: cursor(&done.head)?,
            files_copied: done.files_copied,
            bytes_copied: done.bytes_copied,
            files_kept: done.files_kept,
            bytes_kept: done.bytes_kept,
            files_left_out: done.files_left_out,
        })
    }
}
