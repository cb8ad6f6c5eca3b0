#![doc = include_str!("../README.md")]

mod assemble;
mod check;
mod csv;
mod ingest;
mod input;
mod item;
mod mapping;
mod ndjson;
mod output;
mod pipeline;
mod plan;
mod read;
mod reason;
mod record;
pub mod sample;
mod value;
mod xml;

pub use ingest::{IngestError, IngestObserver, IngestSummary, ingest};
pub use item::{
    CUT_MARK, Draft, Item, MAX_SHOWN_BYTES, ReadError, ReadSummary, RecordText, Reject,
};
pub use mapping::{Mapping, MappingError};
pub use pipeline::Tally;
pub use read::read;
pub use reason::Reason;
