#![doc = include_str!("../README.md")]

mod append;
mod check;
mod cluster;
mod codes;
#[cfg(feature = "conformance")]
pub mod conformance;
mod cursor;
mod engine;
mod erased;
mod error;
mod event;
mod event_store;
mod index;
mod json;
mod limits;
pub mod names;
mod partitioner;
mod partitions;
mod printable;
mod query;
mod read;
pub mod record;
mod record_format;
mod recorded;
mod retention;
mod shared;
mod time;

pub use append::{Append, Appended, CheckpointMove, Expected, IndexOrdinal, Parts, Versions};
pub use cluster::{Cluster, ClusterMember, ClusterPartition, ClusterStatus};
pub use codes::{CODES, code};
pub use cursor::{Cursor, MAX_PARTITIONS, Origin};
pub use engine::{
    Administration, AdministrationError, BackupReport, Copies, CopySink, Engine, Histogram, Meters,
    Progress, ScavengeReport, Stat, VerifySummary, checkpoints_warning, clock_warning,
};
pub use erased::{BoxFuture, DynStore, DynSubscription, ErasedStore, ErasedSubscription};
pub use error::{
    AppendError, Coded, Conflict, Failure, Invalid, Overlap, ReadError, is_out_of_descriptors,
};
pub use event::{BYTES, JSON, NewEvent};
pub use event_store::{EventStore, Subscription};
pub use index::{IndexDefinition, IndexInfo, MAX_INDEX_PARTITIONS, PartitionKey, Partitioning};
pub use json::{MAX_JSON_DEPTH, is_json_type, is_too_deep};
pub use limits::{Limits, MAX_NAME};
pub use names::category_of;
pub use partitioner::{Partitioner, murmur2};
pub use partitions::{key_in, partition_of, store_key};
pub use printable::{escape_unprintable, is_unprintable};
pub use query::{
    Facts, Field, IndexPartition, MAX_QUERY_BYTES, MAX_QUERY_DEPTH, MAX_QUERY_PARTS, Query, Span,
    StorePartition, Value,
};
pub use read::{
    CheckpointInfo, Delivery, Direction, Page, Point, Read, ReadLevel, Start, StreamInfo, Streams,
    StreamsPage, Subscribe,
};
pub use record_format::RecordFormat;
pub use recorded::Recorded;
pub use retention::{Retention, RetentionRule};
pub use time::Timestamp;
