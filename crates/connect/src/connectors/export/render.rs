//! Turns events into rows.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use leftfold_api::Recorded;

use super::columns::Columns;
use super::settings::{ExportSettings, Partition};
use super::{line, partition_of};
use crate::connectors::OnError;
use crate::connectors::template::EventFields;

/// The rows of a batch by the directory in which they belong; those of one are in the order of the store.
pub(super) type Rows = BTreeMap<String, Vec<Vec<u8>>>;

/// Turns events into rows of files.
pub(super) struct Renderer {
    /// `None` for NDJSON.
    columns: Option<Columns>,
    partition: Partition,
    on_error: OnError,
    connector: String,
    skipped: AtomicU64,
}

impl Renderer {
    pub(super) fn new(settings: &ExportSettings, on_error: OnError, connector: &str) -> Self {
        Renderer {
            columns: settings.columns.clone(),
            partition: settings.partition,
            on_error,
            connector: connector.to_owned(),
            skipped: AtomicU64::new(0),
        }
    }

    /// Returns the events that were left out.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    /// Returns what a file begins with.
    pub(super) fn head(&self) -> Option<Vec<u8>> {
        self.columns.as_ref().map(Columns::head)
    }

    /// Returns the rows of events. The error says which one has none.
    pub(super) fn render(&self, events: &[Recorded]) -> Result<Rows, String> {
        let mut rows = Rows::new();
        let mut skipped = 0;
        for event in events {
            let mut row = Vec::new();
            let written = match &self.columns {
                Some(columns) => columns.write(&EventFields::new(event), &mut row),
                None => line::write(event, &mut row),
            };
            match written {
                Ok(()) => {
                    let partition = match self.partition {
                        Partition::Day => partition_of(event),
                        Partition::None => String::new(),
                    };
                    rows.entry(partition).or_default().push(row);
                }
                Err(reason) if self.on_error == OnError::Skip => {
                    let (stream, version) = (event.stream(), event.version());
                    tracing::warn!(connector = %self.connector, stream, version, reason, "an event is skipped");
                    skipped += 1;
                }
                Err(reason) => {
                    let (stream, version) = (event.stream(), event.version());
                    return Err(format!("{stream}@{version}: {reason}"));
                }
            }
        }
        self.skipped.fetch_add(skipped, Ordering::Relaxed);
        Ok(rows)
    }
}
