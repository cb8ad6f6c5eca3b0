//! Ingests a whole file: one thread reads it, another appends its records.

use std::io::{BufRead, Read};
use std::sync::mpsc::{SyncSender, sync_channel};

use leftfold_api::{AppendError, EventStore};
use sha2::{Digest, Sha256};

use crate::item::{Item, ReadError, ReadSummary, Reject};
use crate::mapping::Mapping;
use crate::pipeline::{News, Pipeline, Tally};
use crate::read::read;
use crate::reason::{Reason, Warning};

/// Items per message between the threads: a wake-up per item would cost more than reading it.
const GROUP: usize = 128;
/// Messages that may wait. With the pipeline's batches this bounds the memory.
const GROUPS: usize = 8;

/// A file to be ingested.
#[derive(Clone, Copy, Debug, Default)]
pub struct Source<'a> {
    /// Its name, for the metadata of its records.
    pub name: &'a str,
    /// Whether it may hold nothing of what the mapping looks for.
    pub may_be_empty: bool,
}

/// The result of ingesting a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IngestSummary {
    /// Counts of the records by outcome.
    pub tally: Tally,
    /// Counts of what the reader found.
    pub read: ReadSummary,
    /// The SHA-256 of the bytes that were read.
    pub sha256: [u8; 32],
}

impl IngestSummary {
    /// Returns the number of statements whose balances hold, do not hold, and could not be checked. A balance
    /// of which a record was refused proves nothing.
    pub fn balances(&self) -> [u64; 3] {
        let (read, broken) = (&self.read, self.tally.balances_broken.min(self.read.balances_held));
        [read.balances_held - broken, read.balances_mismatched, read.balances_unchecked + broken]
    }
}

/// Computes the digest of what passes through.
struct Digested<R> {
    input: R,
    digest: Sha256,
}

impl<R: BufRead> Read for Digested<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.digest.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Digested<R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        self.input.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        // What was filled is still there, so this reads nothing.
        if let Ok(filled) = self.input.fill_buf() {
            self.digest.update(filled.get(..count).unwrap_or_default());
        }
        self.input.consume(count);
    }
}

/// Receives rejects and progress while a file is ingested.
pub trait IngestObserver: Send {
    /// Handles the refusal of a record, of a statement or of the rest of the file.
    fn on_reject(&mut self, reject: &Reject) -> std::io::Result<()>;

    /// Handles a warning about a record that was kept.
    fn on_warning(&mut self, warning: &Warning) -> std::io::Result<()> {
        _ = warning;
        Ok(())
    }

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
    source: Source<'_>,
    input: impl BufRead + Send,
    observer: &mut dyn IngestObserver,
) -> Result<IngestSummary, IngestError> {
    std::thread::scope(|threads| {
        let (sender, receiver) = sync_channel::<Vec<Item>>(GROUPS);
        let name = "leftfold-ingest".to_owned();
        let reading = std::thread::Builder::new()
            .name(name)
            .spawn_scoped(threads, move || read_in_groups(mapping, source, input, &sender))
            .map_err(IngestError::Input)?;
        let appended: Result<Tally, IngestError> = pollster::block_on(async {
            let mut pipeline = Pipeline::new(store, mapping, source.name);
            for group in receiver {
                for item in group {
                    report(observer, &pipeline.add_item(item).await?)?;
                }
                observer.on_progress(pipeline.tally());
            }
            report(observer, &pipeline.finish().await?)?;
            observer.on_progress(pipeline.tally());
            Ok(pipeline.tally())
        });
        // The receiver is dropped by now, so a reader that still sends fails and stops.
        let read = reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let tally = appended?;
        let (read, sha256) = read.map_err(IngestError::Input)?;
        Ok(IngestSummary { tally, read, sha256 })
    })
}

fn report(observer: &mut dyn IngestObserver, news: &News) -> Result<(), IngestError> {
    let rejected = news.rejects.iter().try_for_each(|reject| observer.on_reject(reject));
    rejected
        .and_then(|()| news.warnings.iter().try_for_each(|warning| observer.on_warning(warning)))
        .map_err(IngestError::Rejects)
}

/// The appending thread has dropped its receiver.
struct ReceiverGone;

fn read_in_groups(
    mapping: &Mapping,
    source: Source<'_>,
    input: impl BufRead,
    sender: &SyncSender<Vec<Item>>,
) -> std::io::Result<(ReadSummary, [u8; 32])> {
    let mut input = Digested { input, digest: Sha256::new() };
    let mut group = Vec::with_capacity(GROUP);
    let done = read(mapping, &mut input, &mut |item| {
        let is_empty =
            matches!(&item, Item::Reject(reject) if reject.reason == Reason::NothingFound);
        if is_empty && source.may_be_empty {
            return Ok(());
        }
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
            Ok((summary, input.digest.finalize().into()))
        }
        Err(ReadError::Io(error)) => Err(error),
        Err(ReadError::Sink(ReceiverGone)) => Ok((ReadSummary::default(), [0; 32])),
    }
}
