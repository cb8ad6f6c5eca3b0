#![doc = include_str!("../README.md")]

mod assemble;
mod changes;
mod check;
mod compressed;
pub mod connectors;
mod convert;
mod csv;
mod drafting;
mod ingest;
mod input;
mod item;
mod ledger;
mod mapping;
mod ndjson;
mod origin;
mod output;
mod pairing;
mod pipeline;
mod plan;
mod read;
mod reason;
mod record;
pub mod sample;
mod stored;
mod value;
mod xml;

pub use compressed::decompressed;
pub use drafting::{DraftingError, draft_mapping};
pub use ingest::{IngestError, IngestObserver, IngestSummary, Source, ingest};
pub use item::{
    CUT_MARK, Draft, GroupEnd, Item, MAX_SHOWN_BYTES, Occurrence, ReadError, ReadSummary,
    RecordText, Reject,
};
pub use ledger::LedgerEntry;
pub use mapping::{Mapping, MappingError};
pub use origin::{Origin, Relation};
pub use pipeline::Tally;
pub use read::read;
pub use reason::{Doubt, Reason, Warning};
