//! Ingests a whole file: one thread reads it, another appends its records.

use std::io::BufRead;
use std::sync::mpsc::{SyncSender, sync_channel};

use leftfold_api::{AppendError, EventStore};

use crate::item::{Item, ReadError, ReadSummary, Reject};
use crate::mapping::Mapping;
use crate::pipeline::{Pipeline, Tally};
use crate::read::read;

/// Items per message between the threads: a wake-up per item would cost more than reading it.
const GROUP: usize = 128;
/// Messages that may wait. With the pipeline's batches this bounds the memory.
const GROUPS: usize = 8;

/// The result of ingesting a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IngestSummary {
    /// Counts of the records by outcome.
    pub tally: Tally,
    /// Counts of what the reader found.
    pub read: ReadSummary,
}

/// Receives rejects and progress while a file is ingested.
pub trait IngestObserver: Send {
    /// Handles the refusal of a record, of a statement or of the rest of the file.
    fn on_reject(&mut self, reject: &Reject) -> std::io::Result<()>;

    /// Handles progress: the counts of the records so far.
    fn on_progress(&mut self, tally: Tally) {
        _ = tally;
    }
}

/// Why a file could not be ingested to its end.
///
/// Records that were acknowledged before stay in the store. Ingesting the file again adds no
/// record twice.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IngestError {
    /// The file could not be read.
    #[error("reading the file failed: {0}; ingest it again, no record is added twice")]
    Input(std::io::Error),
    /// The observer could not write a reject.
    #[error("writing the rejects failed: {0}; ingest the file again, no record is added twice")]
    Rejects(std::io::Error),
    /// The store failed.
    #[error("{0}; then ingest the file again, no record is added twice")]
    Store(#[from] AppendError),
}

/// Reads a file with a mapping and appends one event for each good record.
///
/// A record that is already in the store, from this file or another, is recognised by its natural
/// key and not appended again. Memory is bounded whatever the size of the file.
pub fn ingest<S: EventStore>(
    store: &S,
    mapping: &Mapping,
    input: impl BufRead + Send,
    observer: &mut dyn IngestObserver,
) -> Result<IngestSummary, IngestError> {
    std::thread::scope(|threads| {
        let (sender, receiver) = sync_channel::<Vec<Item>>(GROUPS);
        let name = "leftfold-ingest".to_owned();
        let reading = std::thread::Builder::new()
            .name(name)
            .spawn_scoped(threads, move || read_in_groups(mapping, input, &sender))
            .map_err(IngestError::Input)?;
        let appended: Result<Tally, IngestError> = pollster::block_on(async {
            let mut pipeline = Pipeline::new(store);
            for group in receiver {
                for item in group {
                    report_rejects(observer, pipeline.add_item(item).await?)?;
                }
                observer.on_progress(pipeline.tally());
            }
            report_rejects(observer, pipeline.finish().await?)?;
            observer.on_progress(pipeline.tally());
            Ok(pipeline.tally())
        });
        // The receiver is dropped by now, so a reader that still sends fails and stops.
        let read = reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let tally = appended?;
        Ok(IngestSummary { tally, read: read.map_err(IngestError::Input)? })
    })
}

fn report_rejects(
    observer: &mut dyn IngestObserver,
    rejects: Vec<Reject>,
) -> Result<(), IngestError> {
    rejects.iter().try_for_each(|reject| observer.on_reject(reject)).map_err(IngestError::Rejects)
}

/// The appending thread has dropped its receiver.
struct ReceiverGone;

fn read_in_groups(
    mapping: &Mapping,
    input: impl BufRead,
    sender: &SyncSender<Vec<Item>>,
) -> std::io::Result<ReadSummary> {
    let mut group = Vec::with_capacity(GROUP);
    let done = read(mapping, input, &mut |item| {
        group.push(item);
        if group.len() < GROUP {
            return Ok(());
        }
        let full = std::mem::replace(&mut group, Vec::with_capacity(GROUP));
        sender.send(full).map_err(|_| ReceiverGone)
    });
    match done {
        Ok(summary) => {
            // If the receiver is gone, the appending thread reports its own error.
            _ = sender.send(group);
            Ok(summary)
        }
        Err(ReadError::Io(error)) => Err(error),
        Err(ReadError::Sink(ReceiverGone)) => Ok(ReadSummary::default()),
    }
}
