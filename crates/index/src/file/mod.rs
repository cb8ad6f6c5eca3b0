//! The index file of a sealed part: written once, checked at every read.

mod bits;
mod build;
mod cache;
mod check;
mod directory;
mod encode;
mod filter;
mod find;
mod ids;
mod layout;
mod merge;
mod packed;
mod packer;
mod piece;
mod read_ahead;
mod reader;
mod run;
mod scan;
mod streams;
mod varint;

pub(crate) use build::{Builder, Counts};
pub use cache::IndexCache;
pub use check::IndexEntry;
pub use encode::{Source, encode};
pub use layout::FileHead;
pub use merge::merge;
pub(crate) use packed::PackedList;
pub(crate) use piece::MOST as PIECE;
pub use reader::IndexFile;
pub(crate) use run::Sink;
pub use run::Target;
