#![doc = include_str!("../README.md")]

pub mod backup;
mod blocks;
mod buffers;
mod catalog;
mod compression;
mod create;
mod error;
mod failure;
pub mod format;
mod frame_builder;
mod frames;
mod head;
mod log;
mod manifest;
mod meters;
mod opening;
mod options;
mod ownership;
mod prefetch;
mod read;
mod reader;
mod recovery;
pub mod repair;
mod rewrite;
mod scan;
mod seal;
mod segment;
mod term;
mod walk;
mod writer;

pub use catalog::SegmentInfo;
pub use error::{Damage, OpenError, ReadError, WriteError};
pub use frame_builder::{FrameBuilder, Slot};
pub use frames::FrameView;
pub use head::Head;
pub use log::{Log, Opened};
pub use manifest::{FileKind, LiveFile, REPAIRED, SCAVENGED};
pub use meters::Histogram;
pub use options::{Compression, Durability, Identity, Keep, LogOptions};
pub use read::Fetcher;
pub use rewrite::{Edit, Edited, RewriteError, RewriteSummary};
pub use scan::{Direction, Scan, ScanRange};
pub use walk::Record;
pub use writer::{
    Admit, Batch, Commit, Confirmation, FsyncCommit, Outcome, PendingOutcome, Progress, Pump,
    Sequencer, Tail,
};
