//! Reading of segments: files, tables and blocks, kept in memory within bounds.

mod block;
mod frames;
mod stored;
mod table;

pub(crate) use block::{Block, segment_index};
pub(crate) use stored::SegmentReader;
