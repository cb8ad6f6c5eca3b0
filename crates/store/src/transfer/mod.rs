//! Moves events, checkpoints and definitions from any store to any other: the walk of an export, an import by appends,
//! and the digest by which both are compared. `docs/export.md` says what is kept.
//!
//! An import into a directory is [`Import`](crate::Import), which keeps more: commit times and the store's own streams.

mod appending;
mod digest;
mod export;
mod marks;
mod read_back;
mod send;
mod settings;

pub use appending::AppendingImport;
pub(crate) use appending::move_checkpoint;
pub use digest::EventDigest;
pub(crate) use digest::check_digests;
pub use export::{ExportItem, ExportTotal, export};
pub(crate) use marks::Marks;
