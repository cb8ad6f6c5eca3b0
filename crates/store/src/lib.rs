#![doc = include_str!("../README.md")]

mod append;
pub mod blocking;
mod codec;
mod codes;
#[cfg(feature = "conformance")]
pub mod conformance;
mod cursor;
mod embedded;
mod error;
mod event;
mod event_store;
mod keys;
mod limits;
mod names;
mod query;
mod read;
mod recorded;
pub mod replay;
mod retention;
mod time;

pub use append::{Append, Appended, CheckpointMove, Expected, Versions};
pub use codes::{CODES, code};
pub use cursor::Cursor;
pub use embedded::{
    BackedUp, BackupError, BackupInfo, Embedded, Finding, LiveSubscription, LostEvent, Manual,
    Meters, Options, RepairMode, RepairReport, Scavenged, Stat, Verified, repair, repair_on,
    restore, restore_on, verify_backup, verify_backup_on,
};
pub use error::{AppendError, Coded, Conflict, Failure, Invalid, OpenError, Overlap, ReadError};
pub use event::{BYTES, JSON, NewEvent};
pub use event_store::{EventStore, Subscription};
pub use leftfold_log::repair::DamagedBytes;
pub use leftfold_log::{Durability, Metered, Packing};
pub use limits::{Limits, MAX_NAME};
pub use names::category_of;
pub use query::{Field, Query, Span, Value};
pub use read::{
    Delivery, Direction, From, IndexInfo, Page, Point, Read, StreamInfo, Streams, StreamsPage,
    Subscribe,
};
pub use recorded::Recorded;
pub use replay::{Replay, ReplayError, ReplayKey, Replayed};
pub use retention::{Retention, RetentionRule};
pub use time::Timestamp;
