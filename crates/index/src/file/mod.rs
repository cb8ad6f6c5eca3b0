//! The file of a sealed part: written once, checked at every read.

mod cache;
mod encode;
mod layout;
mod reader;

pub use cache::IndexCache;
pub use encode::{Source, encode};
pub use layout::FileHead;
pub use reader::IndexFile;
