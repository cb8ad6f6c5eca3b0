//! What answers bring.

use leftfold_api::{
    Appended, BackupReport, IndexInfo, IndexOrdinal, Partitioning, Retention, RetentionRule,
    ScavengeReport, Stat, StreamInfo, VerifySummary,
};
use serde::Serialize;
use utoipa::ToSchema;

/// Where an append was written.
#[derive(Serialize, ToSchema)]
pub(crate) struct AppendedAnswer {
    /// After its last event: a read with `at_least` of it sees it.
    #[schema(pattern = "^([0-9a-f]{2}){13,}$")]
    cursor: String,
    /// The positions of its events; null if it has none.
    positions: Option<Positions>,
    /// The versions that its events got, by stream.
    streams: Vec<Versions>,
    /// Whether it had been written before: this is what was answered then.
    repeated: bool,
    /// The place of each event in the index of `ordinals_in`, in the order of the events; null for
    /// an event that the index does not list. Absent if the request named no index.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ordinals: Vec<Option<EventOrdinal>>,
}

/// An event's place in a named index.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventOrdinal {
    /// The partition; 0 in an index without partitions.
    partition: u32,
    /// The number of the event in its partition, from 0.
    ordinal: u64,
}

impl From<IndexOrdinal> for EventOrdinal {
    fn from(IndexOrdinal { partition, ordinal }: IndexOrdinal) -> Self {
        EventOrdinal { partition, ordinal }
    }
}

/// A run of positions.
#[derive(Serialize, ToSchema)]
pub(crate) struct Positions {
    /// The first.
    #[schema(minimum = 1)]
    first: u64,
    /// The last.
    #[schema(minimum = 1)]
    last: u64,
}

/// The versions of a stream's new events.
#[derive(Serialize, ToSchema)]
pub(crate) struct Versions {
    /// The stream.
    stream: String,
    /// The first.
    first: u64,
    /// The last.
    last: u64,
}

impl From<Appended> for AppendedAnswer {
    fn from(appended: Appended) -> Self {
        let streams = appended.streams.into_iter();
        AppendedAnswer {
            cursor: appended.cursor.to_string(),
            positions: appended.positions.map(|(first, last)| Positions { first, last }),
            streams: streams
                .map(|v| Versions { stream: v.stream, first: v.first, last: v.last })
                .collect(),
            repeated: appended.repeated,
            ordinals: appended.ordinals.into_iter().map(|o| o.map(EventOrdinal::from)).collect(),
        }
    }
}

/// A cursor.
#[derive(Serialize, ToSchema)]
pub(crate) struct CursorAnswer {
    /// The cursor.
    #[schema(pattern = "^([0-9a-f]{2}){13,}$")]
    pub(crate) cursor: String,
}

/// A checkpoint.
#[derive(Serialize, ToSchema)]
pub(crate) struct CheckpointAnswer {
    /// Its name.
    pub(crate) checkpoint: String,
    /// Its cursor.
    #[schema(pattern = "^([0-9a-f]{2}){13,}$")]
    pub(crate) cursor: String,
}

/// Checkpoints, by name.
#[derive(Serialize, ToSchema)]
pub(crate) struct CheckpointsAnswer {
    /// The checkpoints.
    pub(crate) checkpoints: Vec<CheckpointAnswer>,
}

/// An ordinal.
#[derive(Serialize, ToSchema)]
pub(crate) struct OrdinalAnswer {
    /// The ordinal, from 0.
    pub(crate) ordinal: u64,
}

/// What is kept; what is not there is not limited.
#[derive(Serialize, ToSchema)]
pub(crate) struct Kept {
    /// The number of newest events that are kept of a stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    max_count: Option<u64>,
    /// The age up to which events are kept, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    max_age_micros: Option<u64>,
    /// Events from this version on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    truncate_before: Option<u64>,
}

impl From<Retention> for Kept {
    fn from(retention: Retention) -> Self {
        let micros = |age: std::time::Duration| u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
        Kept {
            max_count: retention.max_count,
            max_age_micros: retention.max_age.map(micros),
            truncate_before: retention.truncate_before,
        }
    }
}

