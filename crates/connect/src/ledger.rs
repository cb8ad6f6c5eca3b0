//! The ledger of ingests: which files were ingested when, and what became of their records, as events of
//! bookkeeping. An operator can prove by it what came in.

use leftfold_api::{
    Append, AppendError, EventStore, Field, NewEvent, Query, Read, ReadError, Recorded, Value,
    names,
};
use serde::{Deserialize, Serialize};

use crate::changes::FIRST_VERSION;
use crate::connectors::Stamp;
use crate::ingest::IngestSummary;
use crate::mapping::Mapping;

/// The type of the events.
const INGESTED: &str = "leftfold.FileIngested";

/// What the ledger says of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct LedgerEntry {
    /// The file's name.
    pub file: String,
    /// The name of the mapping.
    pub mapping: String,
    /// The version of the mapping.
    #[serde(default = "first_version")]
    pub mapping_version: u32,
    /// The SHA-256 of the mapping's text, in hexadecimal digits; empty in entries of earlier releases.
    pub mapping_sha256: String,
    /// The SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
    /// Its bytes.
    pub bytes: u64,
    /// Whether it was read to its end.
    pub complete: bool,
    /// Records that became new events.
    pub ingested: u64,
    /// Records whose events were in the store.
    pub repeated: u64,
    /// Those of the repeated that stay as an older version of the mapping made them.
    pub kept: u64,
    /// Records that were refused.
    pub rejected: u64,
    /// Those of the ingested that correct a record in the store.
    pub corrected: u64,
    /// Warnings about records that were kept.
    pub warnings: u64,
    /// Statements whose balances hold.
    pub balances_held: u64,
    /// Statements whose balances do not hold.
    pub balances_mismatched: u64,
    /// Statements whose balances could not be checked.
    pub balances_unchecked: u64,
    /// What the connector that watches the file has seen of it; `None` if a command has ingested it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) watched: Option<WatchedFile>,
}

/// A file that a connector has brought in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WatchedFile {
    /// The name under which the connector keeps its place.
    pub(crate) connector: String,
    /// The file as it was when it was read.
    #[serde(flatten)]
    pub(crate) stamp: Stamp,
    /// Whether it stays where it is, because it is wrong as a whole.
    #[serde(default, rename = "held")]
    pub(crate) is_held: bool,
}

fn first_version() -> u32 {
    FIRST_VERSION
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl LedgerEntry {
    /// Says what became of a file.
    pub fn new(file: &str, mapping: &Mapping, done: &IngestSummary) -> Self {
        let IngestSummary { tally, read, sha256 } = done;
        let [held, mismatched, unchecked] = done.balances();
        LedgerEntry {
            file: file.to_owned(),
            mapping: mapping.name().to_owned(),
            mapping_version: mapping.version(),
            mapping_sha256: hex(&mapping.sha256()),
            sha256: hex(sha256),
            bytes: read.bytes,
            complete: read.complete,
            ingested: tally.ingested,
            repeated: tally.repeated,
            kept: tally.kept,
            rejected: tally.rejected,
            corrected: tally.corrected,
            warnings: tally.warnings,
            balances_held: held,
            balances_mismatched: mismatched,
            balances_unchecked: unchecked,
            watched: None,
        }
    }

    /// Writes it into the ledger of a store. The event's commit time says when the ingest had ended.
    ///
    /// # Errors
    /// Those of an append.
    pub async fn write(&self, store: &impl EventStore) -> Result<(), AppendError> {
        let data = serde_json::to_vec(self).unwrap_or_default();
        let stream = format!("{}-{}", names::INGESTED, self.mapping);
        store.append(Append::new().event(stream, NewEvent::json(INGESTED, data))).await.map(drop)
    }

    /// Returns the last entry of a mapping's version, if the mapping's text is another one now. Then records may
    /// become other events under the same version.
    ///
    /// # Errors
    /// Those of a read.
    pub async fn of_other_text(
        store: &impl EventStore,
        mapping: &Mapping,
    ) -> Result<Option<Self>, ReadError> {
        /// How many of the last entries are looked at.
        const ENTRIES: usize = 1_000;
        let query = LedgerEntry::query(Some(mapping.name()));
        let page = store.read(Read::backward(query).limit(ENTRIES)).await?;
        let mut entries = page.events.iter().filter_map(LedgerEntry::of_recorded);
        let last = entries.find(|entry| entry.mapping_version == mapping.version());
        let is_other = |entry: &LedgerEntry| {
            !entry.mapping_sha256.is_empty() && entry.mapping_sha256 != hex(&mapping.sha256())
        };
        Ok(last.filter(is_other))
    }

    /// Reads it from an event of the ledger.
    pub fn of_recorded(event: &Recorded) -> Option<Self> {
        serde_json::from_slice(&event.data()).ok()
    }

    /// Returns the query for the ledger of a mapping, or of all.
    pub fn query(mapping: Option<&str>) -> Query {
        match mapping {
            Some(mapping) => Query::stream(format!("{}-{mapping}", names::INGESTED)),
            None => Query::Is(Field::Category, vec![Value::Exactly(names::INGESTED.to_owned())]),
        }
    }
}
