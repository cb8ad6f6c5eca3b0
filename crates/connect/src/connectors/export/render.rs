//! Turns events into rows.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use leftfold_api::Recorded;

use super::encoder::Encoder;
use super::format::Format;
use super::partition_of;
use super::row::Row;
use super::settings::{ExportSettings, Partition};
use crate::connectors::OnError;

/// The rows of a batch by the directory in which they belong; those of one are in the order of the store.
pub(super) type Rows = BTreeMap<String, Vec<Row>>;

/// Turns events into rows of files.
pub(super) struct Renderer {
    format: Format,
    partition: Partition,
    on_error: OnError,
    connector: String,
    skipped: AtomicU64,
}

impl Renderer {
    pub(super) fn new(settings: &ExportSettings, on_error: OnError, connector: &str) -> Self {
        Renderer {
            format: Format::new(settings),
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

    /// Begins a file of such rows.
    pub(super) fn encoder(&self, file: File) -> io::Result<Encoder> {
        self.format.encoder(file)
    }

    /// Returns the rows of events. The error says which one has none.
    pub(super) fn render(&self, events: &[Recorded]) -> Result<Rows, String> {
        let mut rows = Rows::new();
        let mut skipped = 0;
        for event in events {
            match self.format.row(event) {
                Ok(row) => {
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