/// A stream, as it is now.
#[derive(Serialize, ToSchema)]
pub(crate) struct StreamAnswer {
    /// Its name.
    stream: String,
    /// The version of its last event.
    version: u64,
    /// The position of its first event.
    #[schema(minimum = 1)]
    first_position: u64,
    /// The position of its last event.
    #[schema(minimum = 1)]
    last_position: u64,
    /// What of it is kept; without the rules that it falls under.
    retention: Kept,
    /// Whether its events so far were deleted.
    deleted: bool,
    /// Whether it was closed for ever.
    tombstoned: bool,
}

impl From<StreamInfo> for StreamAnswer {
    fn from(info: StreamInfo) -> Self {
        StreamAnswer {
            deleted: info.is_deleted(),
            stream: info.name,
            version: info.version,
            first_position: info.first_position,
            last_position: info.last_position,
            retention: info.retention.into(),
            tombstoned: info.tombstoned,
        }
    }
}

/// Some streams, in the order in which they began.
#[derive(Serialize, ToSchema)]
pub(crate) struct StreamsAnswer {
    /// The streams.
    pub(crate) streams: Vec<StreamAnswer>,
    /// Where to go on.
    #[schema(pattern = "^([0-9a-f]{2}){13,}$")]
    pub(crate) cursor: String,
    /// Whether there are more.
    pub(crate) more: bool,
}

/// A rule of retention.
#[derive(Serialize, ToSchema)]
pub(crate) struct RuleAnswer {
    /// Its name.
    rule: String,
    /// Which events.
    query: String,
    /// What is kept of them.
    retention: Kept,
}

impl From<RetentionRule> for RuleAnswer {
    fn from(rule: RetentionRule) -> Self {
        let query = rule.query.to_string();
        RuleAnswer { rule: rule.name, query, retention: rule.retention.into() }
    }
}

/// The rules of retention, by name.
#[derive(Serialize, ToSchema)]
pub(crate) struct RulesAnswer {
    /// The rules.
    pub(crate) rules: Vec<RuleAnswer>,
}

/// A named index.
#[derive(Serialize, ToSchema)]
pub(crate) struct IndexAnswer {
    /// Its name.
    index: String,
    /// The query that defines it.
    query: String,
    /// Whether it lists all past events; until then it can't be read.
    ready: bool,
    /// How many events it lists.
    events: u64,
    /// How its events are spread over partitions; absent for one list of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    partitions: Option<PartitionsAnswer>,
}

/// How an index's events are spread over partitions.
#[derive(Serialize, ToSchema)]
pub(crate) struct PartitionsAnswer {
    /// The number of partitions.
    #[schema(minimum = 1, maximum = 1024)]
    count: u32,
    /// What decides an event's partition: `stream`, `stream-id`, `store-key`, `behind:PREFIX` or
    /// `tag:KEY`.
    #[schema(example = "stream-id")]
    by: String,
    /// How the partition is computed from it: `murmur2` or `crc32`.
    #[schema(example = "murmur2")]
    partitioner: String,
}

impl From<Partitioning> for PartitionsAnswer {
    fn from(Partitioning { count, key, partitioner }: Partitioning) -> Self {
        PartitionsAnswer { count, by: key.to_string(), partitioner: partitioner.to_string() }
    }
}

impl From<IndexInfo> for IndexAnswer {
    fn from(info: IndexInfo) -> Self {
        let query = info.query.to_string();
        let partitions = info.partitioning.map(PartitionsAnswer::from);
        IndexAnswer { index: info.name, query, ready: info.ready, events: info.events, partitions }
    }
}

/// The named indexes, by name.
#[derive(Serialize, ToSchema)]
pub(crate) struct IndexesAnswer {
    /// The indexes.
    pub(crate) indexes: Vec<IndexAnswer>,
}

