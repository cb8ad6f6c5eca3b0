#![doc = include_str!("../README.md")]

pub mod backup;
mod buffers;
mod create;
mod error;
pub mod format;
mod frames;
mod head;
mod log;
mod manifest;
mod meters;
mod options;
mod packing;
mod read;
mod recovery;
pub mod repair;
mod rewrite;
mod scan;
mod seal;
mod segment;
mod table;
mod walk;
mod writer;

pub use error::{Damage, OpenError, ReadError, WriteError};
pub use frames::FrameView;
pub use head::Head;
pub use log::{Log, Opened, SegmentInfo};
pub use manifest::{FileKind, LiveFile, REPAIRED, SCAVENGED};
pub use meters::Metered;
pub use options::{Durability, LogOptions, Packing};
pub use read::Fetcher;
pub use rewrite::{Edit, Edited, RewriteError, Rewritten};
pub use scan::{Direction, Scan, ScanRange};
pub use walk::Record;
pub use writer::{
    Admit, Batch, Commit, Confirmation, FrameBuilder, FsyncCommit, Outcome, Progress, Pump,
    Sequencer, Slot, Tail, Waiting,
};
