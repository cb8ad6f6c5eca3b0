//! Ingests one file, and judges it.

use std::io;
use std::sync::atomic::Ordering;

use leftfold_api::EventStore;

use super::observer::FileObserver;
use super::reader::FileText;
use crate::connectors::ConnectorError;
use crate::ingest::{IngestError, IngestSummary, Source, ingest};
use crate::item::{ReadSummary, Reject};
use crate::mapping::Mapping;
use crate::reason::Reason;

/// What became of a file that was read.
pub(super) struct Reading {
    pub(super) summary: IngestSummary,
    /// Why it is wrong as a whole; `None` if it is not.
    pub(super) wrong: Option<String>,
}

/// Ingests a file to its end, or as far as its content allows. An error is one of the disk or the store; so is what a halt
/// causes.
pub(super) fn read_file(
    store: &impl EventStore,
    mapping: &Mapping,
    source: Source<'_>,
    opened: FileText,
    observer: &mut FileObserver<'_>,
) -> Result<Reading, ConnectorError> {
    let path = observer.path;
    let unavailable = |what: &str, error: io::Error| {
        ConnectorError::unavailable(format_args!("{path}: {what}{error}"))
    };
    let rejects = "the refused records can't be written: ";
    let wrong = match ingest(store, mapping, source, opened.text, observer) {
        Ok(summary) => {
            let wrong = observer.judge(&summary);
            return Ok(Reading { summary, wrong });
        }
        Err(IngestError::Store(error)) => return Err(error.into()),
        Err(IngestError::Rejects(error)) => match observer.verdict.take() {
            Some(why) => format!("{why}; look at them and at the mapping."),
            None => return Err(unavailable(rejects, error)),
        },
        Err(IngestError::Input(error)) if opened.has_failed.load(Ordering::Acquire) => {
            return Err(unavailable("", error));
        }
        // The disk is well, so what is compressed is damaged.
        Err(IngestError::Input(error)) => {
            let message = format!("The file can't be decompressed: {error}.");
            let (reason, record) = (Reason::MalformedInput, String::new());
            let reject = Reject { line: 0, reason, message: message.clone(), record };
            observer.rejects.write(&reject).map_err(|error| unavailable(rejects, error))?;
            message
        }
    };
    let summary =
        IngestSummary { tally: observer.tally, read: ReadSummary::default(), sha256: [0; 32] };
    Ok(Reading { summary, wrong: Some(wrong) })
}