/// The store's size and state.
#[derive(Serialize, ToSchema)]
pub(crate) struct StatAnswer {
    /// Names the store for ever.
    store: String,
    /// When it was created.
    #[schema(format = "date-time")]
    created: String,
    /// Events, without bookkeeping.
    events: u64,
    /// Streams, without those of bookkeeping.
    streams: u64,
    /// Events of the store's own streams and of reactors.
    bookkeeping_events: u64,
    /// The last position.
    last_position: u64,
    /// Checkpoints.
    checkpoints: u64,
    /// Checkpoints that there may be.
    checkpoints_allowed: u64,
    /// Named indexes.
    indexes: u64,
    /// Segments of the log.
    segments: u64,
    /// Those that are sealed.
    sealed_segments: u64,
    /// Those that are packed.
    packed_segments: u64,
    /// Bytes of the log.
    log_bytes: u64,
    /// Bytes of index files.
    index_bytes: u64,
    /// Index files.
    index_files: u64,
    /// What went wrong in the background, if anything did.
    upkeep_failure: Option<String>,
    /// Microseconds by which the clock is behind the last commit time: it was set back, or was ahead once.
    clock_behind_micros: u64,
}

impl From<Stat> for StatAnswer {
    fn from(stat: Stat) -> Self {
        StatAnswer {
            store: format!("{:032x}", stat.store_id),
            created: stat.created.to_string(),
            events: stat.events,
            streams: stat.streams,
            bookkeeping_events: stat.bookkeeping_events,
            last_position: stat.last_position,
            checkpoints: stat.checkpoints,
            checkpoints_allowed: stat.checkpoints_allowed,
            indexes: stat.indexes,
            segments: stat.segments,
            sealed_segments: stat.sealed,
            packed_segments: stat.compressed,
            log_bytes: stat.log_bytes,
            index_bytes: stat.index_bytes,
            index_files: stat.index_files,
            upkeep_failure: stat.maintenance_failure.map(|failure| failure.to_string()),
            clock_behind_micros: stat.clock_behind_micros,
        }
    }
}

/// What scavenging removed, or would remove.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScavengedAnswer {
    /// Segments that were looked at.
    segments: u64,
    /// Events that lost their payloads.
    events: u64,
    /// Bytes of these payloads, before compression.
    payload_bytes: u64,
    /// By how much the files became shorter.
    file_bytes: u64,
}

impl From<ScavengeReport> for ScavengedAnswer {
    fn from(done: ScavengeReport) -> Self {
        let ScavengeReport { segments, events, payload_bytes, file_bytes } = done;
        ScavengedAnswer { segments, events, payload_bytes, file_bytes }
    }
}

/// What a verification found.
#[derive(Serialize, ToSchema)]
pub(crate) struct VerifiedAnswer {
    /// Frames whose checksums were checked.
    frames: u64,
    /// Events that were read, and looked up in the index.
    events: u64,
    /// Index files whose blocks were all checked.
    index_files: u64,
    /// Placeholders of events that were lost before a repair.
    lost: u64,
    /// How many problems there are.
    wrong: u64,
    /// The first of them: what is wrong, and where.
    problems: Vec<String>,
    /// The named indexes that differ from their queries, and are filled again.
    refilled_indexes: Vec<String>,
}

impl From<VerifySummary> for VerifiedAnswer {
    fn from(found: VerifySummary) -> Self {
        VerifiedAnswer {
            frames: found.frames,
            events: found.events,
            index_files: found.index_files,
            lost: found.lost,
            wrong: found.problem_count,
            problems: found.problems,
            refilled_indexes: found.refilled,
        }
    }
}

/// What a backup came to.
#[derive(Serialize, ToSchema)]
pub(crate) struct BackupAnswer {
    /// Which backup in its directory it is, from 1.
    #[schema(minimum = 1)]
    number: u64,
    /// The last event in it.
    #[schema(pattern = "^([0-9a-f]{2}){13,}$")]
    head: String,
    /// Files that were copied.
    files_copied: u64,
    /// Their bytes.
    bytes_copied: u64,
    /// Files that the backup before had copied.
    files_kept: u64,
    /// Their bytes.
    bytes_kept: u64,
    /// Index files that can't be read; they are made again when the backup is restored.
    files_left_out: u64,
}

impl From<BackupReport> for BackupAnswer {
    fn from(done: BackupReport) -> Self {
        BackupAnswer {
            number: done.number,
            head: done.head.to_string(),
            files_copied: done.files_copied,
            bytes_copied: done.bytes_copied,
            files_kept: done.files_kept,
            bytes_kept: done.bytes_kept,
            files_left_out: done.files_left_out,
        }
    }
}
