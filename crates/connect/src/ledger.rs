//! The ledger of ingests: which files were ingested when, and what became of their records, as events of
//! bookkeeping. An operator can prove by it what came in.

use leftfold_api::{
    Append, AppendError, EventStore, Field, NewEvent, Query, Recorded, Value, names,
};
use serde::{Deserialize, Serialize};

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
}

impl LedgerEntry {
    /// Says what became of a file.
    pub fn new(file: &str, mapping: &Mapping, done: &IngestSummary) -> Self {
        let IngestSummary { tally, read, sha256 } = done;
        let [held, mismatched, unchecked] = done.balances();
        LedgerEntry {
            file: file.to_owned(),
            mapping: mapping.name().to_owned(),
            sha256: sha256.iter().map(|byte| format!("{byte:02x}")).collect(),
            bytes: read.bytes,
            complete: read.complete,
            ingested: tally.ingested,
            repeated: tally.repeated,
            rejected: tally.rejected,
            corrected: tally.corrected,
            warnings: tally.warnings,
            balances_held: held,
            balances_mismatched: mismatched,
            balances_unchecked: unchecked,
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
